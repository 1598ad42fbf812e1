"""Declared metrics on the simulated world, beside one plain SQL query over its events."""

import duckdb
import pytest

from features.build import build
from features.feature_files import group_at
from features.feature_sets import catalog_of
from features.settings import Settings
from features.windows import DAY
from tests.conftest import END, World

pytestmark = pytest.mark.slow

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
    with duckdb.connect(config={"TimeZone": "UTC"}) as connection:
        return {row["account_id"]: row for row in connection.execute(query).to_arrow_table().to_pylist()}


def test_every_kind_agrees_with_plain_sql(world: World, tmp_path):
    settings = Settings(home=world.copy_to(tmp_path).settings.home, metrics=METRICS)
    catalog, cutoffs = catalog_of(settings), [END - 35 * DAY, END]
    view = catalog.groups[-1]
    build(settings, cutoffs, now=world.now, groups=[view])
    for cutoff in cutoffs:
        rows = {
            row["account_id"]: row for row in group_at(settings.home / "features", view, cutoff, catalog).to_pylist()
        }
        expected = by_plain_sql(settings, cutoff)
        assert len(expected) > 50
        for account, wanted in expected.items():
            for name, value in wanted.items():
                tolerance = 0.026 if name.startswith("own_slow") else 1e-9
                close = value if value is None or name == "account_id" else pytest.approx(value, rel=tolerance)
                assert rows[account][name] == close, (account, cutoff, name)
        assert {row["own_posts_91d"] for account, row in rows.items() if account not in expected} <= {0}
