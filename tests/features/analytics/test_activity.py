from datetime import date

import ibis
import pytest

from features.analytics.activity import calls_by_endpoint, weekly_activity, weekly_latency
from features.engine.duckdb_engine import Engine, duckdb_engine
from features.formulas.histogram import bucket_of

MONDAY, SUNDAY, NEXT_MONDAY = date(2026, 3, 2), date(2026, 3, 8), date(2026, 3, 9)


@pytest.fixture(scope="module")
def engine() -> Engine:
    return duckdb_engine(threads=1, memory_limit="256MB")


def rows(engine: Engine, table: ibis.Table) -> list[dict[str, object]]:
    return engine.to_arrow(table).to_pylist()


@pytest.fixture
def usage() -> ibis.Table:
    counted = [  # account, day, calls, no status, client, auth, throttled, server
        ("a", MONDAY, 10, 2, 1, 1, 0, 2),
        ("a", SUNDAY, 2, 0, 0, 0, 1, 0),
        ("b", SUNDAY, 5, 5, 0, 0, 0, 0),
        ("a", NEXT_MONDAY, 1, 1, 0, 0, 0, 0),
    ]
    names = ("account_id", "event_day", "calls", "no_status", "err_client", "err_auth", "err_throttled", "err_server")
    return ibis.memtable([dict(zip(names, row, strict=True)) for row in counted])


def test_a_week_runs_from_monday_to_sunday(engine: Engine, usage: ibis.Table) -> None:
    weeks = rows(engine, weekly_activity(usage))
    assert [(row["week"], row["calls"], row["active_accounts"]) for row in weeks] == [
        (MONDAY, 17, 2),
        (NEXT_MONDAY, 1, 1),
    ]


def test_shares_are_of_calls_that_carry_a_status(engine: Engine, usage: ibis.Table) -> None:
    first, second = rows(engine, weekly_activity(usage, account_id="a"))
    assert first["client_errors_share"] == pytest.approx(0.1)
    assert first["server_errors_share"] == pytest.approx(0.2)
    assert second["client_errors_share"] is None


def test_percentiles_come_from_the_histogram(engine: Engine) -> None:
    calls = ibis.memtable(
        [
            {"account_id": account, "event_day": MONDAY, "latency_ms": latency, "calls": count}
            for account, latency, count in (("a", 10.0, 50), ("a", 100.0, 44), ("a", 9000.0, 6), ("b", 1.0, 900))
        ]
    )
    [week] = rows(engine, weekly_latency(calls.mutate(bucket=bucket_of(calls.latency_ms)), account_id="a"))
    assert week["p50_ms"] == pytest.approx(10.0, rel=0.025)
    assert week["p95_ms"] == pytest.approx(9000.0, rel=0.025)


def test_rare_endpoints_are_summed_as_other(engine: Engine) -> None:
    calls = ibis.memtable(
        [
            {"account_id": "a", "event_day": MONDAY, "method": method, "endpoint": endpoint, "calls": count}
            for method, endpoint, count in (("GET", "/v1/x", 5), ("GET", "/v1/y", 2), ("", "/v1/z", 2), ("PUT", "", 1))
        ]
    )
    shown = {row["route"]: row["calls"] for row in rows(engine, calls_by_endpoint(calls, most=2))}
    assert shown == {"GET /v1/x": 5, "/v1/z": 2, "other": 3}
