"""Breadth features of logs small enough to count."""

from datetime import timedelta

import pytest

from features.windows import DAY, utc

C = utc(2026, 6, 29)
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)


def call(event_time, endpoint, method="GET", status=200, **row):
    return {"event_time": event_time, "endpoint": endpoint, "method": method, "status": status, **row}


@pytest.mark.parametrize(("feature", "days"), [("endpoints_used_7d", 7), ("endpoints_used_28d", 28)])
def test_an_endpoint_is_a_method_and_a_route_that_succeeded_in_the_window(log, feature, days):
    start = C - days * DAY
    log.add(
        "events",
        call(start - MICROSECOND, "/a"),
        call(start, "/b"),
        call(C - DAY, "/b", "POST", None),
        call(C - DAY, "/b"),
        call(C - DAY, "/c", status=500),
        call(C - DAY, None),
        call(C - DAY, "/d", ingested_at=C + GRACE - MICROSECOND),
        call(C - DAY, "/e", ingested_at=C + GRACE),
        call(C, "/f"),
    )
    assert log.at(C)[feature] == 3


@pytest.mark.parametrize(("routes", "expected"), [("a", 1), ("ab", 1), ("abc", 0)])
def test_narrow_use_is_one_or_two_endpoints(log, routes, expected):
    log.add("events", *[call(C - DAY, f"/{route}") for route in routes])
    assert log.at(C)["narrow_use_28d"] == expected


def test_narrow_use_of_nothing_is_null(log):
    log.add("events", call(C - 28 * DAY - MICROSECOND, "/a"), call(C - DAY, "/a", status=404))
    row = log.at(C)
    assert (row["endpoints_used_28d"], row["narrow_use_28d"]) == (0, None)


def test_the_busiest_endpoint_counts_failed_calls_too(log):
    log.add(
        "events",
        call(C - 28 * DAY - MICROSECOND, "/b"),
        *[call(C - 28 * DAY, "/a", status=500)] * 3,
        call(C - DAY, "/b"),
        call(C - DAY, None),
        call(C, "/b"),
    )
    assert log.at(C)["top_endpoint_share_28d"] == 0.75


def test_dropped_endpoints_were_used_before_and_not_now(log):
    middle = C - 28 * DAY
    log.add(
        "events",
        call(C - 56 * DAY - MICROSECOND, "/too-old"),
        call(C - 56 * DAY, "/dropped"),
        call(middle - MICROSECOND, "/kept"),
        call(middle, "/kept"),
        call(middle - MICROSECOND, "/failing"),
        call(C - DAY, "/failing", status=503),
        call(middle - DAY, "/back", status=200),
        call(C - DAY, "/back", ingested_at=C + GRACE),
        call(C - DAY, "/new"),
    )
    assert log.at(C)["endpoints_dropped_28d"] == 3


def test_writes_are_a_share_of_calls_with_a_method(log):
    methods = ["POST", "PUT", "PATCH", "DELETE", "GET", "HEAD", "OPTIONS", "GET", None]
    log.add("events", *[call(C - DAY, "/a", method) for method in methods], call(C - 28 * DAY - MICROSECOND, "/a"))
    assert log.at(C)["write_share_28d"] == 0.5


def test_shares_over_no_calls_are_null_and_counts_0(log):
    log.add("events", call(C - 57 * DAY, "/a"))
    row = log.at(C)
    assert (row["top_endpoint_share_28d"], row["write_share_28d"]) == (None, None)
    assert (row["endpoints_used_7d"], row["endpoints_used_28d"], row["endpoints_dropped_28d"]) == (0, 0, 0)


def test_a_log_without_endpoints_has_no_counts_of_them(log):
    log.add("events", *[call(C - days * DAY, None) for days in (1, 30)])
    row = log.at(C)
    counts = ("endpoints_used_7d", "endpoints_used_28d", "endpoints_dropped_28d", "narrow_use_28d")
    assert [row[name] for name in counts] == [None] * 4


def test_whether_a_log_has_endpoints_is_asked_as_known_at_the_cutoff(log):
    log.add("events", call(C - DAY, None), call(C - DAY, "/a", ingested_at=C + GRACE, account_id="b"))
    assert log.at(C)["endpoints_used_28d"] is None
    assert log.at(C + DAY)["endpoints_used_28d"] == 0
