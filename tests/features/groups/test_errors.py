"""Error features of logs small enough to count."""

from datetime import timedelta

import pytest

from features.windows import DAY, utc

BUILDS = ("errors",)
C = utc(2026, 6, 29)
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)


def call(event_time, status, **row):
    return {"event_time": event_time, "status": status, **row}


@pytest.mark.parametrize(
    ("feature", "days", "status"),
    [
        ("error_rate_7d", 7, 499),
        ("error_rate_28d", 28, 400),
        ("client_error_rate_28d", 28, 404),
        ("server_error_rate_28d", 28, 500),
        ("auth_error_rate_7d", 7, 401),
        ("auth_error_rate_28d", 28, 403),
        ("throttled_rate_28d", 28, 429),
    ],
)
def test_a_rate_is_a_share_of_calls_with_a_status_in_the_window(log, feature, days, status):
    start = C - days * DAY
    log.add(
        "events",
        call(start - MICROSECOND, status),
        call(start, status),
        call(C - DAY, 399),
        call(C - DAY, 200),
        call(C - DAY, None),
        call(C - DAY, 200, ingested_at=C + GRACE - MICROSECOND),
        call(C - DAY, status, ingested_at=C + GRACE),
        call(C, status),
    )
    assert log.at(C)[feature] == 0.25


def test_kinds_of_failure_are_apart(log):
    log.add("events", *[call(C - DAY, status) for status in (401, 403, 429, 404, 499, 500, 599, 200)])
    row = log.at(C)
    kinds = ("error", "auth_error", "throttled", "client_error", "server_error")
    assert [row[f"{kind}_rate_28d"] for kind in kinds] == [7 / 8, 2 / 8, 1 / 8, 2 / 8, 2 / 8]


def test_a_rate_over_calls_without_a_status_is_null(log):
    log.add("events", call(C - DAY, None), call(C - 40 * DAY, 500))
    row = log.at(C)
    names = ("error_rate_7d", "error_rate_28d", "error_rate_7d_vs_prior_28d", "client_error_rate_28d")
    assert [row[name] for name in (*names, "auth_error_rate_7d", "worst_daily_error_rate_28d")] == [None] * 6


def test_the_smoothed_rate_against_the_prior_window(log):
    log.add(
        "events",
        call(C - 35 * DAY - MICROSECOND, 500),
        call(C - 35 * DAY, 500),
        call(C - 7 * DAY - MICROSECOND, 200),
        call(C - 7 * DAY - MICROSECOND, 200),
        call(C - 7 * DAY, 500),
        call(C - DAY, None),
        call(C, 500),
    )
    now, prior = (1 + 0.5) / (1 + 1), (1 + 0.5) / (3 + 1)
    assert log.at(C)["error_rate_7d_vs_prior_28d"] == pytest.approx(now / prior)


def test_an_error_day_has_5_calls_and_every_tenth_failing(log):
    log.add(
        "events",
        *[call(C - 28 * DAY, 200)] * 4,
        call(C - 28 * DAY, 500, ingested_at=C - 20 * DAY),  # the fifth call arrived late: still one day
        *[call(C - 3 * DAY, 500)] * 4,  # four calls are no day to judge
        call(C - 28 * DAY - MICROSECOND, 500),
    )
    assert log.at(C)["error_days_28d"] == 1


@pytest.mark.parametrize(("good", "expected"), [(9, 1), (10, 0)], ids=["10 %", "9.1 %"])
def test_an_error_day_starts_at_exactly_a_tenth(log, good, expected):
    log.add("events", *[call(C - DAY, 200)] * good, call(C - DAY, 404))
    assert log.at(C)["error_days_28d"] == expected


def test_error_days_are_null_while_the_log_has_no_status(log):
    log.add("events", *[call(C - DAY, None)] * 5)
    assert log.at(C)["error_days_28d"] is None


def test_error_days_are_0_for_a_quiet_account_in_a_log_with_statuses(log):
    log.add("events", call(C - 60 * DAY, None), call(C - DAY, 200, account_id="b"))
    assert log.at(C)["error_days_28d"] == 0


def test_the_worst_day_is_one_of_those_with_20_calls(log):
    log.add(
        "events",
        *[call(C - 28 * DAY, 200)] * 15,
        *[call(C - 28 * DAY, 500)] * 3,
        call(C - 28 * DAY, None),
        call(C - 28 * DAY, 404, ingested_at=C - DAY),  # the twentieth call arrived late: still one day
        *[call(C - 3 * DAY, 500)] * 19,  # 19 calls are no day to judge
        *[call(C - 28 * DAY - MICROSECOND, 500)] * 20,
        *[call(C, 500)] * 20,
    )
    assert log.at(C)["worst_daily_error_rate_28d"] == pytest.approx(4 / 19)


def test_no_worst_day_without_statuses_or_enough_calls(log):
    log.add("events", *[call(C - DAY, None)] * 20, *[call(C - 2 * DAY, 500)] * 19)
    assert log.at(C)["worst_daily_error_rate_28d"] is None


@pytest.mark.parametrize(
    ("good", "unanswered", "bad", "expected"),
    [(8, 0, 2, 1), (9, 0, 2, 0), (7, 0, 2, 0), (7, 1, 2, 1), (10, 0, 0, 0), (0, 10, 0, 0)],
    ids=["20 % of 10", "18 % of 11", "9 calls", "22 % of 9 with a status", "no failure", "no status"],
)
def test_an_endpoint_fails_from_10_calls_and_a_fifth_on(log, good, unanswered, bad, expected):
    log.add(
        "events",
        *[call(C - 28 * DAY, 200)] * good,
        *[call(C - DAY, None)] * unanswered,
        *[call(C - DAY, 500)] * bad,
        *[call(C - 28 * DAY - MICROSECOND, 500)] * 9,
        *[call(C - DAY, 200, account_id="b")] * 3,
    )
    assert log.at(C)["failing_endpoints_28d"] == expected


def test_an_endpoint_is_a_method_and_a_route(log):
    ten = [C - DAY] * 10
    log.add("events", *[call(day, 500, method="POST") for day in ten], *[call(day, 500, method=None) for day in ten])
    log.add("events", *[call(day, 500, endpoint=None) for day in ten], *[call(C - DAY, 500, method="PUT")] * 9)
    assert log.at(C)["failing_endpoints_28d"] == 2


@pytest.mark.parametrize("without", [{"status": None}, {"endpoint": None, "method": None}], ids=["status", "endpoint"])
def test_failing_endpoints_are_null_while_the_log_has_no_status_or_no_endpoint(log, without):
    log.add("events", *[call(C - DAY, 500) | without] * 10)
    assert log.at(C)["failing_endpoints_28d"] is None


@pytest.mark.parametrize(
    ("good", "bad", "expected"), [(60, 20, 5.0), (61, 20, None), (0, 19, None)], ids=["25 %", "24.7 %", "19 failures"]
)
def test_a_burst_is_a_day_with_20_failures_at_a_quarter(log, good, bad, expected):
    log.add("events", *[call(C - 5 * DAY, 200)] * good, *[call(C - 4 * DAY - MICROSECOND, 503)] * bad)
    assert log.at(C)["days_since_last_error_burst"] == expected


@pytest.mark.parametrize(("day", "expected"), [(91, 91.0), (92, None)])
def test_a_burst_is_looked_for_in_91_days(log, day, expected):
    log.add("events", *[call(C - day * DAY, 500)] * 20, *[call(C, 500)] * 20, call(C - DAY, 200))
    assert log.at(C)["days_since_last_error_burst"] == expected
