"""Every feature again, straight from raw rows by plain SQL that knows no rollup, on random data and several cutoffs."""

import math
import random
from datetime import timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq
import pytest

from features.build.build import build
from features.definitions.catalog import CATALOG, GROUPS, features_of_group
from features.home.home import Home
from features.ingest.ingest import ingest
from features.rollup.count import roll_up
from features.schema import RAW_TABLES
from features.settings.fields import Settings
from features.simulator import simulate
from features.windows import DAY, utc
from tests.features.conftest import Log
from tests.subscription_oracle import Days, Row, account_at, as_known, lines_of

CUTOFFS = [utc(2026, 3, 2), utc(2026, 5, 4), utc(2026, 5, 5), utc(2026, 6, 29)]
APPROXIMATE = {"latency_p50_ms_28d": 0.025, "latency_p95_ms_7d": 0.025, "latency_p95_ms_28d": 0.025}
APPROXIMATE |= {"latency_p99_ms_28d": 0.025}
APPROXIMATE |= dict.fromkeys(["latency_p95_7d_vs_prior_28d", "latency_p95_vs_service_28d"], 0.051)  # of two percentiles
ROUNDED = {feature.name: 1e-9 for feature in features_of_group("recency")}  # weights have twelve decimal places

OVER_A_YEAR = {"calls_28d_vs_year_ago"}
RAW_FILES = {
    "events": "events/*/*.parquet",
    "accounts": "raw/accounts/*.parquet",
    "subscriptions": "raw/subscriptions/*.parquet",
    "touchpoints": "raw/touchpoints/*.parquet",
}

SEEDS = (1, 2)
VALUE_ENDPOINTS = ("POST /r0", "/r3")  # as the query of breadth says them

SQL = Path(__file__).parent / "oracle"
"""``known.sql`` makes the tables of what is known at a cutoff; a query per group makes its features from them."""


