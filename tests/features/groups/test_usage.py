"""Usage features of logs small enough to count."""

import math
from datetime import timedelta

import pytest

from features.windows import DAY, utc

C = utc(2026, 6, 29)
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)


def call(event_time, **row):
    return {"event_time": event_time, **row}


@pytest.mark.parametrize(("feature", "days"), [("calls_7d", 7), ("calls_28d", 28), ("calls_91d", 91)])
def test_calls_lie_in_the_half_open_window_and_had_arrived(log, feature, days):
    start = C - days * DAY
    log.add(
        "events",
        call(start - MICROSECOND),
        call(start),
        call(C - MICROSECOND),
        call(C),
        call(C - DAY, ingested_at=C + GRACE - MICROSECOND),
        call(C - DAY, ingested_at=C + GRACE),
        call(C - DAY, synthetic=True),
    )
    assert log.at(C)[feature] == 3


def test_an_active_day_counts_once_however_late_its_calls_arrive(log):
    log.add(
        "events",
        call(C - 28 * DAY),
        call(C - 28 * DAY - MICROSECOND),
        call(C - 2 * DAY),
        call(C - 2 * DAY, ingested_at=C - DAY / 2),
        call(C - DAY, ingested_at=C + GRACE),
        call(C),
    )
    assert log.at(C)["active_days_28d"] == 2


@pytest.mark.parametrize(("feature", "days"), [("calls_7d_vs_prior_7d", 7), ("calls_28d_vs_prior_28d", 28)])
def test_a_count_ratio_compares_two_neighbouring_windows(log, feature, days):
    log.add(
        "events",
        call(C - 2 * days * DAY - MICROSECOND),
        call(C - 2 * days * DAY),
        call(C - days * DAY - MICROSECOND),
        call(C - days * DAY),
        call(C),
    )
    assert log.at(C)[feature] == pytest.approx((1 + 1) / (2 + 1))


@pytest.mark.parametrize(
    ("first_call", "expected"),
    [(C - 14 * DAY, 1.5), (C - 14 * DAY + MICROSECOND, None)],
    ids=["old enough", "a microsecond too young"],
)
def test_a_count_ratio_needs_an_account_as_old_as_both_windows(log, first_call, expected):
    log.add("events", call(C - 30 * DAY, account_id="b"), call(first_call), call(C - DAY), call(C - DAY))
    assert log.at(C)["calls_7d_vs_prior_7d"] == expected


def test_a_count_ratio_needs_a_log_as_old_as_both_windows(log):
    log.add("accounts", {"created_at": C - 400 * DAY, "known_at": C - 400 * DAY})
    log.add("events", call(C - 13 * DAY), call(C - DAY))
    assert log.at(C)["calls_7d_vs_prior_7d"] is None


def test_a_count_ratio_is_null_when_both_windows_are_empty(log):
    log.add("events", call(C - 60 * DAY))
    row = log.at(C)
    assert (row["calls_7d_vs_prior_7d"], row["calls_28d_vs_prior_28d"]) == (None, None)


def test_the_slope_of_a_steady_doubling_is_ln_2(log):
    # 1 + calls doubles in each of the last three weeks; the ten before them are empty.
    log.add("events", call(C - 91 * DAY), *[call(C - DAY)] * 7, *[call(C - 8 * DAY)] * 3, call(C - 15 * DAY))
    terms = {6: math.log(8), 5: math.log(4), 4: math.log(2), -6: math.log(2)}
    assert log.at(C)["calls_weekly_slope_91d"] == pytest.approx(sum(x * y for x, y in terms.items()) / 182)


def test_the_slope_needs_13_weeks(log):
    log.add("events", call(C - 91 * DAY + MICROSECOND), call(C - DAY))
    # The log's first day is complete, the account's is not.
    assert log.at(C)["calls_weekly_slope_91d"] is None


