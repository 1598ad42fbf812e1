"""Departures and MRR of drawn lives of customers equal what their intervals say, counted without the product's code."""

import random
from collections import defaultdict
from datetime import datetime, timedelta

import numpy as np
import pandas as pd
import pytest

from features.subscriptions.known import known_states, states_at
from features.windows import utc
from training.labels.departures import churn_events

DAY = timedelta(days=1)
BEGIN = utc(2026, 1, 1)
PRICES = {"basic": 50.0, "pro": 100.0, "gold": 200.0, "max": 400.0}
RULES = {"renewal_grace_days": 14, "reactivation_days": 14}

Interval = tuple[datetime, datetime | None, float, int]
"""From, until (none: it goes on), MRR, and days for which a term that passed is still in force."""


class Drawn:
    """Rows and intervals of some accounts."""

    def __init__(self, seed: int, accounts: int) -> None:
        self.chance, self.rows, self.lives = random.Random(seed), [], defaultdict(list)
        for number in range(accounts):
            self.draw(f"a{number:03d}")

    def row(self, account, at, kind, plan=None, mrr=np.nan, name=None, term=None):
        times = {"occurred_at": at, "known_at": at, "term_end": term}
        values = {"plan": plan, "mrr": mrr, "quota_calls_per_month": np.nan, "source_order": len(self.rows)}
        self.rows.append({"account_id": account, "subscription_id": name, "kind": kind, **times, **values})

    def frame(self) -> pd.DataFrame:
        frame = pd.DataFrame(self.rows)
        for name in ("occurred_at", "known_at", "term_end"):
            frame[name] = pd.to_datetime(frame[name], utc=True).astype("datetime64[us, UTC]")
        return frame

    def draw(self, account: str) -> None:
        raise NotImplementedError


class Several(Drawn):
    """Up to three subscriptions with ids, monthly or without a term, which end and come back."""

    def draw(self, account):
        pick = self.chance.choice
        for name in range(pick([1, 2, 2, 3])):
            plan, begin = pick([*PRICES]), BEGIN + DAY * self.chance.randint(0, 100)
            price, is_monthly = PRICES[plan], pick([True, False])
            for life in range(pick([1, 2, 3])):
                kind = pick(["start", "reactivate"]) if life else "start"
                end, grace = begin + DAY * self.chance.randint(1, 80), 0
                if is_monthly:
                    end = begin
                    for month in range(pick([1, 2, 3])):
                        late = DAY * pick([0, 0, -2, 3, 13]) if month else 0 * DAY
                        following = end + 30 * DAY
                        self.row(account, end + late, "renew" if month else kind, plan, price, f"s{name}", following)
                        end = following
                    grace = 14
                else:
                    self.row(account, begin, kind, plan, price, f"s{name}")
                if not is_monthly and pick([True, False, False]):
                    self.lives[account].append((begin, None, price, 0))
                    break
                if not is_monthly or pick([True, False]):
                    end -= DAY * self.chance.randint(1, 10) if is_monthly else 0 * DAY
                    grace = 0
                    self.row(account, end, "cancel", pick([plan, None]), pick([price, 0.0, np.nan]), f"s{name}")
                self.lives[account].append((begin, end, price, grace))
                begin = end + DAY * pick([15, 20, 40] if grace else [1, 3, 13, 14, 15, 40])


class Migrating(Drawn):
    """Customers without ids whose new plan starts before the old one is cancelled, with its name or without."""

    def draw(self, account):
        pick = self.chance.choice
        plan, begin, is_named = pick([*PRICES]), BEGIN + DAY * self.chance.randint(0, 20), pick([True, True, False])
        self.row(account, begin, "start", plan, PRICES[plan])
        for _ in range(pick([0, 1, 2, 3])):
            following, old = begin + DAY * self.chance.randint(30, 50), plan
            if pick([True, False, False]):
                self.row(account, begin + 10 * DAY, "renew", pick([plan, None]), PRICES[plan])
            plan = pick([name for name in PRICES if name != old])
            end = following + DAY * pick([0, 0, 1, 3, 13, 14, 20, 28])
            self.row(account, following, "start", plan, PRICES[plan])
            self.row(account, end, "cancel", old if is_named else None, pick([np.nan, PRICES[old], 0.0]))
            self.lives[account].append((begin, end, PRICES[old], 0))
            begin = following
        end = pick([None, begin + DAY * self.chance.randint(29, 60)])
        if end is not None:
            self.row(account, end, "cancel", plan if is_named else None)
        self.lives[account].append((begin, end, PRICES[plan], 0))


def departures(lives: list[Interval]) -> set[datetime]:
    """Ends after which nothing runs, and nothing begins within 14 days."""
    return {
        end
        for _, end, _, _ in lives
        if end is not None
        and not any(begin <= end and (until is None or until > end) for begin, until, _, _ in lives)
        and not any(end <= begin < end + 14 * DAY for begin, _, _, _ in lives)
    }


def paid(lives: list[Interval], cutoff: datetime) -> float:
    """MRR of what had begun before the cutoff, and had not been cancelled before it, or lapsed at it."""
    tick = timedelta(microseconds=1)
    return sum(
        price
        for begin, end, price, grace in lives
        if begin < cutoff and (end is None or (end + grace * DAY - tick if grace else end) >= cutoff)
    )


@pytest.mark.parametrize("drawn", [Several(11, 150), Migrating(12, 150)], ids=["with ids", "without"])
def test_customers_leave_and_pay_as_their_intervals_say(drawn):
    rows = drawn.frame()
    left = churn_events(rows, complete_until=utc(2027, 12, 1), **RULES)
    times = left.groupby("account_id")["event_time"].apply(lambda moments: {at.to_pydatetime() for at in moments})
    assert {account: times.get(account, set()) for account in drawn.lives} == {
        account: departures(lives) for account, lives in drawn.lives.items()
    }
    states = known_states(rows, grace_hours=6, **RULES)
    for weeks in range(1, 40, 3):
        cutoff = BEGIN + weeks * 7 * DAY
        mrr = states_at(states, cutoff)["mrr"].to_dict()
        assert mrr == {a: paid(lives, cutoff) for a, lives in drawn.lives.items() if a in mrr}
