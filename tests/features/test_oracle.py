"""Every feature again, straight from raw rows by plain SQL that knows no rollup, on random data and several cutoffs."""

import math
import random
from datetime import timedelta
from pathlib import Path

import duckdb
import pytest

from features.catalog import CATALOG, GROUPS
from features.schema import RAW_TABLES
from features.windows import DAY, utc

CUTOFFS = [utc(2026, 3, 2), utc(2026, 5, 4), utc(2026, 5, 5), utc(2026, 6, 29)]
APPROXIMATE = {"latency_p50_ms_28d": 0.025, "latency_p95_ms_7d": 0.025, "latency_p95_ms_28d": 0.025}
APPROXIMATE |= {"latency_p95_7d_vs_prior_28d": 0.051}  # a ratio of two percentiles

SQL = Path(__file__).parent / "oracle"
"""``known.sql`` makes the tables of what is known at a cutoff; a query per group makes its features from them."""


def a_random_world(log, seed):
    dice = random.Random(seed)
    begin = utc(2026, 1, 15)
    accounts = [f"acct_{number}" for number in range(25)]
    for account in accounts:
        rate, routes, broken = dice.lognormvariate(3.5, 1.2), dice.randint(1, 6), dice.choice([0.02, 0.1, 0.4])
        first, last = sorted(dice.uniform(0, 166) for _ in "ab")
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
                    "synthetic": dice.random() < 0.05,
                },
            )
        for version in range(dice.choice([0, 1, 2])):
            created = begin + dice.uniform(-300, 150) * DAY
            log.add(
                "accounts", {"account_id": account, "created_at": created, "known_at": created + version * 30 * DAY}
            )
        for number in range(dice.choice([0, 1, 4])):
            occurred = begin + dice.uniform(-200, 170) * DAY
            log.add(
                "subscriptions",
                {
                    "account_id": account,
                    "occurred_at": occurred,
                    "known_at": occurred + dice.choice([0, 0, 1, 20]) * DAY,
                    "kind": dice.choice(["start", "renew", "upgrade", "cancel", "reactivate"]),
                    "plan": dice.choice(["basic", "pro", None]),
                    "mrr": dice.choice([0.0, 99.5, None]),
                    "quota_calls_per_month": dice.choice([None, 0, 100]),
                    "term_end": dice.choice([None, occurred + 365 * DAY]),
                    "source_order": number,
                },
            )
    return log


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_every_feature_equals_the_plain_sql_from_raw_rows(log, seed):
    a_random_world(log, seed)
    made = log.table(*CUTOFFS)
    with duckdb.connect() as oracle:
        oracle.execute("SET TimeZone = 'UTC'")
        for table, folder in (
            ("events", "events/*/*"),
            ("accounts", "raw/accounts/*"),
            ("subscriptions", "raw/subscriptions/*"),
        ):
            columns = ", ".join(RAW_TABLES[table].schema.names)
            files = str(log.settings.home / f"{folder}.parquet")
            oracle.execute(
                f"CREATE TABLE {table} AS SELECT {columns} FROM read_parquet('{files}', hive_partitioning = false)"
            )
        expected = {}
        for cutoff in CUTOFFS:
            run(oracle, "known", cutoff)
            for group in GROUPS:
                for row in run(oracle, group, cutoff):
                    expected.setdefault((row["account_id"], cutoff), {}).update(row)
    assert made.keys() == expected.keys()
    wrong = [
        (key, feature.name, made[key][feature.name], row[feature.name])
        for key, row in expected.items()
        for feature in CATALOG
        if not equal(made[key][feature.name], row[feature.name], APPROXIMATE.get(feature.name, 1e-9))
    ]
    assert wrong == []


@pytest.mark.slow
def test_the_oracle_sees_every_feature_with_and_without_a_value(log):
    rows = list(a_random_world(log, 1).table(*CUTOFFS).values())
    for feature in CATALOG:
        values = {row[feature.name] for row in rows}
        assert len(values - {None}) >= 2, feature.name


def run(oracle, name, cutoff):
    statement = (SQL / f"{name}.sql").read_text(encoding="utf-8").replace("$c", f"TIMESTAMPTZ '{cutoff.isoformat()}'")
    result = oracle.execute(statement)
    names = [column[0] for column in result.description]
    return [dict(zip(names, values, strict=True)) for values in result.fetchall()]


def equal(ours, theirs, tolerance):
    if ours is None or theirs is None or isinstance(theirs, str):
        return ours == theirs
    return math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=1e-12)
