"""Which cutoffs are fitted, which are judged, and the folds inside fitting: by time, and by account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from features.exceptions import WorkFailedError
from features.windows import days_later

__all__ = ["Fold", "Split", "account_folds", "folds", "split"]


_MOST_FOLDS = 5
_LEAST_FITTED = 4
_ACCOUNT_FOLDS = 5


@dataclass(frozen=True)
class Split:
    """Cutoffs by use, each ascending; what lies between fitting and test is purged."""

    fitting: tuple[datetime, ...]
    test: tuple[datetime, ...]
    purged: tuple[datetime, ...]


@dataclass(frozen=True)
class Fold:
    """Fit on these cutoffs, judge on those: every label of the first is final before the second begins."""

    fitted: tuple[datetime, ...]
    judged: tuple[datetime, ...]


def split(cutoffs: Sequence[datetime], *, test_share: float, gap_days: int) -> Split:
    """Keep the newest ``test_share`` of the closed cutoffs for the one judgement.

    Fitting takes the cutoffs at most ``first test cutoff - gap_days``, so that each of its labels was final before
    the first test cutoff.

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
    count = min(len(closed) - 1, max(1, round(test_share * len(closed))))
    test = closed[-count:]
    last = days_later(test[0], -gap_days)
    fitting = [cutoff for cutoff in closed[:-count] if cutoff <= last]
    if not fitting:
        raise WorkFailedError(
            f"{len(closed)} closed cutoffs from {_day(closed[0])} to {_day(closed[-1])} leave none to fit on: labels "
            f"are final {gap_days} days after a cutoff, so fitting would end at {_day(last)}. Load a longer history."
        )
    return Split(tuple(fitting), tuple(test), tuple(closed[len(fitting) : -count]))


def folds(fitting: Sequence[datetime], *, gap_days: int) -> tuple[Fold, ...]:
    """Rolling-origin, purged, expanding folds: blocks of judged cutoffs, each fitted on all that was final before it.

    As many folds as the span allows, up to five. The first is fitted on at least four cutoffs where there are enough.

    Raises
    ------
    WorkFailedError
        When the fitting span is no longer than the gap.
    """
    ordered = sorted(fitting)
    for least in range(_LEAST_FITTED, 0, -1):
        judged = [c for c in ordered if sum(f <= days_later(c, -gap_days) for f in ordered) >= least]
        if len(judged) >= 2 or (judged and least == 1):
            break
    if not judged:
        raise WorkFailedError(
            f"The {len(ordered)} fitting cutoffs from {_day(ordered[0])} to {_day(ordered[-1])} are too short a span "
            f"for one fold: it takes more than {gap_days} days. Load a longer history, or shorten horizon_days."
        )
    count = min(_MOST_FOLDS, max(1, len(judged) // 2))
    edges = [round(i * len(judged) / count) for i in range(count + 1)]
    blocks = [tuple(judged[a:b]) for a, b in pairwise(edges)]
    return tuple(Fold(tuple(f for f in ordered if f <= days_later(block[0], -gap_days)), block) for block in blocks)


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
