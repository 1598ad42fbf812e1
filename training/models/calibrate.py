"""Calibration: margins become probabilities that come true as often as they say."""

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from training.models.bundle import Calibration

__all__ = ["calibrate", "logistic_line"]


_PLATT_POSITIVES = 50
_INTERCEPT_POSITIVES = 10
_STEPS = 50

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def calibrate(margin: Floats, label: Floats, cutoff: Integers, *, positive_accounts: int) -> Calibration:
    """Fit how far out-of-fold margins may be trusted.

    A slope and an intercept from 50 distinct accounts with a positive label on (Platt, 1999, Advances in Large Margin
    Classifiers), the intercept alone from 10, nothing below. The slope is that within cutoffs, each with an intercept
    of its own: a feature that tells the date lets a model learn from other accounts how bad a week was, which is
    nothing it will know of a week to come. A slope that would turn the order around is refused.

    Parameters
    ----------
    margin, label, cutoff
        One value per row, out of fold; log-odds, 0 or 1, and the number of its cutoff.
    """
    if positive_accounts < _INTERCEPT_POSITIVES:
        return Calibration("none", 1.0, 0.0)
    if positive_accounts >= _PLATT_POSITIVES:
        slope = _slope_within(margin, label, cutoff)
        if slope > 0:
            return Calibration("platt", *logistic_line(margin, label, fixed_slope=slope))
    return Calibration("intercept", *logistic_line(margin, label, fixed_slope=1.0))


def _slope_within(margin: Floats, label: Floats, cutoff: Integers) -> float:
    """Slope of the logistic regression of labels on margins with one intercept per cutoff.

    A cutoff whose labels are all the same says nothing about it, and nan is said when every one is so.
    """
    share = np.bincount(cutoff, weights=label) / np.maximum(np.bincount(cutoff), 1)
    tells = ((share > 0) & (share < 1))[cutoff]
    if not tells.any():
        return float("nan")
    numbers = np.unique(cutoff[tells])
    design = np.column_stack([cutoff[tells] == number for number in numbers] + [margin[tells]]).astype(np.float64)
    model = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-8)
    fitted = model.fit(design, label[tells])
    return float(fitted.coef_[0, -1])


def logistic_line(
    x: Floats, label: Floats, *, weight: Floats | None = None, fixed_slope: float | None = None
) -> tuple[float, float]:
    """Slope and intercept of the logistic regression of ``label`` on ``x``, by Newton's method.

    nan where the data decide neither: one class alone, or classes that ``x`` separates.
    """
    weight = np.ones_like(x) if weight is None else weight
    positive, total = float(weight @ label), float(weight.sum())
    if not 0 < positive < total:
        return float("nan"), float("nan")
    slope = 0.0 if fixed_slope is None else fixed_slope
    intercept = np.log(positive / (total - positive)) - slope * float(weight @ x) / total
    for _ in range(_STEPS):
        chance = 1.0 / (1.0 + np.exp(-np.clip(slope * x + intercept, -700, 700)))
        error = weight * (label - chance)
        spread = weight * chance * (1.0 - chance)
        g0, g1 = float(error.sum()), float(error @ x)
        h00, h01, h11 = float(spread.sum()), float(spread @ x), float(spread @ (x * x))
        if fixed_slope is not None:
            g1, h01, h11 = 0.0, 0.0, 1.0
        determinant = h00 * h11 - h01 * h01
        if not determinant > 1e-12:
            return float("nan"), float("nan")
        step_0, step_1 = (h11 * g0 - h01 * g1) / determinant, (h00 * g1 - h01 * g0) / determinant
        # Far from the answer a full step may overshoot.
        limit = min(1.0, 4.0 / max(abs(step_0), abs(step_1), 1e-12))
        intercept, slope = intercept + limit * step_0, slope + limit * step_1
        if max(abs(step_0), abs(step_1)) < 1e-10:
            break
    return float(slope), float(intercept)
