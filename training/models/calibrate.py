"""Calibration: margins become probabilities that come true as often as they say."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

from training.models.bundle import Calibration

__all__ = ["INTERCEPT", "LATER", "PLATT", "Later", "calibrate", "logistic_line", "row_loss"]


PLATT, INTERCEPT, LATER = "platt", "intercept", "platt on later cutoffs"
_PLATT_POSITIVES = 50
_INTERCEPT_POSITIVES = 10
_STEPS = 50

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Later:
    """Rows of later cutoffs as a model foretold them that was fitted on what was closed before.

    Attributes
    ----------
    margin, label, cutoff, account
        One value per row: log-odds, 0 or 1, the number of its cutoff, and of its account.
    closed
        Numbers of the cutoffs that model was fitted on.
    """

    margin: Floats
    label: Floats
    cutoff: Integers
    account: Integers
    closed: Integers


def calibrate(
    margin: Floats, label: Floats, cutoff: Integers, *, positive_accounts: int, later: Sequence[Later] = ()
) -> Calibration:
    """Fit how far out-of-fold margins may be trusted.

    The intercept alone from 10 distinct accounts with a positive label on, nothing below. From 50 on three ways are
    tried: a slope and an intercept (Platt, 1999, Advances in Large Margin Classifiers), the intercept alone, and slope
    and intercept of ``later`` cutoffs instead of folds of accounts. Each is learnt from what was closed before a block
    of later cutoffs, and the one with the least log loss on these is taken; without such a block it is Platt's.

    The slope of account folds is that within cutoffs, each with an intercept of its own: a feature that tells the date
    lets a model learn from other accounts how bad a week was, which is nothing it will know of a week to come. A slope
    that would turn the order around is refused.

    Parameters
    ----------
    margin, label, cutoff
        One value per row, out of fold; log-odds, 0 or 1, and the number of its cutoff.
    later
        Blocks of later cutoffs, ascending.
    """
    if positive_accounts < _INTERCEPT_POSITIVES:
        return Calibration("none", 1.0, 0.0)
    ways = {INTERCEPT: _intercept(margin, label)}
    if positive_accounts >= _PLATT_POSITIVES:
        ways |= {PLATT: _platt(margin, label, cutoff), LATER: _later(later)}
    possible = {name: way for name, way in ways.items() if way is not None}
    if not possible:
        return Calibration("none", 1.0, 0.0)
    losses = _losses(margin, label, cutoff, later, possible)
    order = [name for name in (PLATT, INTERCEPT, LATER) if name in (losses or possible)]
    return possible[min(order, key=lambda name: losses.get(name, 0.0))]


def _losses(
    margin: Floats, label: Floats, cutoff: Integers, later: Sequence[Later], ways: Collection[str]
) -> dict[str, float]:
    """Log loss over later rows by each way, learnt from what was closed before; empty without any.

    All ways are tried on the same rows: those where each can be learnt, or, where later cutoffs are too few to learn
    from, those where the two others can.
    """
    tried: list[dict[str, float]] = []
    for place, block in enumerate(later):
        before = np.isin(cutoff, block.closed)
        closed = [_up_to(earlier, block.closed) for earlier in later[:place]]
        learnt = {
            PLATT: _platt(margin[before], label[before], cutoff[before]),
            INTERCEPT: _intercept(margin[before], label[before]),
            LATER: _later(closed) if LATER in ways else None,
        }
        tried.append(
            {
                name: float(row_loss(block.label, way.probability(block.margin)).sum())
                for name, way in learnt.items()
                if way is not None and name in ways
            }
        )
    for wanted in (set(ways), {PLATT, INTERCEPT}):
        whole = [losses for losses in tried if wanted <= set(losses)]
        if whole:
            return {name: sum(losses[name] for losses in whole) for name in wanted}
    return {}


def _intercept(margin: Floats, label: Floats) -> Calibration | None:
    return _line(INTERCEPT, margin, label, 1.0)


def _platt(margin: Floats, label: Floats, cutoff: Integers) -> Calibration | None:
    return _line(PLATT, margin, label, _slope_within(margin, label, cutoff)) if len(margin) else None


def _later(blocks: Sequence[Later]) -> Calibration | None:
    """Slope and intercept of later cutoffs, where fifty accounts of them have a positive label."""
    if not blocks:
        return None
    margin, label, cutoff, account = (
        np.concatenate([getattr(block, name) for block in blocks]) for name in ("margin", "label", "cutoff", "account")
    )
    if len(np.unique(account[label == 1])) < _PLATT_POSITIVES:
        return None
    return _line(LATER, margin, label, _slope_within(margin, label, cutoff))


def _line(method: str, margin: Floats, label: Floats, slope: float) -> Calibration | None:
    """The calibration of this slope, where the rows decide its intercept and it keeps the order."""
    if not slope > 0:
        return None
    _, intercept = logistic_line(margin, label, fixed_slope=slope)
    return Calibration(method, slope, intercept) if np.isfinite(intercept) else None


def _up_to(block: Later, closed: Integers) -> Later:
    """The block's rows of cutoffs that are closed."""
    has = np.isin(block.cutoff, closed)
    return Later(block.margin[has], block.label[has], block.cutoff[has], block.account[has], block.closed)


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


def row_loss(label: Floats, probability: Floats) -> Floats:
    """Log loss of each row."""
    chance = np.clip(probability, 1e-12, 1.0 - 1e-12)
    return np.asarray(-(label * np.log(chance) + (1.0 - label) * np.log(1.0 - chance)))


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
