"""How good scores are: ranking, calibration and use, each with a paired account-bootstrap interval."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.models.bundle import Comparison
from training.models.calibrate import logistic_line, row_loss

__all__ = [
    "CAPACITY_SHARE",
    "Judged",
    "account_weights",
    "brier_skill",
    "calibration_slope",
    "compare",
    "interval",
    "metrics",
    "percentiles",
    "pr_auc",
    "predicted_over_observed",
    "roc_auc",
]


CAPACITY_SHARE = 0.05
"""Of the rows of a cutoff, the highest scores: those among which recall, precision and lift are measured."""

BINS = 10
"""Equal-mass bins of the expected calibration error and the reliability plot."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judged:
    """The rows everything is judged on; one value per row.

    Attributes
    ----------
    account
        Number of the row's account, 0 to ``accounts`` - 1: the unit of the bootstrap, since the rows of one account
        repeat each other.
    """

    label: Floats
    account: npt.NDArray[np.int64]
    accounts: int


def metrics(rows: Judged, probability: Floats, *, capacity_share: float) -> dict[str, float]:
    """Every headline metric of calibrated probabilities.

    ROC-AUC; PR-AUC (average precision, without interpolation); log loss and Brier score (lower is better); Brier skill
    over the base rate; expected calibration error over ten equal-mass bins; slope and intercept of the logistic
    recalibration (1 and 0 are perfect; Cox, 1958, Biometrika 45, 562-565); sum of probabilities over positives;
    precision and lift among the ``capacity_share`` highest scores.
    """
    label, base = rows.label, float(rows.label.mean())
    slope, intercept = logistic_line(_logit(probability), label)
    brier = float(np.mean((probability - label) ** 2))
    precision = _precision_at(label, probability, capacity_share)
    return {
        "roc_auc": roc_auc(label, probability),
        "pr_auc": pr_auc(label, probability),
        "log_loss": float(np.mean(row_loss(label, probability))),
        "brier": brier,
        "brier_skill": 1.0 - brier / (base * (1.0 - base)) if 0 < base < 1 else float("nan"),
        "ece": expected_calibration_error(label, probability),
        "calibration_slope": slope,
        "calibration_intercept": intercept,
        "predicted_over_observed": float(probability.sum() / label.sum()) if label.any() else float("nan"),
        "precision_at_capacity": precision,
        "lift_at_capacity": precision / base if base else float("nan"),
        "base_rate": base,
    }


