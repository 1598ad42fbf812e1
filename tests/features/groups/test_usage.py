"""Usage features of logs small enough to count."""

import math
from datetime import timedelta

import pytest

from features.windows import DAY, utc

BUILDS = ("usage",)
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


def test_a_successful_call_has_no_status_or_one_below_400(log):
    start = C - 28 * DAY
    log.add(
        "events",
        call(start - MICROSECOND),
        call(start),
        call(C - MICROSECOND, status=None),
        call(C - DAY, status=399),
        call(C - DAY, status=400),
        call(C - DAY, status=500),
        call(C),
        call(C - DAY, ingested_at=C + GRACE),
    )
    assert log.at(C)["successful_calls_28d"] == 3


@pytest.mark.parametrize(("feature", "days"), [("active_days_7d", 7), ("active_days_91d", 91)])
def test_active_days_lie_in_the_half_open_window(log, feature, days):
    start = C - days * DAY
    log.add("events", call(start - MICROSECOND), call(start), call(start), call(C - MICROSECOND), call(C))
    assert log.at(C)[feature] == 2


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


def test_the_year_before_is_the_28_days_that_end_364_days_before(log):
    log.add(
        "events",
        call(C - 392 * DAY - MICROSECOND),
        call(C - 392 * DAY),
        call(C - 364 * DAY - MICROSECOND),
        call(C - 364 * DAY),
        call(C - 100 * DAY),
        call(C - 28 * DAY - MICROSECOND),
        call(C - 28 * DAY),
        call(C),
    )
    assert log.at(C)["calls_28d_vs_year_ago"] == pytest.approx((1 + 1) / (2 + 1))


@pytest.mark.parametrize(
    ("first_day", "account", "expected"),
    [(392, 392, 0.5), (391, 392, None), (392, 391, None)],
    ids=["both old enough", "a log a day too young", "an account a day too young"],
)
def test_the_year_before_needs_a_log_and_an_account_as_old_as_both_windows(log, first_day, account, expected):
    log.add("accounts", {"created_at": C - account * DAY, "known_at": C - account * DAY})
    log.add("events", call(C - first_day * DAY, account_id="b"), call(C - 380 * DAY, account_id="b"))
    log.add("events", call(C - 370 * DAY))
    assert log.at(C)["calls_28d_vs_year_ago"] == expected


def test_the_year_before_is_null_when_both_windows_are_empty(log):
    log.add("events", call(C - 392 * DAY - MICROSECOND), call(C - 100 * DAY))
    assert log.at(C)["calls_28d_vs_year_ago"] is None


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


@pytest.mark.parametrize(
    "weeks",
    [
        [3, 7, 11, 2, 19, 5, 23, 5, 19, 2, 11, 7, 3],
        # 6 ln 4 - ln 2 - 5 ln 2 - 6 ln 2 is 0, and in floating point 5e-18 of another sign in each engine.
        [3, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 1, 1],
    ],
)
def test_a_line_without_a_slope_has_exactly_none(log, weeks):
    for week, calls in enumerate(weeks):
        log.add("events", *[call(C - (7 * week + 1) * DAY)] * calls)
    log.add("events", call(C - 92 * DAY))
    slope = log.at(C)["calls_weekly_slope_91d"]
    assert (slope, math.copysign(1, slope)) == (0, 1)


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


def test_days_since_the_last_success_leave_failures_out_and_look_back_over_everything_known(log):
    log.add(
        "events",
        call(C - 200 * DAY),
        call(C - 150 * DAY, status=None),
        call(C - 2 * DAY, status=404),
        call(C - DAY, ingested_at=C + GRACE),
        call(C),
    )
    row = log.at(C)
    assert (row["days_since_last_success"], row["days_since_last_call"]) == (150.0, 2.0)


def test_an_account_whose_calls_all_failed_has_no_last_success(log):
    log.add("events", call(C - DAY, status=500), call(C - DAY, account_id="b"))
    assert log.at(C)["days_since_last_success"] is None


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


def test_the_last_week_against_the_median_of_the_weeks_before(log):
    # The 6 whole weeks before the last hold 0, 0, 0, 1, 3 and 7 calls; the one 49 days and more ago is not whole.
    weeks = {7: 7, 14: 3, 21: 1, 48: 0}
    log.add("events", call(C - 49 * DAY, account_id="b"), call(C - 7 * DAY))
    log.add("accounts", {"created_at": C - 49 * DAY, "known_at": C - 49 * DAY})
    log.add("events", *[call(C - (days + 1) * DAY) for days, calls in weeks.items() for _ in range(calls)])
    log.add("events", call(C - DAY), call(C - 2 * DAY), call(C))
    middle = math.log(2) / 2
    away = sorted(abs(math.log(1 + calls) - middle) for calls in (0, 0, 0, 1, 3, 7))
    spread = (away[2] + away[3]) / 2
    # The call 7 days ago belongs to the last week, which has 3.
    assert log.at(C)["usage_anomaly_z_7d"] == pytest.approx((math.log(4) - middle) / (1.4826 * spread + 0.1))