def a_random_world(log, seed):
    dice = random.Random(seed)
    begin = utc(2026, 1, 15)
    accounts = [f"acct_{number}" for number in range(25)]
    for account in accounts:
        rate, routes, broken = dice.lognormvariate(3.5, 1.2), dice.randint(1, 6), dice.choice([0.02, 0.1, 0.4])
        first, last = sorted(dice.uniform(0, 166) for _ in "ab")
        sdk = dice.choice(["go", "python", None])
        for _ in range(int(rate)):
            moment = begin + timedelta(microseconds=int(dice.uniform(first, last) * 86_400e6))
            late = dice.choice([0.0, 0.0, 0.0, dice.uniform(0, 3), dice.uniform(0, 40)])
            status = (
                dice.choice([400, 401, 403, 404, 429, 500, 503]) if dice.random() < broken else dice.choice([200, None])
            )
            log.add(
                "events",
                {
                    "account_id": account,
                    "event_time": moment,
                    "ingested_at": moment + timedelta(days=late),
                    "endpoint": dice.choice([None, *[f"/r{route}" for route in range(routes)] * 3]),
                    "method": dice.choice(["GET", "GET", "POST", "DELETE", None]),
                    "status": status,
                    "latency_ms": dice.choice([None, 0.0, 0.001, dice.lognormvariate(5, 2), 7_200_000.0]),
                    "token": dice.choice([None, "t1", "t2", account]),
                    "user_id": dice.choice([None, "u1", "u1", "u2", "u3"]),
                    "sdk": sdk if dice.random() < 0.7 else dice.choice([None, "go", "java"]),
                    "sdk_version": dice.choice(
                        [None, "1.9", "1.10", "2.0.1", "nightly"][: 2 + (moment - begin).days // 40]
                    ),
                    "synthetic": dice.random() < 0.05,
                },
            )
        for version in range(dice.choice([0, 1, 2])):
            created = begin + dice.uniform(-300, 150) * DAY
            log.add(
                "accounts", {"account_id": account, "created_at": created, "known_at": created + version * 30 * DAY}
            )
        for number in range(dice.choice([0, 1, 4, 6])):
            occurred = begin + dice.uniform(-200, 170) * DAY
            log.add(
                "subscriptions",
                {
                    "account_id": account,
                    "occurred_at": occurred,
                    "known_at": occurred + dice.choice([0, 0, 1, 20]) * DAY,
                    "kind": dice.choice(
                        [
                            "start",
                            "renew",
                            "upgrade",
                            "downgrade",
                            "cancel_notice",
                            "cancel_notice",
                            "cancel",
                            "reactivate",
                        ]
                    ),
                    "plan": dice.choice(["basic", "pro", None]),
                    "mrr": dice.choice([0.0, 49.0, 99.5, None]),
                    "quota_calls_per_month": dice.choice([None, 0, 5, 15, 100]),
                    "term_end": dice.choice([None, occurred + 365 * DAY]),
                    "source_order": number,
                },
            )
    some_busy_days(log, accounts, dice)
    some_touchpoints(log, accounts, begin, dice)
    some_new_accounts(log, begin, dice)
    return log


def some_new_accounts(log, begin, dice):
    """Sign-ups within the log, some of which were sold to at once, and the first calls that follow."""
    for number in range(8):
        created = begin + dice.uniform(-5, 90) * DAY
        row = {"account_id": f"new_{number}"}
        log.add("accounts", row | {"created_at": created, "known_at": created})
        if number % 2:
            occurred = created + dice.choice([-20, 0, 1]) * DAY
            log.add("subscriptions", row | {"kind": "start", "occurred_at": occurred, "source_order": 0})
        for call in range(number):
            moment = created + dice.uniform(-0.05, 60) * DAY
            route = {"endpoint": f"/r{call % 4}", "method": "POST", "status": dice.choice([200, 500])}
            log.add("events", row | route | {"event_time": moment})


def some_touchpoints(log, accounts, begin, dice):
    kinds = [
        "ticket_opened",
        "ticket_opened",
        "ticket_closed",
        "login",
        "login",
        "nps",
        "csat",
        "payment_failed",
        "call",
    ]
    for account in accounts[3:]:
        moments = [begin + dice.uniform(-30, 170) * DAY for _ in range(dice.choice([1, 10, 40]))]
        for occurred in [*moments, *moments[:2]]:
            late = dice.choice([0, 0, 0, 1, 20]) * DAY
            value = dice.choice([None, 0.0, 3.0, 9.5])
            row = {"account_id": account, "occurred_at": occurred, "known_at": occurred + late, "value": value}
            log.add("touchpoints", row | {"kind": dice.choice(kinds)})


def some_busy_days(log, accounts, dice):
    for account in dice.choices(accounts, k=50):
        day = dice.choice(CUTOFFS) - dice.randint(1, 120) * DAY
        calls, broken = dice.choice([19, 20, 23, 80]), dice.choice([0.1, 0.25, 0.28, 1.0])
        for number in range(calls):
            moment = day + timedelta(microseconds=int(dice.uniform(0, 86_400e6)))
            status = None if number < 3 else 503 if number < calls * broken else 200
            row = {"account_id": account, "event_time": moment, "endpoint": "/busy", "status": status}
            log.add("events", row | {"ingested_at": moment + dice.choice([0, 0, 0, 0.8]) * DAY})


@pytest.fixture(scope="module")
def worlds(tmp_path_factory):
    """By seed: a random world's home, and every feature as we make it."""
    found = {}
    for seed in SEEDS:
        log = a_random_world(Log(tmp_path_factory.mktemp("world") / "home", value_endpoints=VALUE_ENDPOINTS), seed)
        found[seed] = (log.settings.home, log.table(*CUTOFFS))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_every_feature_equals_the_plain_sql_from_raw_rows(worlds, seed):
    home, made = worlds[seed]
    assert differences(made, by_plain_sql(home, CUTOFFS)) == []


@pytest.mark.slow
def test_the_oracle_sees_every_feature_with_and_without_a_value(worlds):
    rows = list(worlds[1][1].values())
    for feature in CATALOG:
        values = {row[feature.name] for row in rows}
        assert len(values - {None}) >= 2 or feature.name in OVER_A_YEAR, feature.name


@pytest.mark.slow
def test_a_comparison_with_the_year_before_equals_the_plain_sql(tmp_path):
    settings, files = Settings(home=tmp_path / "home"), tmp_path / "files"
    end = utc(2026, 6, 29)
    simulate(files, accounts=30, days=460, calls_per_day=0.5, seed=3, end=end)
    # The windows lie in the last 97 days and in those a year before; of the days between a week on each side will do.
    spans = [(end - 461 * DAY, end - 357 * DAY), (end - 104 * DAY, end)]
    days = [at for first, last in spans for at in (first + n * DAY for n in range((last - first).days))]
    ingest(
        Home(settings),
        now=end + DAY,
        events=[file for at in days for file in sorted((files / "events").glob(f"*{at.date()}*"))],
        accounts=[files / "accounts.parquet"],
        subscriptions=[files / "subscriptions.parquet"],
        touchpoints=[files / "touchpoints.parquet"],
    )
    roll_up(Home(settings))
    cutoffs = [end - 69 * DAY, end - 68 * DAY, end - 7 * DAY, end]
    build(Home(settings), cutoffs, now=end + DAY, groups=["usage"])
    made = {}
    for cutoff in cutoffs:
        (path,) = Home(settings).stores.features.files(f"usage/cutoff={cutoff.date()}", "usage")
        for row in pq.read_table(path, partitioning=None).to_pylist():
            made[row["account_id"], cutoff] = row
    assert differences(made, by_plain_sql(settings.home, cutoffs, groups=["usage"]), groups=["usage"]) == []
    for name in OVER_A_YEAR:
        assert len({row[name] for row in made.values()} - {None}) >= 10


def by_plain_sql(home, cutoffs, *, groups=GROUPS):
    expected = {}
    with duckdb.connect() as oracle:
        oracle.execute("SET TimeZone = 'UTC'")
        for table, folder in RAW_FILES.items():
            columns = ", ".join(RAW_TABLES[table].schema.names)
            files = str(home / folder)
            oracle.execute(
                f"CREATE TABLE {table} AS SELECT {columns} FROM read_parquet('{files}', hive_partitioning = false)"
            )
        for cutoff in cutoffs:
            run(oracle, "known", cutoff)
            name_states(oracle, cutoff)
            for group in groups:
                for row in run(oracle, group, cutoff):
                    expected.setdefault((row["account_id"], cutoff), {}).update(row)
    return expected


def name_states(oracle, cutoff):
    """The table ``states``: what each account has subscribed to at the cutoff and 91 days before, as known at it."""
    mine = {}
    names = "account_id, occurred_at, known_at, kind, plan, mrr, quota_calls_per_month, term_end, source_order"
    for values in oracle.execute(f"SELECT {names} FROM subs").fetchall():
        mine.setdefault(values[0], []).append(Row(*values))
    columns = ("account_id", "back", "plan", "mrr", "quota", "term_end", "since", "changed")
    rows = []
    for account, known in mine.items():
        for back in (0, 91):
            lines = lines_of(known, Days())
            state = account_at(lines, cutoff - back * DAY, Days())
            whole = as_known(known, cutoff, timedelta(hours=6), Days())
            if state is not None:
                stated = (state["plan"], state["mrr"], state["quota"], state["term_end"])
                rows.append((account, back, *stated, whole["since"], whole["plan_changes"]))
    types = "account_id VARCHAR, back INT, plan VARCHAR, mrr DOUBLE, quota DOUBLE, term_end TIMESTAMPTZ"
    oracle.execute(f"CREATE OR REPLACE TEMP TABLE states ({types}, since TIMESTAMPTZ, changed INT)")
    if rows:
        oracle.executemany(f"INSERT INTO states VALUES ({', '.join('?' * len(columns))})", rows)


def differences(made, expected, *, groups=GROUPS):
    assert made.keys() == expected.keys()
    return [
        (key, feature.name, made[key][feature.name], row[feature.name])
        for key, row in expected.items()
        for feature in CATALOG
        if feature.group in groups
        and not equal(
            made[key][feature.name],
            row[feature.name],
            APPROXIMATE.get(feature.name, 1e-9),
            rounding=ROUNDED.get(feature.name, 1e-12),
        )
    ]


def run(oracle, name, cutoff):
    statement = (SQL / f"{name}.sql").read_text(encoding="utf-8").replace("$c", f"TIMESTAMPTZ '{cutoff.isoformat()}'")
    result = oracle.execute(statement)
    names = [column[0] for column in result.description]
    return [dict(zip(names, values, strict=True)) for values in result.fetchall()]


def equal(ours, theirs, tolerance, *, rounding):
    if ours is None or theirs is None or isinstance(theirs, str):
        return ours == theirs
    return math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=rounding)
