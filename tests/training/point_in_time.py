"""What a training frame must hold, in plain Python: one account and one cutoff at a time, nothing but loops."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import Any

DAY = timedelta(days=1)
RENEWING = {"start", "renew", "upgrade", "reactivate"}


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


def in_order(changes: Sequence[Change]) -> list[Change]:
    """By time, knowledge and file; a notice keeps what was."""
    rows: list[Change] = []
    held: Change | None = None
    for row in sorted(changes, key=lambda r: (r.occurred, r.known, r.order)):
        if row.kind == "cancel_notice" and held is not None:
            rows.append(replace(row, plan=row.plan or held.plan, mrr=row.mrr or held.mrr, ends=row.ends or held.ends))
        else:
            held = row
            rows.append(row)
    return rows


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
    is_known = lambda row: row.occurred < c and row.known < c + rules.grace  # noqa: E731
    rows = in_order([row for row in mine if is_known(row)])
    if not rows:
        return None
    began, has_started = None, False
    for place, row in enumerate(rows):
        before = rows[place - 1] if place else None
        returns = before is not None and (
            before.kind == "cancel" or (before.ends is not None and before.ends + rules.renewal <= row.occurred)
        )
        if row.kind == "reactivate" or (row.kind == "start" and (not has_started or returns)):
            began = row.occurred
        has_started |= row.kind == "start"
    now = rows[-1]
    if now.kind == "cancel":
        return "cancelled"
    if now.ends is not None and now.ends + rules.renewal <= c:
        return "expired"
    if began is not None and began > c - rules.tenure:
        return "too_new"
    if upsell:
        order = ranks([row for row in everybody if is_known(row)])
        named = [row.plan for row in rows if row.plan is not None and row.kind not in {"cancel", "cancel_notice"}]
        if named and order.get(named[-1]) == max(order.values()):
            return "top_plan"
    return "ok"


def departures(mine: Sequence[Change], until: datetime, rules: Rules) -> list[tuple[datetime, datetime | None]]:
    """When the account left, and when it came back."""
    rows = in_order([row for row in mine if row.known <= until])

    def renews(row: Change) -> bool:
        return row.kind in RENEWING or (row.kind == "downgrade" and row.ends is not None and row.ends > row.occurred)

    found: list[tuple[datetime, datetime | None]] = []
    is_away = False
    for place, row in enumerate(rows):
        rest = rows[place + 1 :]
        is_away &= not renews(row)
        left = []
        if row.kind == "cancel" and not any(
            r.kind in {"start", "reactivate"} and r.occurred < row.occurred + rules.reactivation for r in rest
        ):
            left.append(row.occurred)
        if (
            row.kind != "cancel"
            and row.ends is not None
            and row.occurred < row.ends
            and not any(r.occurred < row.ends for r in rest)
            and not any(renews(r) and r.occurred < row.ends + rules.renewal for r in rest)
        ):
            left.append(row.ends)
        if left and not is_away:
            found.append((min(left), next((r.occurred for r in rest if renews(r)), None)))
            is_away = True
    return found


def upgrades(mine: Sequence[Change], everybody: Sequence[Change], c: datetime, until: datetime) -> Iterator[datetime]:
    """When the account came to pay for more than at the cutoff."""
    order = ranks([row for row in everybody if row.known <= until])
    plan = before = held = price = mrr = None
    kind_before = None
    for row in sorted((row for row in mine if row.known <= until), key=lambda r: (r.occurred, r.known, r.order)):
        is_return, kind_before = kind_before == "cancel", row.kind
        if row.kind in {"cancel", "cancel_notice"}:
            continue
        before, plan, mrr = plan, row.plan or plan, mrr if row.mrr is None else row.mrr
        if row.occurred < c:
            held, price = plan, mrr
            continue
        three = [order.get(name) if name else None for name in (plan, before, held)]
        is_larger = None not in three and three[0] > max(three[1:]) and not is_return
        is_dearer = row.kind == "upgrade" and None not in (mrr, price) and mrr * 10 >= price * 11 > 0
        if is_larger or is_dearer:
            yield row.occurred


def features(calls: Sequence[Call], mine: Sequence[Change], c: datetime, rules: Rules) -> dict[str, Any]:
    """A few features of one account as known at a cutoff."""
    seen = [call for call in calls if call.time < c and call.arrived < c + rules.grace]
    month = [call for call in seen if call.time >= c - 28 * DAY]
    rows = in_order([row for row in mine if row.occurred < c and row.known < c + rules.grace])
    return {
        "calls_7d": sum(call.time >= c - 7 * DAY for call in seen),
        "calls_28d": len(month),
        "active_days_28d": len({call.time.date() for call in month}),
        "days_since_last_call": min(((c - call.time) / DAY for call in seen), default=None),
        "error_rate_28d": sum(call.status >= 400 for call in month) / len(month) if month else None,
        "plan": rows[-1].plan if rows else None,
        "mrr": rows[-1].mrr if rows else None,
    }