def roc_auc(label: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Chance that a random positive row scores above a random negative one; ties count half."""
    return _Ranking(label, score).roc_auc(np.ones_like(label) if weight is None else weight)


def pr_auc(label: Floats, score: Floats, weight: Floats | None = None) -> float:
    """Average precision: precision at each score, weighted by the positives it adds."""
    return _Ranking(label, score).pr_auc(np.ones_like(label) if weight is None else weight)


def expected_calibration_error(label: Floats, probability: Floats) -> float:
    """Mean distance between predicted and observed rate over ten equal-mass bins (Naeini et al., 2015, AAAI)."""
    parts = np.array_split(np.argsort(probability, kind="stable"), BINS)
    gaps = [len(p) * abs(float(label[p].mean() - probability[p].mean())) for p in parts if len(p)]
    return float(sum(gaps) / len(label))


def account_weights(accounts: int, *, repetitions: int, seed: int) -> Floats:
    """Bootstrap weights, one row per repetition: how often each account was drawn, with replacement."""
    generator = np.random.default_rng(seed)
    return generator.multinomial(accounts, np.full(accounts, 1.0 / accounts), size=repetitions).astype(np.float64)


def compare(
    rows: Judged, weights: Floats, *, model: Floats, rivals: Mapping[str, Floats], probabilities: Sequence[str] = ()
) -> list[Comparison]:
    """Model against each rival on the same rows: ROC-AUC and PR-AUC, and log loss for rivals in ``probabilities``.

    Differences are signed so that above 0 the model is better. Intervals: percentiles 2.5 and 97.5 of the differences
    over the same resampled accounts.
    """
    samples = {name: _samples(rows, weights, score) for name, score in {"": model, **rivals}.items()}
    comparisons = []
    for rival in rivals:
        for metric in ("roc_auc", "pr_auc", *(("log_loss",) if rival in probabilities else ())):
            mine, other = samples[""][metric], samples[rival][metric]
            sign = -1.0 if metric == "log_loss" else 1.0
            differences = sign * (mine[1:] - other[1:])
            low, high = percentiles(differences)
            comparisons.append(
                Comparison(
                    rival, metric, float(mine[0]), float(other[0]), float(sign * (mine[0] - other[0])), low, high
                )
            )
    return comparisons


def interval(
    rows: Judged, weights: Floats, probability: Floats, statistic: Callable[[Floats, Floats, Floats], float]
) -> tuple[float, float]:
    """Account-bootstrap 95 % interval of ``statistic(label, probability, row weight)``."""
    return percentiles(np.array([statistic(rows.label, probability, weight[rows.account]) for weight in weights]))


def calibration_slope(label: Floats, probability: Floats, weight: Floats) -> float:
    """Slope of the logistic recalibration under row weights."""
    return logistic_line(_logit(probability), label, weight=weight)[0]


def predicted_over_observed(label: Floats, probability: Floats, weight: Floats) -> float:
    """Sum of probabilities over positives under row weights."""
    observed = float(weight @ label)
    return float(weight @ probability) / observed if observed else float("nan")


def brier_skill(label: Floats, probability: Floats, weight: Floats) -> float:
    """1 - Brier score over that of the base rate, under row weights."""
    total = max(float(weight.sum()), 1.0)
    base = float(weight @ label) / total
    error = float(weight @ (probability - label) ** 2) / total
    return 1.0 - error / (base * (1.0 - base)) if 0 < base < 1 else float("nan")


class _Ranking:
    """Rows sorted by score once, so that each resampling costs three cumulative sums."""

    def __init__(self, label: Floats, score: Floats) -> None:
        self.order = np.argsort(-score, kind="stable")
        self.label = label[self.order]
        ordered = score[self.order]
        # Rows of equal score are one step of both curves.
        self.ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))

    def _steps(self, weight: Floats) -> tuple[Floats, Floats]:
        weight = weight[self.order]
        positive = weight * self.label
        return np.cumsum(positive)[self.ends], np.cumsum(weight - positive)[self.ends]

    def areas(self, weight: Floats) -> tuple[float, float]:
        """Both, of one pass over the rows."""
        steps = self._steps(weight)
        return self._roc_auc(*steps), self._pr_auc(*steps)

    def roc_auc(self, weight: Floats) -> float:
        return self._roc_auc(*self._steps(weight))

    def pr_auc(self, weight: Floats) -> float:
        return self._pr_auc(*self._steps(weight))

    def _roc_auc(self, hits: Floats, misses: Floats) -> float:
        if not len(hits) or not hits[-1] * misses[-1] > 0:
            return float("nan")
        return float(np.trapezoid(np.append(0.0, hits), np.append(0.0, misses)) / (hits[-1] * misses[-1]))

    def _pr_auc(self, hits: Floats, misses: Floats) -> float:
        if not len(hits) or not hits[-1] > 0:
            return float("nan")
        seen = hits + misses
        precision = np.divide(hits, seen, out=np.zeros_like(hits), where=seen > 0)
        return float(np.diff(hits, prepend=0.0) @ precision / hits[-1])


def _samples(rows: Judged, weights: Floats, score: Floats) -> dict[str, Floats]:
    """Each metric on the rows as they are, then under every resampling."""
    ranking, loss = _Ranking(rows.label, score), row_loss(rows.label, np.clip(score, 0.0, 1.0))
    everything = np.vstack([np.ones(rows.accounts), weights])
    values: dict[str, list[float]] = {"roc_auc": [], "pr_auc": [], "log_loss": []}
    for by_account in everything:
        weight = by_account[rows.account]
        ranked, precise = ranking.areas(weight)
        values["roc_auc"].append(ranked)
        values["pr_auc"].append(precise)
        values["log_loss"].append(float(weight @ loss) / max(float(weight.sum()), 1.0))
    return {name: np.asarray(value) for name, value in values.items()}


def percentiles(values: Floats) -> tuple[float, float]:
    """Percentiles 2.5 and 97.5 of what is finite; nan where nothing is."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return float("nan"), float("nan")
    low, high = np.percentile(finite, [2.5, 97.5])
    return float(low), float(high)


def _precision_at(label: Floats, score: Floats, share: float) -> float:
    """Precision among the highest scores; rows that tie at the edge count with their mean."""
    count = max(1, round(share * len(label)))
    edge = np.partition(score, -count)[-count]
    above, tied = score > edge, score == edge
    return float((label[above].sum() + (count - above.sum()) * label[tied].mean()) / count)


def _logit(probability: Floats) -> Floats:
    chance = np.clip(probability, 1e-12, 1.0 - 1e-12)
    return np.asarray(np.log(chance / (1.0 - chance)))
