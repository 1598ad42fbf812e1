"""What two subscriptions make together, and when: tables with a row on each boundary."""

from datetime import timedelta

import pandas as pd
import pytest

from features.subscriptions.known import known_states, state_known_at, states_at
from features.windows import DAY, utc
from tests.features.subscriptions.test_states import frame, plain
from tests.subscription_oracle import Row

C = utc(2026, 6, 29)
TICK = timedelta(microseconds=1)
DAYS = {"grace_hours": 6, "renewal_grace_days": 14, "reactivation_days": 14}


def row(days, kind, plan="pro", mrr=100.0, quota=None, ends=None, known=None, name=None, account="a"):
    at = C + days * DAY if isinstance(days, int) else C + days
    return Row(account, at, known or at, kind, plan, mrr, quota, ends, 0, name)


def state(*rows):
    every = [Row(**{**each.__dict__, "order": order}) for order, each in enumerate(rows)]
    seen = states_at(known_states(frame(every), **DAYS), C)
    pd.testing.assert_frame_equal(
        seen.drop(columns=["known_from", "known_until", "place"]),
        state_known_at(frame(every), C, **DAYS)[seen.drop(columns=["known_from", "known_until", "place"]).columns],
    )
    names = ("plan", "mrr", "quota_calls_per_month", "is_subscribed")
    return tuple(plain(seen.loc["a", name]) for name in names)


START = row(-200, "start", "pro", 100.0, 1000.0, name="x")
ADDON = row(-90, "start", "addon", 20.0, 50.0, name="y")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([START, ADDON], ("pro", 120.0, 1050.0, True)),
        ([START, row(-90, "start", "addon", 20.0, None, name="y")], ("pro", 120.0, None, True)),  # one is unlimited
        ([START, row(-90, "start", "big", 100.0, 50.0, name="y")], ("pro", 200.0, 1050.0, True)),  # the older
        (
            [START, row(0, "start", "addon", 20.0, 50.0, name="y")],
            ("pro", 100.0, 1000.0, True),
        ),  # not before the cutoff
        ([START, row(-TICK, "start", "addon", 20.0, 50.0, name="y")], ("pro", 120.0, 1050.0, True)),
        ([START, ADDON, row(-9, "cancel", "addon", 20.0, name="y")], ("pro", 100.0, 1000.0, True)),
        ([START, ADDON, row(-9, "cancel", "pro", name="x")], ("addon", 20.0, 50.0, True)),
        (
            [START, ADDON, row(-9, "cancel", "pro", name="x"), row(-8, "cancel", "addon", name="y")],
            ("addon", 0.0, None, False),
        ),
        (
            [START, ADDON, row(-9, "cancel", "addon", name="y", known=C + timedelta(hours=6))],
            ("pro", 120.0, 1050.0, True),
        ),
        (
            [START, ADDON, row(-9, "cancel", "addon", name="y", known=C + timedelta(hours=6) - TICK)],
            ("pro", 100.0, 1000.0, True),
        ),
        ([START, row(-90, "start", "addon", 20.0, 50.0, C - 14 * DAY, name="y")], ("pro", 100.0, 1000.0, True)),
        ([START, row(-90, "start", "addon", 20.0, 50.0, C - 14 * DAY + TICK, name="y")], ("pro", 120.0, 1050.0, True)),
        ([START, ADDON, row(-9, "renew", None, None, 50.0, name="y")], ("pro", 120.0, 1050.0, True)),
    ],
)
def test_the_state_is_over_all_subscriptions(rows, expected):
    assert state(*rows) == expected


@pytest.mark.parametrize(
    ("rows", "days"),
    [
        ([START, ADDON], 200),
        ([START, ADDON, row(-50, "cancel", "addon", name="y"), row(-9, "reactivate", "addon", name="y")], 200),
        ([START, ADDON, row(-50, "cancel", "pro", name="x")], 200),  # moved to another plan
        ([START, row(-20, "cancel", "pro", name="x"), row(-6 - 0, "start", "new", name="y")], 6),  # 14 days: came back
        ([START, row(-20, "cancel", "pro", name="x"), row(-6 * DAY - TICK, "start", "new", name="y")], 200),
        ([START, row(-20, "cancel", "pro", name="x"), row(-16, "reactivate", "pro", name="x")], 16),
    ],
)
def test_a_customer_is_one_since_its_first_subscription_unless_nothing_ran(rows, days):
    every = [Row(**{**each.__dict__, "order": order}) for order, each in enumerate(rows)]
    since = states_at(known_states(frame(every), **DAYS), C).loc["a", "customer_since"]
    assert (C - since.to_pydatetime()) // DAY == days


def test_two_unchanged_subscriptions_that_renew_are_no_plan_changes():
    rows = [START, ADDON]
    for month in range(1, 4):
        rows += [
            row(-90 + 28 * month, "renew", "addon", 20.0, 50.0, name="y"),
            row(-90 + 28 * month, "renew", name="x"),
        ]
    for ids in (True, False):
        every = [Row(**{**each.__dict__, "order": n, "id": each.id if ids else None}) for n, each in enumerate(rows)]
        assert not known_states(frame(every), **DAYS)["is_plan_change"].any()
