"""Latency features of logs small enough to count."""

from datetime import timedelta

import pytest

from features.windows import DAY, utc

BUILDS = ("latency",)
C = utc(2026, 6, 29)
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)


def call(event_time, latency_ms, **row):
    return {"event_time": event_time, "latency_ms": latency_ms, **row}


@pytest.mark.parametrize(
    ("feature", "days", "expected"),
    [("latency_p50_ms_28d", 28, 20.0), ("latency_p95_ms_28d", 28, 300.0), ("latency_p95_ms_7d", 7, 300.0)],
)
def test_a_percentile_is_the_nearest_rank_in_the_window(log, feature, days, expected):
    start = C - days * DAY
    log.add(
        "events",
        call(start - MICROSECOND, 9e6),
        call(start, 300.0),
        call(C - DAY, 10.0),
        call(C - DAY, 20.0),
        call(C - DAY, 20.0, ingested_at=C + GRACE - MICROSECOND),
        call(C - DAY, None),
        call(C - DAY, 9e6, ingested_at=C + GRACE),
        call(C, 9e6),
    )
    assert log.at(C)[feature] == pytest.approx(expected, rel=0.025)


def test_a_latency_of_0_stays_0(log):
    log.add("events", call(C - DAY, 0.0), call(C - 10 * DAY, 0.0))
    row = log.at(C)
    assert (row["latency_p50_ms_28d"], row["latency_p95_7d_vs_prior_28d"]) == (0.0, None)


def test_percentiles_without_a_latency_are_null(log):
    log.add("events", call(C - DAY, None))
    row = log.at(C)
    names = ["latency_p50_ms_28d", "latency_p95_ms_7d", "latency_p95_ms_28d", "latency_p95_7d_vs_prior_28d"]
    names += ["slow_call_share_28d", "latency_p99_ms_28d", "latency_max_ms_28d", "latency_p95_vs_service_28d"]
    assert [row[name] for name in names] == [None] * 8


def test_the_99th_percentile_is_beyond_the_95th(log):
    log.add("events", *[call(C - DAY, 10.0)] * 98, call(C - 28 * DAY, 500.0), call(C - DAY, 9000.0))
    row = log.at(C)
    found = [row["latency_p95_ms_28d"], row["latency_p99_ms_28d"], row["latency_max_ms_28d"]]
    assert found == pytest.approx([10.0, 500.0, 9000.0], rel=0.025)


def test_the_longest_latency_is_exact(log):
    start = C - 28 * DAY
    log.add(
        "events",
        call(start - MICROSECOND, 9e6),
        call(start, 1234.567),
        call(C - DAY, 12.0, status=500),
        call(C - DAY, 9e6, ingested_at=C + GRACE),
        call(C, 9e6),
    )
    assert log.at(C)["latency_max_ms_28d"] == 1234.567


def test_the_tail_against_what_all_customers_see_on_the_same_endpoints(log):
    log.add(
        "events",
        *[call(C - DAY, 200.0, endpoint="/x")] * 3,
        call(C - 28 * DAY, 1000.0, endpoint="/y"),
        call(C - DAY, 1000.0, endpoint=None),  # in the account's percentile, of no endpoint
        call(C - DAY, None, endpoint="/z"),
        call(C - DAY, 400.0, endpoint="/x", account_id="b", ingested_at=C + GRACE - MICROSECOND),
        call(C - DAY, 9e6, endpoint="/x", account_id="b", ingested_at=C + GRACE),
        call(C - 28 * DAY - MICROSECOND, 9e6, endpoint="/x", account_id="b"),
        call(C, 9e6, endpoint="/x", account_id="b"),
        call(C - DAY, 9e6, endpoint="/x", method="POST", account_id="b"),
        call(C - DAY, 5.0, endpoint="/z", account_id="b"),
    )
    # The service's slowest 5 % start at 400 ms on GET /x, called three times, and at 1000 ms on /y, called once.
    assert log.at(C)["latency_p95_vs_service_28d"] == pytest.approx(1000 / ((3 * 400 + 1000) / 4), rel=0.051)


def test_calls_without_a_route_have_no_usual_latency(log):
    log.add("events", call(C - DAY, 5.0, endpoint=None), call(C - DAY, 5.0, account_id="b"))
    assert [log.table(C)[account, C]["latency_p95_vs_service_28d"] for account in "ab"] == [None, pytest.approx(1.0)]


def test_the_tail_against_the_prior_window(log):
    log.add(
        "events",
        call(C - 35 * DAY - MICROSECOND, 1e6),
        call(C - 35 * DAY, 100.0),
        call(C - 7 * DAY - MICROSECOND, 50.0),
        call(C - 7 * DAY, 400.0),
        call(C, 1e6),
    )
    assert log.at(C)["latency_p95_7d_vs_prior_28d"] == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize(("threshold", "expected"), [(1000.0, 0.5), (500.0, 0.75)])
def test_a_slow_call_takes_at_least_the_setting(new_log, threshold, expected):
    log = new_log(slow_call_ms=threshold).add(
        "events",
        call(C - 28 * DAY - MICROSECOND, 1e6),
        call(C - 28 * DAY, 1000.0),
        call(C - DAY, 2000.0),
        call(C - DAY, 999.999),
        call(C - DAY, 1.0),
        call(C - DAY, None),
        call(C, 1e6),
    )
    assert log.at(C)["slow_call_share_28d"] == expected