@pytest.mark.parametrize(("weeks", "expected"), [(7, math.log(3) / 0.1), (13, math.log(3) / 0.1)])
def test_the_first_calls_after_silent_weeks_are_far_from_the_median(log, weeks, expected):
    log.add("accounts", {"created_at": C - weeks * 7 * DAY, "known_at": C - weeks * 7 * DAY})
    log.add("events", call(C - 99 * DAY, account_id="b"), call(C - 7 * DAY), call(C - MICROSECOND))
    assert log.at(C)["usage_anomaly_z_7d"] == pytest.approx(expected)


@pytest.mark.parametrize("too_young", ["account", "log"])
def test_no_anomaly_under_6_weeks_before_the_last(log, too_young):
    created = C - 49 * DAY + (MICROSECOND if too_young == "account" else -DAY)
    log.add("accounts", {"created_at": created, "known_at": created})
    log.add("events", call(C - (48 if too_young == "log" else 60) * DAY, account_id="b"), call(C - DAY))
    assert log.at(C)["usage_anomaly_z_7d"] is None


def test_only_the_12_weeks_before_make_the_usual_week(log):
    log.add("accounts", {"created_at": C - 200 * DAY, "known_at": C - 200 * DAY})
    log.add("events", call(C - 200 * DAY, account_id="b"), call(C - 91 * DAY - MICROSECOND))
    log.add("events", *[call(C - (7 * week + 7) * DAY) for week in range(1, 13)], call(C - DAY))
    assert log.at(C)["usage_anomaly_z_7d"] == pytest.approx(0)


def test_volatility_counts_idle_days_as_0(log):
    # 28 days with one call on one and three on another: mean 4 / 28, mean of squares 10 / 28.
    log.add(
        "events",
        call(C - 28 * DAY),
        *[call(C - DAY)] * 3,
        call(C - 28 * DAY - MICROSECOND),
        call(C),
    )
    deviation = math.sqrt(10 / 28 - (4 / 28) ** 2)
    assert log.at(C)["calls_volatility_28d"] == pytest.approx(deviation / (4 / 28))


def test_the_same_calls_every_day_do_not_vary(log):
    log.add("events", *[call(C - day * DAY) for day in range(1, 29)])
    assert log.at(C)["calls_volatility_28d"] == 0


def test_a_weekend_is_saturday_and_sunday_in_utc(log):
    # The cutoff is a Monday.
    log.add(
        "events",
        call(C - MICROSECOND),
        call(C - 2 * DAY),
        call(C - 2 * DAY - MICROSECOND),
        call(C - 3 * DAY),
        call(C - 28 * DAY),
        call(C - 28 * DAY - MICROSECOND),
        call(C),
    )
    assert log.at(C)["weekend_share_28d"] == pytest.approx(2 / 5)
    # Seen from the Saturday before, the two days of the last weekend are still to come.
    assert log.at(C - 2 * DAY)["weekend_share_28d"] == pytest.approx(1 / 4)


def test_rhythm_without_calls_is_null(log):
    log.add("events", call(C - 28 * DAY - MICROSECOND))
    row = log.at(C)
    assert (row["calls_volatility_28d"], row["weekend_share_28d"]) == (None, None)


@pytest.mark.parametrize("who", ["user", "token"])
def test_weekly_people_are_distinct_in_the_last_7_days(log, who):
    key = {"user": "user_id", "token": "token"}[who]
    log.add(
        "events",
        call(C - 7 * DAY - MICROSECOND, **{key: "a"}),
        call(C - 7 * DAY, **{key: "b"}),
        call(C - MICROSECOND, **{key: "b"}),
        call(C - DAY, **{key: "c"}),
        call(C - DAY),
        call(C, **{key: "d"}),
        call(C - DAY, ingested_at=C + GRACE, **{key: "e"}),
    )
    assert log.at(C)[f"active_{who}s_7d"] == 2


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


@pytest.mark.parametrize("who", ["user", "token"])
def test_weekly_people_against_the_week_before(log, who):
    key = {"user": "user_id", "token": "token"}[who]
    log.add(
        "events",
        call(C - 14 * DAY - MICROSECOND, **{key: "1"}),
        call(C - 14 * DAY, **{key: "2"}),
        call(C - 7 * DAY - MICROSECOND, **{key: "3"}),
        call(C - 7 * DAY, **{key: "3"}),
        call(C, **{key: "4"}),
    )
    assert log.at(C)[f"active_{who}s_7d_vs_prior_7d"] == pytest.approx(2 / 3)


def test_a_log_without_users_or_tokens_has_no_people(log):
    log.add("events", call(C - 20 * DAY), call(C - DAY))
    row = log.at(C)
    assert [row[name] for name in ("active_users_28d", "active_tokens_28d", "top_user_share_28d")] == [None] * 3
    for who in ("users", "tokens"):
        assert (row[f"active_{who}_7d"], row[f"active_{who}_7d_vs_prior_7d"]) == (None, None)


def test_an_account_without_users_in_a_log_that_has_them_counts_0(log):
    log.add("events", call(C - DAY), call(C - DAY, account_id="b", user_id="u", token="t"))
    row = log.at(C)
    assert [row[f"active_{name}"] for name in ("users_7d", "users_28d", "tokens_7d", "tokens_28d")] == [0] * 4
