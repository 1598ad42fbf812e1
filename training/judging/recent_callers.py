"""Judges silence on accounts that had just called: on all, a model shines that only finds those already silent."""

from dataclasses import replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from training.judging.baselines import LAST_CALL
from training.judging.evaluate import CAPACITY_SHARE
from training.judging.judge import Judgement, distinct_events
from training.judging.measure import Scored, measure
from training.labels.dataset import Dataset

__all__ = ["RECENT_CALLERS", "RECENT_DAYS", "RECENT_FIGURES", "recent_callers", "with_recent_callers"]


RECENT_CALLERS = "recent_callers"
"""What the names of these figures begin with."""

RECENT_DAYS = 7
_MEASURED = ("roc_auc", "pr_auc", "base_rate", "recall_at_capacity")
RECENT_FIGURES = ("rows", "events", *_MEASURED)
"""What their names end with; where rows cannot be ranked only the first two are there."""

Floats = npt.NDArray[np.float64]
_Value = TypeVar("_Value")


def with_recent_callers(judged: Judgement, dataset: Dataset, *, seed: int) -> Judgement:
    """The judgement of a silence, with figures of the accounts that called in the last seven days among its metrics."""
    if dataset.target.kind != "inactivity":
        return judged
    days = dataset.rows(judged.judged_cutoffs, with_lead=True)[LAST_CALL].to_numpy(dtype=np.float64)
    metrics, intervals = recent_callers(judged.scored, days, seed=seed)
    measures = judged.measures
    return replace(
        judged,
        measures=replace(
            measures, metrics={**measures.metrics, **metrics}, intervals={**measures.intervals, **intervals}
        ),
    )


def recent_callers(
    scored: Scored, days_since_last_call: Floats, *, seed: int
) -> tuple[dict[str, float], dict[str, tuple[float, float]]]:
    """Figures and intervals of the rows whose account called in the last seven days; one value of days per row.

    Where none of them is positive, or all are, only how many there are.
    """
    is_recent = days_since_last_call <= RECENT_DAYS
    part = Scored(scored.rows[is_recent], scored.probability[is_recent], {})
    judged = part.rows[~part.rows["in_lead"]]
    figures = {"rows": float(len(judged)), "events": float(distinct_events(judged))}
    intervals: dict[str, tuple[float, float]] = {}
    if judged["label"].nunique() == 2:
        measures = measure(part, capacity_share=CAPACITY_SHARE, seed=seed, probabilistic=())
        figures |= {name: measures.metrics[name] for name in _MEASURED}
        intervals = {name: measures.intervals[name] for name in _MEASURED if name in measures.intervals}
    return _named(figures), _named(intervals)


def _named(values: dict[str, _Value]) -> dict[str, _Value]:
    return {f"{RECENT_CALLERS}_{name}": value for name, value in values.items()}
