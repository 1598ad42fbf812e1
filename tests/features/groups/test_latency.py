"""Latency features of logs small enough to count."""

from datetime import timedelta

import pytest

from features.windows import DAY, utc

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
    assert [row[name] for name in [*names, "slow_call_share_28d"]] == [None] * 5


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
