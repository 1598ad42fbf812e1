"""The forecast against the quota, of weeks simple enough to continue in the head."""

from datetime import timedelta

import pytest

from features.windows import DAY, utc

BUILDS = ("commercial",)
C = utc(2026, 6, 29)  # a Monday: June has this and the next day, July and August 31 days each
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)
SHARE_DAYS = 30 / 30.4375


def subscribe(log, *accounts, **quotas):
    """Add a subscription for each account and quota."""
    for account, quota in {**dict.fromkeys(accounts), **quotas}.items():
        log.add(
            "subscriptions",
            {"account_id": account, "kind": "start", "occurred_at": C - DAY, "quota_calls_per_month": quota},
        )


def calls(log, ages, *accounts):
    """Add a successful call of each account on the days of these ages: 1 is the day before the cutoff."""
    for account in accounts:
        log.add("events", *[{"account_id": account, "event_time": C - age * DAY} for age in ages])


def found(log, *accounts, cutoff=C):
    """Forecast share times the quota's days, and days to the quota, by account."""
    table = log.table(cutoff)
    return [
        (table[account, cutoff]["quota_forecast_share_30d"], table[account, cutoff]["days_to_quota"])
        for account in accounts
    ]


def test_one_call_a_day_goes_on_month_by_month(log):
    quotas = {"used": 27, "reached": 28, "tomorrow": 29, "july": 30, "never": 31}
    calls(log, range(1, 92), *quotas)
    subscribe(log, **quotas)
    # June ends with 30 calls; July and August have 31, and a quota of 31 is reached, not passed.
    expected = {"used": 0, "reached": 0, "tomorrow": 1, "july": 32, "never": None}
    assert found(log, *quotas) == [
        (pytest.approx(30 / (quota * SHARE_DAYS)), expected[name]) for name, quota in quotas.items()
    ]


def test_a_weekday_keeps_its_share(log):
    for account, age in (("monday", 7), ("tuesday", 6), ("sunday", 1)):
        calls(log, [age + 7 * week for week in range(13) for _ in range(7)], account)
    subscribe(log, monday=30, tuesday=30, sunday=30)
    # 28 calls in June so far. 30 days from a Monday hold 5 Mondays, 5 Tuesdays and 4 Sundays; five Sundays make
    # 35 calls of August, and its last is the 30th.
    share = 7 / (30 * SHARE_DAYS)
    assert found(log, "monday", "tuesday", "sunday") == [
        (pytest.approx(5 * share), 0),
        (pytest.approx(5 * share), 1),
        (pytest.approx(4 * share), 62),
    ]


def test_the_line_goes_on_rising_up_to_twice_the_best_week(log):
    calls(log, range(1, 50), "capped", "below")  # seven weeks of 7 calls after six of none
    calls(log, [91], "log begins")
    subscribe(log, capped=62, below=60)
    # The line is 7 (7/13 + (6 + k) 21/182) calls in week k: 9.42 in the first, and over 14 from week 7 on, which
    # begins on 10 August. Capped there, August has 61.08 calls, without the cap 64.7.
    weeks = [7 * (7 / 13 + (6 + week) * 21 / 182) for week in (1, 2, 3, 4, 5)]
    thirty_days = sum(weeks[:4]) + weeks[4] * 2 / 7
    assert found(log, "capped", "below") == [
        (pytest.approx(thirty_days / (62 * SHARE_DAYS)), None),
        (pytest.approx(thirty_days / (60 * SHARE_DAYS)), 63),
    ]


def test_a_line_below_0_forecasts_nothing(log):
    calls(log, range(50, 92), "fading")
    log.add("events", {"account_id": "silent", "event_time": C - 92 * DAY})
    subscribe(log, fading=1, silent=1)
    assert found(log, "fading", "silent") == [(0.0, None), (0.0, None)]


def test_only_successful_calls_of_the_window_known_in_time_count(log):
    first = C - 91 * DAY
    log.add(
        "events",
        {"event_time": first - MICROSECOND},
        {"event_time": first},
        {"event_time": C - DAY, "status": None},
        {"event_time": C - DAY, "ingested_at": C + GRACE - MICROSECOND},
        {"event_time": C - DAY, "status": 429},
        {"event_time": C - DAY, "ingested_at": C + GRACE},
        {"event_time": C},
    )
    subscribe(log, a=1)
    # Sums of 2 in the newest week and 1 in the oldest: mean 3/13, slope 6/182. All of this on two weekdays, Monday
    # (1 of 3) and Sunday (2 of 3), so of the days after the fourth week the Monday has 7/3 of an average day.
    weeks = [3 / 13 + (6 + week) * 6 / 182 for week in (1, 2, 3, 4, 5)]
    ((share, days),) = found(log, "a")
    assert share == pytest.approx((sum(weeks[:4]) + weeks[4] / 3) / SHARE_DAYS)
    assert days == 0  # 2 calls in June already


@pytest.mark.parametrize(("age", "is_null"), [(91, False), (90, True)])
def test_a_log_younger_than_13_weeks_forecasts_nothing(log, age, is_null):
    calls(log, [age], "other")
    calls(log, range(1, 8), "a")
    subscribe(log, a=1)
    ((share, days),) = found(log, "a")
    assert (share is None, days is None) == (is_null, is_null)


def test_without_a_quota_there_is_nothing_to_pass(log):
    calls(log, range(1, 92), "unlimited", "zero", "nobody")
    subscribe(log, "unlimited", zero=0)
    assert found(log, "unlimited", "zero", "nobody") == [(None, None)] * 3


def test_a_month_that_begins_at_the_cutoff_begins_with_0_calls(log):
    july = utc(2026, 7, 1)
    calls(log, range(-1, 92), "a", "b")
    subscribe(log, a=0, b=1)
    log.add(
        "subscriptions",
        {"account_id": "a", "kind": "upgrade", "occurred_at": C, "quota_calls_per_month": 30},
    )
    assert [days for _, days in found(log, "a", "b", cutoff=july)] == [30, 1]
