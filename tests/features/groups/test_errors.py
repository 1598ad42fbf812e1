"""Error features of logs small enough to count."""

from datetime import timedelta

import pytest

from features.windows import DAY, utc

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
        ("server_error_rate_28d", 28, 500),
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
    assert [row[f"{kind}_rate_28d"] for kind in ("error", "auth_error", "throttled", "server_error")] == [
        7 / 8,
        2 / 8,
        1 / 8,
        2 / 8,
    ]


def test_a_rate_over_calls_without_a_status_is_null(log):
    log.add("events", call(C - DAY, None), call(C - 40 * DAY, 500))
    row = log.at(C)
    assert (row["error_rate_7d"], row["error_rate_28d"], row["error_rate_7d_vs_prior_28d"]) == (None, None, None)


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
