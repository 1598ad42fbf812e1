"""Measures scores of judged rows: ranking, calibration and use, each beside its rivals and with an interval."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd

from training.judging.evaluate import (
    Judged,
    account_weights,
    brier_skill,
    calibration_slope,
    compare,
    interval,
    metrics,
    percentiles,
    predicted_over_observed,
    roc_auc,
)
from training.models.bundle import Comparison

__all__ = ["Measures", "Scored", "call_chance", "measure"]


_REPETITIONS = 400

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scored:
    """Judged rows and what was foretold of them; one value per row.

    Attributes
    ----------
    rows
        ``account_id``, ``cutoff``, ``label``, ``event_time``, ``in_lead``, ``fitted_until``; those with an event in the
        lead too.
    probability
        The model's.
    rivals
        Rival to its scores; higher is riskier.
    """

    rows: pd.DataFrame
    probability: Floats
    rivals: Mapping[str, Floats]


@dataclass(frozen=True)
class Measures:
    """What was measured, without rows whose event fell in the lead.

    Attributes
    ----------
    intervals
        Metric to its account-bootstrap 95 % interval.
    truth
        ROC-AUC of the true risk on the same rows, and the model's share of it; empty without a truth file.
    """

    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    comparisons: tuple[Comparison, ...]
    truth: Mapping[str, float] = field(default_factory=dict)


def measure(
    scored: Scored, *, capacity_share: float, seed: int, probabilistic: Sequence[str], risk: Floats | None = None
) -> Measures:
    """All figures of one judgement.

    ``probabilistic`` are the rivals whose scores are probabilities; ``risk`` is the true risk of each row, nan where it
    is not known.
    """
    is_judged = ~scored.rows["in_lead"].to_numpy(dtype=bool)
    frame, probability = scored.rows[is_judged], scored.probability[is_judged]
    accounts, numbers = np.unique(frame["account_id"].to_numpy(dtype=str), return_inverse=True)
    rows = Judged(frame["label"].to_numpy(dtype=np.float64), numbers.astype(np.int64), len(accounts))
    weights = account_weights(len(accounts), repetitions=_REPETITIONS, seed=seed)
    rivals = {name: score[is_judged] for name, score in scored.rivals.items()}
    low, high = np.quantile(probability, [0.05, 0.95])
    found, spread = _recall(scored, is_judged, capacity_share, seed=seed)
    with_lead, _ = _recall(scored, np.ones(len(scored.rows), dtype=bool), capacity_share, seed=seed)
    figures = {
        **metrics(rows, probability, capacity_share=capacity_share),
        "recall_at_capacity": found,
        "recall_at_capacity_with_lead": with_lead,
        "low_score": float(low),
        "high_score": float(high),
    }
    intervals = {
        "roc_auc": interval(rows, weights, probability, roc_auc),
        "calibration_slope": interval(rows, weights, probability, calibration_slope),
        "predicted_over_observed": interval(rows, weights, probability, predicted_over_observed),
        "brier_skill": interval(rows, weights, probability, brier_skill),
        "recall_at_capacity": spread,
    }
    truth: dict[str, float] = {}
    if risk is not None:
        truth, share = _against_truth(rows, weights, probability, risk[is_judged])
        intervals["share_of_true_risk_roc_auc"] = share
    comparisons = tuple(compare(rows, weights, model=probability, rivals=rivals, probabilities=probabilistic))
    return Measures(figures, intervals, comparisons, truth)


def _recall(
    scored: Scored, used: npt.NDArray[np.bool_], share: float, *, seed: int
) -> tuple[float, tuple[float, float]]:
    """Share of distinct events caught among the highest scores of any cutoff before them, with its interval.

    Of each cutoff as many rows are called as capacity allows; rows that tie at the edge are called with the chance each
    of them has, so that a model which gives everybody one score catches the share it calls, not everybody.
    """
    rows = scored.rows[used]
    called = np.zeros(len(rows))
    for places in rows.groupby("cutoff").indices.values():
        called[places] = call_chance(scored.probability[used][places], share)
    events = rows[["account_id", "event_time"]].assign(called=called)[rows["event_time"].notna().to_numpy()]
    caught = events.groupby(["account_id", "event_time"])["called"].max().groupby("account_id").agg(["sum", "count"])
    if caught.empty:
        return float("nan"), (float("nan"), float("nan"))
    hits, total = caught["sum"].to_numpy(), caught["count"].to_numpy()
    weights = account_weights(len(caught), repetitions=_REPETITIONS, seed=seed)
    return float(hits.sum() / total.sum()), percentiles((weights @ hits) / (weights @ total))


def call_chance(score: Floats, share: float) -> Floats:
    """Chance of each row to be among the ``share`` highest; equal scores have equal chances.

    >>> call_chance(np.array([0.9, 0.5, 0.5, 0.1]), 0.5).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    if not len(score):
        return score
    count = max(1, round(share * len(score)))
    edge = np.partition(score, -count)[-count]
    above, tied = score > edge, score == edge
    chance: Floats = above + tied * (count - above.sum()) / tied.sum()
    return chance


def _against_truth(
    rows: Judged, weights: Floats, probability: Floats, risk: Floats
) -> tuple[dict[str, float], tuple[float, float]]:
    """The true risk ranks the same rows; nobody can rank better but by luck. Rows without one are left aside."""
    has = ~np.isnan(risk)
    known = Judged(rows.label[has], rows.account[has], rows.accounts)
    best, mine = roc_auc(known.label, risk[has]), roc_auc(known.label, probability[has])
    ratios = [
        roc_auc(known.label, probability[has], weight) / roc_auc(known.label, risk[has], weight)
        for weight in (by_account[known.account] for by_account in weights)
    ]
    return {"true_risk_roc_auc": best, "share_of_true_risk_roc_auc": mine / best}, percentiles(np.array(ratios))
