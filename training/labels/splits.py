"""Which cutoffs are fitted, which are judged, and the folds inside fitting: by time, and by account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from features.exceptions import WorkFailedError
from features.windows import days_later

__all__ = ["Fold", "account_folds", "folds", "rolling_origin"]


_MOST_FOLDS = 5
_LEAST_FITTED = 4
_ACCOUNT_FOLDS = 5


@dataclass(frozen=True)
class Fold:
    """Fit on these cutoffs, judge on those: every label of the first is final before the second begins."""

    fitted: tuple[datetime, ...]
    judged: tuple[datetime, ...]


def rolling_origin(cutoffs: Sequence[datetime], *, blocks: int, gap_days: int) -> tuple[Fold, ...]:
    """Blocks of closed cutoffs that are judged, oldest first, each by what was closed before it began.

    Fitting takes the cutoffs at most ``first judged cutoff - gap_days``, so that each of its labels was final by then,
    as it is whenever a model is trained. Blocks are of equal length, and the newest ends at the last closed cutoff. The
    first begins where four cutoffs can be fitted, or as many as there are in a short history; of a history too short
    for as many blocks as asked for, every judged cutoff is one.

    Raises
    ------
    WorkFailedError
        When nothing is left to fit on.
    """
    closed = sorted(set(cutoffs))
    if len(closed) < 2:
        raise WorkFailedError(
            f"There {'is 1 closed cutoff' if closed else 'are 0 closed cutoffs'}; training needs weekly cutoffs over "
            f"more than {gap_days} days whose labels are final. Load a longer history, then run "
            "`bellwether features build` and train again."
        )
    judged = _judged(closed, gap_days=gap_days)
    if not judged:
        last = days_later(closed[-1], -gap_days)
        raise WorkFailedError(
            f"{len(closed)} closed cutoffs from {_day(closed[0])} to {_day(closed[-1])} leave none to fit on: labels "
            f"are final {gap_days} days after a cutoff, so fitting would end at {_day(last)}. Load a longer history."
        )
    count = min(blocks, len(judged))
    length = len(judged) // count
    starts = range(len(judged) - count * length, len(judged), length)
    return tuple(_fold(closed, judged[start : start + length], gap_days=gap_days) for start in starts)


def _judged(ordered: Sequence[datetime], *, gap_days: int) -> list[datetime]:
    """The cutoffs before which four were final, or as many as leave two to judge; at least one."""
    for least in range(_LEAST_FITTED, 0, -1):
        judged = [c for c in ordered if sum(f <= days_later(c, -gap_days) for f in ordered) >= least]
        if len(judged) >= 2 or (judged and least == 1):
            return judged
    return []


def _fold(ordered: Sequence[datetime], judged: Sequence[datetime], *, gap_days: int) -> Fold:
    return Fold(tuple(f for f in ordered if f <= days_later(judged[0], -gap_days)), tuple(judged))


def folds(fitting: Sequence[datetime], *, gap_days: int) -> tuple[Fold, ...]:
    """Rolling-origin, purged, expanding folds: blocks of judged cutoffs, each fitted on all that was final before it.

    As many folds as the span allows, up to five; none where it is no longer than the gap. The first is fitted on at
    least four cutoffs where there are enough.
    """
    ordered = sorted(fitting)
    judged = _judged(ordered, gap_days=gap_days)
    if not judged:
        return ()
    count = min(_MOST_FOLDS, max(1, len(judged) // 2))
    edges = [round(i * len(judged) / count) for i in range(count + 1)]
    blocks = [tuple(judged[a:b]) for a, b in pairwise(edges)]
    return tuple(_fold(ordered, block, gap_days=gap_days) for block in blocks)


def account_folds(account: npt.NDArray[np.str_], label: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Fold of each row: all rows of an account in one, accounts with an event dealt out first.

    As many folds as there are accounts with an event, up to five and at least one. The order of the rows changes
    nothing.

    >>> account_folds(np.array(["a", "b", "c", "c", "d"]), np.array([0.0, 1.0, 0.0, 1.0, 0.0])).tolist()
    [0, 0, 1, 1, 1]
    """
    accounts, place = np.unique(account, return_inverse=True)
    has_event = np.bincount(place, weights=label) > 0
    count = max(1, min(_ACCOUNT_FOLDS, int(has_event.sum())))
    number = np.empty(len(accounts), dtype=np.int64)
    number[np.argsort(~has_event, kind="stable")] = np.arange(len(accounts)) % count
    return number[place]


def _day(moment: datetime) -> str:
    return moment.date().isoformat()