def test_the_drop_from_the_peak(log):
    log.add("events", *[call(C - 91 * DAY)] * 4, call(C - 91 * DAY - MICROSECOND), call(C - 7 * DAY), call(C))
    assert log.at(C)["calls_drop_from_peak_91d"] == 0.75


def test_no_peak_in_a_log_younger_than_13_weeks(log):
    log.add("events", *[call(C - 90 * DAY)] * 4, call(C - DAY))
    assert log.at(C)["calls_drop_from_peak_91d"] is None


def test_no_peak_without_calls(log):
    log.add("events", call(C - 91 * DAY - MICROSECOND))
    assert log.at(C)["calls_drop_from_peak_91d"] is None


def test_days_since_the_last_call_look_back_over_everything_known(log):
    log.add("events", call(C - 150 * DAY), call(C - 200 * DAY), call(C - DAY, ingested_at=C + GRACE), call(C))
    assert log.at(C)["days_since_last_call"] == 150.0


def test_days_since_the_last_call_are_fractions(log):
    log.add("events", call(C - MICROSECOND))
    assert log.at(C)["days_since_last_call"] == pytest.approx(1 / 86_400_000_000, rel=1e-9)


def test_an_account_that_never_called_has_counts_of_0_and_no_silence(log):
    log.add("accounts", {"created_at": C - 100 * DAY, "known_at": C - 100 * DAY})
    row = log.at(C)
    assert (row["calls_7d"], row["calls_91d"], row["active_days_28d"], row["days_since_last_call"]) == (0, 0, 0, None)


def test_silence_against_the_own_rhythm_uses_the_median_gap(log):
    # Active 91, 90, 50 and 20 days ago: gaps 1, 40, 30 (the one from 92 days ago lies outside).
    log.add("events", *[call(C - days * DAY) for days in (92, 91, 90, 50, 20)], call(C - 20 * DAY))
    assert log.at(C)["silence_vs_own_rhythm"] == pytest.approx(20 / 30)


def test_no_rhythm_under_3_active_days(log):
    log.add("events", call(C - 92 * DAY), call(C - 10 * DAY), call(C - 3 * DAY), call(C - 3 * DAY))
    assert log.at(C)["silence_vs_own_rhythm"] is None


def test_people_are_distinct_users_and_tokens_of_the_window(log):
    old, now = C - 28 * DAY - MICROSECOND, C - 28 * DAY
    log.add(
        "events",
        call(old, user_id="u1", token="t1"),
        call(now, user_id="u2", token="t2"),
        call(C - DAY, user_id="u2", token="t3"),
        call(C - DAY, user_id="u3"),
        call(C - DAY),
        call(C, user_id="u4", token="t4"),
        call(C - DAY, user_id="u5", token="t5", ingested_at=C + GRACE),
    )
    row = log.at(C)
    assert (row["active_users_28d"], row["active_tokens_28d"]) == (2, 2)
    assert row["top_user_share_28d"] == pytest.approx(2 / 3)


def test_weekly_users_against_the_week_before(log):
    log.add(
        "events",
        call(C - 14 * DAY - MICROSECOND, user_id="u1"),
        call(C - 14 * DAY, user_id="u2"),
        call(C - 7 * DAY - MICROSECOND, user_id="u3"),
        call(C - 7 * DAY, user_id="u3"),
        call(C, user_id="u4"),
    )
    assert log.at(C)["active_users_7d_vs_prior_7d"] == pytest.approx(2 / 3)


def test_a_log_without_users_or_tokens_has_no_people(log):
    log.add("events", call(C - 20 * DAY), call(C - DAY))
    row = log.at(C)
    assert [row[name] for name in ("active_users_28d", "active_tokens_28d", "top_user_share_28d")] == [None] * 3
    assert row["active_users_7d_vs_prior_7d"] is None


def test_an_account_without_users_in_a_log_that_has_them_counts_0(log):
    log.add("events", call(C - DAY), call(C - DAY, account_id="b", user_id="u", token="t"))
    row = log.at(C)
    assert (row["active_users_28d"], row["active_tokens_28d"]) == (0, 0)
