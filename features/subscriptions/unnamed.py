"""Tells the subscriptions of an account apart where its rows do not name them.

All rows are one subscription, with two exceptions. A ``start`` of another plan while one runs is a second one; rows
that name the plan of one of several belong to that one, as does a renewal or notice without a plan at its price. And a
``cancel`` does not always end the account:

- Of several it ends the one whose plan it names, or else the oldest.
- Of one it ends what was before, when it names the plan that a start took the place of, or another change did less
  than ``reactivation_days`` ago; or when it comes within that time after a start of the same plan at another price
  while it ran, or within a day after one at the same price, which may be a renewal written as a start. Another price of
  the same start is a correction.

Each such end needs a newer start of its own, so a second cancel ends the account. What a row belongs to depends on the
rows before it alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from features.schema import SubscriptionKind
from features.windows import DAY_MICROSECONDS

__all__ = ["Told", "UnnamedRow", "subscriptions_of"]


_LEAVING_THE_PRICE = (SubscriptionKind.RENEW, SubscriptionKind.CANCEL_NOTICE)


class UnnamedRow(NamedTuple):
    """One subscription event of an account; times are microseconds since 1970."""

    subscription_id: str | None
    occurred_at: int
    kind: str
    plan: str | None
    mrr: float | None
    term_end: int | None


@dataclass
class Told:
    """What has to be said about an account.

    Attributes
    ----------
    has_second
        A start of another plan while one ran was taken for a second subscription.
    is_kept_alive
        A cancellation was taken as the end of one of several, or of what was before, and the account goes on.
    """

    has_second: bool = False
    is_kept_alive: bool = False


@dataclass
class _Subscription:
    number: int
    has_id: bool
    plan: str | None = None
    mrr: float = 0.0
    term_end: int | None = None
    started_at: int | None = None
    is_open: bool = True
    moved_until: int | None = None  # until when a cancel ends what ran before a start of the same plan
    plans_before: dict[str, int | None] = field(default_factory=dict)  # until when a cancel may name it; None: always

    def runs(self, moment: int) -> bool:
        return self.is_open and (self.term_end is None or self.term_end > moment)


def subscriptions_of(rows: Sequence[UnnamedRow], *, reactivation_days: int) -> tuple[list[int], Told]:
    """For each row of one account, in the order of its time, the number of its subscription; and what to say.

    A negative number is that of a cancellation that ends nothing which runs. Rows with a ``subscription_id`` may be
    among them: an id that appears first in a row that is no start goes on with the subscription without an id that
    runs, as after a source began to deliver ids.
    """
    reader = _Reader(reactivation_days * DAY_MICROSECONDS)
    numbers = [reader.read(row) for row in rows]
    reader.told.is_kept_alive &= any(subscription.is_open for subscription in reader.subscriptions)
    return numbers, reader.told


class _Reader:
    """Reads the rows of one account, one after the other."""

    def __init__(self, reactivation: int) -> None:
        self._reactivation = reactivation
        self.subscriptions: list[_Subscription] = []
        self._by_id: dict[str, _Subscription] = {}
        self._newest: _Subscription | None = None
        self._void = 0
        self.told = Told()

    def read(self, row: UnnamedRow) -> int:
        if row.subscription_id is not None:
            subscription = self._with_id(row.subscription_id, row)
        elif row.kind == SubscriptionKind.START:
            subscription = self._started(row)
        elif row.kind == SubscriptionKind.CANCEL:
            if self._ends_what_was_before(row):
                self.told.is_kept_alive = True
                self._void += 1
                return -self._void
            subscription = self._cancelled(row)
        else:
            subscription = self._goes_on(row)
        self._apply(row, subscription)
        self._newest = subscription
        return subscription.number

    def _with_id(self, name: str, row: UnnamedRow) -> _Subscription:
        if name not in self._by_id:
            unnamed = [subscription for subscription in self._open() if not subscription.has_id]
            before = [] if row.kind == SubscriptionKind.START else unnamed
            self._by_id[name] = _of_plan(before, row.plan) or next(iter(before), None) or self._new(has_id=True)
            self._by_id[name].has_id = True
        return self._by_id[name]

    def _started(self, row: UnnamedRow) -> _Subscription:
        running = [subscription for subscription in self._open() if subscription.runs(row.occurred_at)]
        same = [subscription for subscription in running if None in (row.plan, subscription.plan)]
        again = _of_plan(running, row.plan) or _main(same)
        if again is not None and again.started_at == row.occurred_at:
            return again  # the same start, corrected
        if again is not None:
            is_renewal = row.mrr is None or row.mrr == again.mrr
            again.moved_until = row.occurred_at + (
                min(DAY_MICROSECONDS, self._reactivation) if is_renewal else self._reactivation
            )
            return again
        if running:
            self.told.has_second = True
            return self._new()
        return self._what_there_was(row.plan)

    def _cancelled(self, row: UnnamedRow) -> _Subscription:
        running = self._open()
        if len(running) > 1:
            self.told.is_kept_alive = True
        return _of_plan(running, row.plan) or next(iter(running), None) or self._what_there_was(row.plan)

    def _goes_on(self, row: UnnamedRow) -> _Subscription:
        running = self._open()
        if (named := _of_plan(running, row.plan)) is not None:
            return named
        if row.kind == SubscriptionKind.REACTIVATE:
            ended = [subscription for subscription in reversed(self.subscriptions) if not subscription.is_open]
            if ended:
                return _of_plan(ended, row.plan) or ended[0]
        return self._at_its_price(row) or _main(running) or self._what_there_was(row.plan)

    def _at_its_price(self, row: UnnamedRow) -> _Subscription | None:
        """The one that a row without a plan leaves as it was, told by its price."""
        if row.plan is not None or row.mrr is None or row.kind not in _LEAVING_THE_PRICE:
            return None
        return next((subscription for subscription in self._open() if subscription.mrr == row.mrr), None)

    def _ends_what_was_before(self, row: UnnamedRow) -> bool:
        running = self._open()
        if len(running) != 1:
            return False
        (subscription,) = running
        plan = row.plan
        if plan is not None and plan != subscription.plan and plan in subscription.plans_before:
            until = subscription.plans_before.pop(plan)
            return until is None or row.occurred_at < until
        until, subscription.moved_until = subscription.moved_until, None
        return until is not None and row.occurred_at < until

    def _apply(self, row: UnnamedRow, subscription: _Subscription) -> None:
        if row.kind == SubscriptionKind.CANCEL:
            subscription.is_open, subscription.moved_until = False, None
            subscription.plans_before.clear()
            return
        if row.kind == SubscriptionKind.CANCEL_NOTICE:
            subscription.term_end = row.term_end or subscription.term_end
            return
        if row.kind == SubscriptionKind.START:
            subscription.started_at = row.occurred_at
        if row.plan is not None:
            if subscription.is_open and subscription.plan not in (None, row.plan):
                is_start = row.kind == SubscriptionKind.START
                until = None if is_start else row.occurred_at + self._reactivation
                subscription.plans_before[str(subscription.plan)] = until
            subscription.plans_before.pop(row.plan, None)
            subscription.plan = row.plan
        subscription.mrr = subscription.mrr if row.mrr is None else row.mrr
        subscription.term_end, subscription.is_open = row.term_end, True

    def _open(self) -> list[_Subscription]:
        """What is not cancelled, the oldest first; those without an id, where there are any."""
        running = [subscription for subscription in self.subscriptions if subscription.is_open]
        return [subscription for subscription in running if not subscription.has_id] or running

    def _what_there_was(self, plan: str | None) -> _Subscription:
        """What goes on when nothing runs: all rows are one subscription."""
        return _of_plan(list(reversed(self.subscriptions)), plan) or self._newest or self._new()

    def _new(self, *, has_id: bool = False) -> _Subscription:
        subscription = _Subscription(len(self.subscriptions), has_id)
        self.subscriptions.append(subscription)
        return subscription


def _of_plan(subscriptions: Sequence[_Subscription], plan: str | None) -> _Subscription | None:
    """The first of a plan."""
    return next((each for each in subscriptions if plan is not None and each.plan == plan), None)


def _main(subscriptions: Sequence[_Subscription]) -> _Subscription | None:
    """The one with the largest MRR, the oldest of several."""
    return max(subscriptions, key=lambda each: (each.mrr, -each.number), default=None)
