"""Collects the subscription events of the simulated company, day by day."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.schema import SubscriptionKind

__all__ = ["KINDS", "Journal", "SubscriptionRows"]

Ints = NDArray[np.int64]

KINDS = tuple(SubscriptionKind)


@dataclass(frozen=True)
class SubscriptionRows:
    """One entry per happening, in the order of days.

    ``kind`` is an index into :data:`KINDS`; ``price_rises`` counts the renewals so far.
    """

    day: Ints
    account: Ints
    kind: Ints
    plan: Ints
    term_end_day: Ints
    price_rises: Ints

    def of(self, kind: SubscriptionKind) -> int:
        """How many happenings of this kind there are."""
        return int((self.kind == KINDS.index(kind)).sum())


class Journal:
    """Takes happenings as they come; those before day 0 are not written."""

    def __init__(self) -> None:
        self._parts: list[tuple[Ints, ...]] = []

    def write(
        self, day: int, who: NDArray[np.bool_], kind: SubscriptionKind, *, plan: Ints, term_end: Ints, rises: Ints
    ) -> None:
        """Note that ``kind`` happened on ``day`` to the accounts where ``who`` holds."""
        accounts = np.flatnonzero(who)
        if day >= 0 and len(accounts):
            same = np.ones_like(accounts)
            self._parts.append((day * same, accounts, KINDS.index(kind) * same, plan[who], term_end[who], rises[who]))

    def rows(self) -> SubscriptionRows:
        """All happenings so far."""
        nothing = tuple(np.zeros(0, np.int64) for _ in range(6))
        columns = [np.concatenate(column) for column in zip(*([nothing, *self._parts]), strict=True)]
        return SubscriptionRows(*columns)
