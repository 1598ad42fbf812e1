"""Judges, scores and explains rows of features for one target: the same for the service and the batch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.exceptions import listed
from serving.scoring.freshness import Freshness, Status, judge
from serving.scoring.reasons import Reasons, reasons_for
from serving.scoring.score import Scorer, Scores, score_rows
from training.labels.eligibility import ACTIVITY, status_by_calls
from training.labels.eligibility import Status as Applicability
from training.labels.targets import TARGETS

__all__ = ["Assessed", "FeatureRows", "applicable", "assess"]


_HAS_SCORE = {Status.SCORED, Status.STALE}


@dataclass(frozen=True)
class FeatureRows:
    """Rows of features, one per account, by column.

    Attributes
    ----------
    values
        Feature to its values: numbers with nan for null, categories as objects with None for null.
    as_of
        The cutoff each account's features belong to, the oldest of its views'; None for an unknown account.
    mixture
        How an account's views fail to belong together (:func:`serving.scoring.freshness.judge`); None where they do.
    """

    account_ids: Sequence[str]
    values: Mapping[str, NDArray[Any]]
    as_of: Sequence[datetime | None]
    mixture: Sequence[str | None]


@dataclass(frozen=True)
class Assessed:
    """One target's answers, one per account, by column.

    Attributes
    ----------
    status, detail
        One per account; the detail says why in words when the status is not scored.
    place
        Where each account's numbers are in ``scores`` and ``reasons``; -1 without a score.
    """

    account_ids: Sequence[str]
    status: Sequence[Status]
    detail: Sequence[str | None]
    place: NDArray[np.intp]
    scores: Scores
    reasons: Reasons

    @property
    def bands(self) -> list[str | None]:
        """Each account's band; None without a score."""
        named = self.scores.band.tolist()
        return [None if place < 0 else named[place] for place in self.place.tolist()]


def applicable(target: str, rows: FeatureRows, statuses: Mapping[datetime, Mapping[str, str]]) -> list[str]:
    """``ok`` or the reason why the target does not apply, one per account.

    ``statuses`` holds, by cutoff, what the subscriptions say (:func:`serving.scoring.accounts.applicability`); a target
    whose population is made from calls reads them from the rows.
    """
    if TARGETS[target].kind == "inactivity":
        calls = pd.Series(np.asarray(rows.values[ACTIVITY], dtype=np.float64))
        # Of views that do not belong together nothing is said but that.
        return [
            str(value) if mixture is None else "ok"
            for value, mixture in zip(status_by_calls(calls), rows.mixture, strict=True)
        ]
    nothing = str(Applicability.NO_SUBSCRIPTION)
    return [
        "ok" if moment is None else statuses[moment].get(account, nothing)
        for account, moment in zip(rows.account_ids, rows.as_of, strict=True)
    ]


def assess(
    scorer: Scorer, rows: FeatureRows, *, freshness: Freshness, applies: Sequence[str], reasons: int
) -> Assessed:
    """Judge every row, score those that can be scored, and explain each with at most ``reasons`` reasons.

    An infinite feature costs its account the score and nobody else.

    Parameters
    ----------
    applies
        One per account: ``ok``, or why the target does not apply.
    """
    has_called = ~np.isnan(np.asarray(rows.values["days_since_last_call"], dtype=np.float64))
    strange = _infinite(scorer, rows)
    judged = [
        judge(
            freshness,
            is_known=moment is not None,
            mixture=mixture,
            applicable=why_not,
            has_called=called,
            features_as_of=moment,
            infinite=strange.get(place),
        )
        for place, (moment, mixture, why_not, called) in enumerate(
            zip(rows.as_of, rows.mixture, applies, has_called.tolist(), strict=True)
        )
    ]
    scored = np.flatnonzero(
        [status in _HAS_SCORE and mixture is None for (status, _), mixture in zip(judged, rows.mixture, strict=True)]
    )
    place = np.full(len(judged), -1, dtype=np.intp)
    place[scored] = np.arange(len(scored))
    values = {name: np.asarray(column)[scored] for name, column in rows.values.items()}
    scores = score_rows(scorer, values)
    reasons_of_rows = reasons_for(
        scores.features,
        values,
        scores.contributions,
        limit=reasons,
        target=scorer.target,
        yardsticks=scorer.yardsticks,
        catalog=scorer.catalog,
    )
    return Assessed(
        rows.account_ids,
        [status for status, _ in judged],
        [detail for _, detail in judged],
        place,
        scores,
        reasons_of_rows,
    )


def _infinite(scorer: Scorer, rows: FeatureRows) -> dict[int, str]:
    """Row to the names of the infinite features the model would read there."""
    names = [name for name in scorer.bundle.features if scorer.bundle.kinds[name] != "category"]
    numbers = np.array([rows.values[name] for name in names], dtype=np.float64)
    numbers = numbers.reshape(len(names), len(rows.account_ids))
    by_row: dict[int, list[str]] = {}
    for feature, place in zip(*(places.tolist() for places in np.nonzero(np.isinf(numbers))), strict=True):
        by_row.setdefault(place, []).append(names[feature])
    return {place: listed(names) for place, names in by_row.items()}
