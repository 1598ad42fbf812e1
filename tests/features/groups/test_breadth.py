"""Breadth features of logs small enough to count."""

import math
from datetime import timedelta

import pytest

from features.windows import DAY, utc

BUILDS = ("breadth",)
C = utc(2026, 6, 29)
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)


def call(event_time, endpoint, method="GET", status=200, **row):
    return {"event_time": event_time, "endpoint": endpoint, "method": method, "status": status, **row}


@pytest.mark.parametrize(
    ("feature", "days"), [("endpoints_used_7d", 7), ("endpoints_used_28d", 28), ("endpoints_used_91d", 91)]
)
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


def test_adopted_endpoints_are_used_now_and_were_not_before(log):
    middle = C - 28 * DAY
    log.add(
        "events",
        call(C - 56 * DAY - MICROSECOND, "/forgotten"),
        call(middle, "/forgotten"),
        call(C - 56 * DAY, "/kept"),
        call(C - DAY, "/kept"),
        call(middle - MICROSECOND, "/kept too"),
        call(C - DAY, "/kept too"),
        call(middle - DAY, "/failing before", status=500),
        call(C - DAY, "/failing before"),
        call(C - DAY, "/still failing", status=500),
        call(C - DAY, "/late", ingested_at=C + GRACE),
        call(C - DAY, None),
    )
    assert log.at(C)["endpoints_adopted_28d"] == 2


def test_the_entropy_of_calls_over_endpoints(log):
    log.add(
        "events",
        call(C - 28 * DAY - MICROSECOND, "/c"),
        call(C - 28 * DAY, "/a", status=500),
        call(C - DAY, "/a"),
        call(C - DAY, "/a", "POST"),
        call(C - DAY, "/b"),
        call(C - DAY, None),
        call(C, "/d"),
        *[call(C - DAY, "/a", account_id="b")] * 3,
        call(C - DAY, None, account_id="c"),
    )
    table = log.table(C)
    found = [table[account, C]["endpoint_entropy_28d"] for account in "abc"]
    assert found == [pytest.approx(1.5 * math.log(2)), 0.0, None]  # shares 1/2, 1/4, 1/4; all in one; no route


def test_coverage_is_a_share_of_what_anybody_uses_as_known(log):
    log.add(
        "events",
        call(C - DAY, "/a"),
        call(C - 28 * DAY, "/b", account_id="b"),
        call(C - DAY, "/a", "POST", account_id="b", ingested_at=C + GRACE - MICROSECOND),
        call(C - DAY, "/a", account_id="b"),
        call(C - DAY, "/late", account_id="b", ingested_at=C + GRACE),
        call(C - DAY, "/failing", account_id="b", status=500),
        call(C - DAY, None, account_id="b"),
        call(C - 28 * DAY - MICROSECOND, "/old", account_id="c"),
        call(C, "/new", account_id="c"),
    )
    table = log.table(C)
    found = [table[account, C]["endpoint_coverage_28d"] for account in "abc"]
    assert found == pytest.approx([1 / 3, 1, 0])


def test_coverage_of_nothing_is_null(log):
    log.add("events", call(C - 40 * DAY, "/a"))
    assert log.at(C)["endpoint_coverage_28d"] is None


VALUE = ("value_endpoint_calls_28d", "value_endpoint_share_28d", "value_endpoint_reached", "days_since_value_endpoint")


def test_value_calls_succeed_at_a_named_endpoint(new_log):
    log = new_log(value_endpoints=("POST /v1/orders", "/v1/pay/{id}")).add(
        "events",
        call(C - 28 * DAY - MICROSECOND, "/v1/orders", "POST"),
        call(C - 28 * DAY, "/v1/orders", "POST"),
        call(C - 9 * DAY, "/v1/orders", "post", None),
        call(C - 3 * DAY, "/v1/pay/{id}", None),
        call(C - 2 * DAY, "/v1/orders", "POST", 500),
        call(C - DAY, "/v1/orders", "GET"),
        call(C - DAY, "/v1/orders", "POST", ingested_at=C + GRACE),
        call(C - DAY, "/v1/pay", "POST"),
        call(C - DAY, None),
        call(C, "/v1/orders", "POST"),
    )
    assert [log.at(C)[name] for name in VALUE] == [3, 3 / 5, 1, 3.0]


def test_a_value_endpoint_is_reached_ever_and_not_before_it_is_known(new_log):
    log = new_log(value_endpoints=("/v1/orders",)).add(
        "events",
        call(C - 300 * DAY, "/v1/orders"),
        call(C - 299 * DAY, "/v1/orders", status=404),
        call(C - DAY, "/other"),
        call(C - 9 * DAY, "/v1/orders", account_id="b", ingested_at=C + GRACE),
        call(C - 9 * DAY, "/other", account_id="b"),
        call(C - 9 * DAY, "/v1/orders", account_id="c", ingested_at=C + GRACE - MICROSECOND),
    )
    table = log.table(C, C + DAY)
    found = {key: [row[name] for name in VALUE] for key, row in table.items()}
    assert found["a", C] == [0, 0.0, 1, 300.0]
    assert found["b", C] == [0, 0.0, 0, None]
    assert found["b", C + DAY] == [1, 0.5, 1, 10.0]
    assert found["c", C] == [1, 1.0, 1, 9.0]


def test_without_value_endpoints_their_features_are_null(log):
    log.add("events", call(C - DAY, "/v1/orders", "POST"))
    assert [log.at(C)[name] for name in VALUE] == [None] * 4


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
    counts = ("endpoints_used_7d", "endpoints_used_28d", "endpoints_used_91d", "endpoints_dropped_28d")
    others = ("endpoints_adopted_28d", "narrow_use_28d", "endpoint_entropy_28d", "endpoint_coverage_28d")
    assert [row[name] for name in (*counts, *others)] == [None] * 8


def test_whether_a_log_has_endpoints_is_asked_as_known_at_the_cutoff(log):
    log.add("events", call(C - DAY, None), call(C - DAY, "/a", ingested_at=C + GRACE, account_id="b"))
    assert log.at(C)["endpoints_used_28d"] is None
    assert log.at(C + DAY)["endpoints_used_28d"] == 0
