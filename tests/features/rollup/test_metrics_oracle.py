"""Declared metrics on simulated calls, beside one plain SQL query over the events themselves."""

import random
from datetime import timedelta

import duckdb
import pytest

from features.settings.fields import Settings
from features.windows import DAY, utc

pytestmark = pytest.mark.slow
C = utc(2026, 6, 29)

METRICS = {
    "own_posts": {"of": "count", "where": "method = 'POST'", "windows": ["7d", "91d"]},
    "own_waited": {"of": "sum", "column": "latency_ms", "where": "status < 400", "windows": ["28d"]},
    "own_wait": {"of": "mean", "column": "latency_ms", "windows": ["7d", "28d"]},
    "own_failed": {"of": "share", "where": "status >= 500", "over": "status is not null", "windows": ["7d", "28d"]},
    "own_writes": {"of": "ratio", "where": "method <> 'GET'", "over": "method = 'GET'", "windows": ["28d"]},
    "own_routes": {"of": "distinct", "column": "endpoint", "where": "hour(event_time) < 12", "windows": ["28d"]},
    "own_slow": {"of": "percentile", "column": "latency_ms", "percentile": 95, "windows": ["7d", "28d"]},
}
WINDOWS = {
    "own_posts": "count(*) FILTER (method = 'POST')",
    "own_waited": "coalesce(sum(latency_ms) FILTER (status < 400), 0)",
    "own_wait": "avg(latency_ms)",
    "own_failed": "count(*) FILTER (status >= 500) / nullif(count(status), 0)",
    "own_writes": "count(*) FILTER (method <> 'GET') / nullif(count(*) FILTER (method = 'GET'), 0)",
    "own_routes": "count(DISTINCT endpoint) FILTER (hour(event_time) < 12)",
    "own_slow": "quantile_disc(latency_ms, 0.95)",
}


def by_plain_sql(settings, cutoff):
    """Account to every feature, counted from the events themselves."""
    columns = ", ".join(
        f"(SELECT {WINDOWS[name]} FROM known WHERE account_id = everybody.account_id "
        f"AND event_time >= TIMESTAMPTZ '{cutoff - int(window[:-1]) * DAY}') AS {name}_{window}"
        for name, metric in METRICS.items()
        for window in metric["windows"]
    )
    query = f"""
        WITH known AS (
            SELECT * FROM read_parquet('{settings.home}/events/*/*.parquet', hive_partitioning = false)
            WHERE NOT synthetic AND event_time < TIMESTAMPTZ '{cutoff}'
              AND ingested_at < TIMESTAMPTZ '{cutoff}' + INTERVAL 6 HOUR
        ), everybody AS (SELECT DISTINCT account_id FROM known)
        SELECT account_id, {columns} FROM everybody
    """
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        return {row["account_id"]: row for row in connection.sql(query).to_arrow_table().to_pylist()}


def simulated(log, *, seed, events=2_000, days=40):
    """Calls of twelve accounts over some days: late ones, probes, nulls of every column, and a quiet account."""
    dice = random.Random(seed)
    for number in range(events):
        moment = C - timedelta(seconds=dice.randrange(days * 24 * 3600)) + 3 * DAY
        log.add(
            "events",
            {
                "event_id": f"e{number}",
                "account_id": f"a{min(dice.randrange(12), dice.randrange(12))}",
                "event_time": moment,
                "ingested_at": moment + timedelta(hours=dice.choice((0, 0, 0, 5, 30, 200))),
                "endpoint": dice.choice(("/v1/a", "/v1/b", "/v1/c", None)),
                "method": dice.choice(("GET", "GET", "POST", "PUT", None)),
                "status": dice.choice((200, 200, 404, 500, None)),
                "latency_ms": dice.choice((None, 0.0, dice.expovariate(0.01), dice.expovariate(0.01))),
                "synthetic": dice.random() < 0.05,
            },
        )
    return log.add("events", {"account_id": "quiet", "event_time": C - 30 * DAY})


def test_every_kind_agrees_with_plain_sql(new_log):
    log = simulated(new_log(metrics=METRICS), seed=5)
    cutoffs = [C - 7 * DAY, C]
    made = log.declared(*cutoffs)
    for cutoff in cutoffs:
        rows = {account: row for (account, at), row in made.items() if at == cutoff}
        expected = by_plain_sql(log.settings, cutoff)
        assert rows.keys() == expected.keys()
        assert len(rows) == 13
        for account, wanted in expected.items():
            for name, value in wanted.items():
                tolerance = 0.026 if name.startswith("own_slow") else 1e-9
                close = value if value is None or name == "account_id" else pytest.approx(value, rel=tolerance)
                assert rows[account][name] == close, (account, cutoff, name)


def test_the_order_in_which_calls_come_changes_nothing(new_log):
    """Late events that come in one load or in two, and a metric that was there first or came later, are the same."""
    whole = simulated(new_log(metrics=METRICS), seed=1, events=300, days=9)
    late = simulated(new_log(metrics={"own_wait": METRICS["own_wait"]}), seed=1, events=300, days=9)
    rows = late._rows["events"]
    late._rows["events"], held_back = rows[::2], rows[1::2]
    late.declared(C)
    late._rows["events"] = [*reversed(held_back), *rows[::2]]
    late.settings = Settings(home=late.settings.home, metrics=METRICS)
    assert late.declared(C) == whole.declared(C)
