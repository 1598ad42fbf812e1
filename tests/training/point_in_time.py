"""What a training frame must hold, in plain Python: one account and one cutoff at a time, nothing but loops."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import median
from typing import Any

from tests import subscription_oracle as subscriptions
from tests.subscription_oracle import Row

DAY = timedelta(days=1)


@dataclass(frozen=True)
class Rules:
    """The settings that matter."""

    grace: timedelta
    horizon: timedelta
    lead: timedelta
    renewal: timedelta
    reactivation: timedelta
    tenure: timedelta


@dataclass(frozen=True)
class Change:
    """One subscription event; ``order`` is its position in the file."""

    account: str
    occurred: datetime
    known: datetime
    kind: str
    plan: str | None
    mrr: float | None
    ends: datetime | None
    order: int


@dataclass(frozen=True)
class Call:
    """One call."""

    account: str
    time: datetime
    arrived: datetime
    status: int


def as_rows(changes: Sequence[Change]) -> list[Row]:
    """The rows as the oracle of subscriptions reads them."""
    return [Row(r.account, r.occurred, r.known, r.kind, r.plan, r.mrr, None, r.ends, r.order) for r in changes]


def ranks(changes: Sequence[Change]) -> dict[str, int]:
    """Plans by median MRR."""
    prices: dict[str, list[float]] = {}
    for row in changes:
        if row.plan is not None and row.mrr is not None:
            prices.setdefault(row.plan, []).append(row.mrr)
    middle = {plan: median(found) for plan, found in prices.items()}
    return {plan: sorted(set(middle.values())).index(price) for plan, price in middle.items()}


def status(
    mine: Sequence[Change], everybody: Sequence[Change], c: datetime, rules: Rules, *, upsell: bool
) -> str | None:
    """Status of one account as known at a cutoff; None where no subscription event is known."""
    state = subscriptions.as_known(as_rows(mine), c, rules.grace, days_of(rules))
    if state is None:
        return None
    if not state["is_subscribed"]:
        return "cancelled" if state["is_cancelled"] else "expired"
    if state["since"] is not None and state["since"] > c - rules.tenure:
        return "too_new"
    if upsell:
        order = ranks([row for row in everybody if row.occurred < c and row.known < c + rules.grace])
        if order.get(state["plan"]) == max(order.values(), default=None):
            return "top_plan"
    return "ok"


def departures(mine: Sequence[Change], until: datetime, rules: Rules) -> list[tuple[datetime, datetime | None]]:
    """When the account left, and when it came back."""
    return subscriptions.departures(as_rows(mine), until, days_of(rules))


def upgrades(
    mine: Sequence[Change], everybody: Sequence[Change], c: datetime, until: datetime, rules: Rules
) -> Iterator[datetime]:
    """When the account came to pay for more than at the cutoff."""
    order = ranks([row for row in everybody if row.known <= until])
    return subscriptions.upgrades(as_rows(mine), order, c, until, days_of(rules))


def days_of(rules: Rules) -> subscriptions.Days:
    return subscriptions.Days(rules.renewal, rules.reactivation)


def features(calls: Sequence[Call], mine: Sequence[Change], c: datetime, rules: Rules) -> dict[str, Any]:
    """A few features of one account as known at a cutoff."""
    seen = [call for call in calls if call.time < c and call.arrived < c + rules.grace]
    month = [call for call in seen if call.time >= c - 28 * DAY]
    state = subscriptions.as_known(as_rows(mine), c, rules.grace, days_of(rules)) or {"plan": None, "mrr": None}
    return {
        "calls_7d": sum(call.time >= c - 7 * DAY for call in seen),
        "calls_28d": len(month),
        "active_days_28d": len({call.time.date() for call in month}),
        "days_since_last_call": min(((c - call.time) / DAY for call in seen), default=None),
        "error_rate_28d": sum(call.status >= 400 for call in month) / len(month) if month else None,
        "plan": state["plan"],
        "mrr": state["mrr"],
    }
