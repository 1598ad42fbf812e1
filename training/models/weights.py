"""Learns how far a model listens to its booster and to its scorecard, and whether to the second at all."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from training.models.calibrate import logistic_line
from training.models.stack import BOOSTER_ALONE, Stack

__all__ = ["learn_stack"]


_LEAST_ACCOUNTS = 10  # with a positive label, as many as a calibration takes
_REPETITIONS = 500
_AT_ONCE = 50
_STEPS = 50
_EXACT = 1e-9
_RIDGE = 1e-9  # of the curvature: halves that say the same share the weight

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def learn_stack(
    booster: Floats, scorecard: Floats, label: Floats, cutoff: Integers, account: Integers, *, seed: int
) -> Stack:
    """Weights of both halves by which their out-of-fold margins foretell best, none of them below 0.

    They are those of a logistic regression with one intercept per cutoff: a half that only tells how bad a week was
    earns nothing by it. The scorecard counts where the interval of its weight, accounts drawn anew, lies above 0; else
    the booster alone is the model. The weights are then brought to a sum of 1, so that the margin is no bolder than the
    halves are: how far it may be trusted is for calibration to find, on later cutoffs too.

    Parameters
    ----------
    booster, scorecard, label, cutoff, account
        One value per row: log-odds by models that do not know its account, 0 or 1, and the numbers of its cutoff and
        its account, both from 0.
    """
    share = np.bincount(cutoff, weights=label) / np.maximum(np.bincount(cutoff), 1)
    tells = ((share > 0) & (share < 1))[cutoff]
    if len(np.unique(account[tells & (label == 1)])) < _LEAST_ACCOUNTS:
        return BOOSTER_ALONE
    halves = np.column_stack([booster, scorecard])
    rows = _Rows(
        halves[tells],
        label[tells],
        np.unique(cutoff[tells], return_inverse=True)[1].astype(np.int64),
        np.unique(account[tells], return_inverse=True)[1].astype(np.int64),
    )
    weights, intercepts = _not_below_0(rows)
    if not np.isfinite(weights).all():
        return BOOSTER_ALONE
    low, high = np.quantile(_drawn(rows, weights, intercepts, seed=seed), [0.025, 0.975]).tolist()
    learnt = (float(weights[1]), low, high)
    if not low > 0:
        return Stack(1.0, 0.0, 0.0, learnt)
    shares = weights / weights.sum()
    _, intercept = logistic_line(halves @ shares, label, fixed_slope=1.0)
    return Stack(float(shares[0]), float(shares[1]), intercept, learnt)


@dataclass(frozen=True)
class _Rows:
    """Rows by the margins of both halves, and one value per row; cutoffs and accounts count from 0 without gaps."""

    halves: Floats
    label: Floats
    cutoff: Integers
    account: Integers


def _not_below_0(rows: _Rows) -> tuple[Floats, Floats]:
    """Weights and intercepts of least log loss. The loss is convex: a weight that would be below 0 is 0."""
    weights, intercepts = _fitted(rows, (0, 1))
    if not (weights < 0).any():
        return weights, intercepts
    edges = [_fitted(rows, (half,)) for half in (0, 1)]
    edges = [edge if (edge[0] >= 0).all() else _fitted(rows, ()) for edge in edges]
    return min(edges, key=lambda edge: _loss(rows, *edge))


def _fitted(rows: _Rows, used: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Weights of the halves, 0 for one that is not ``used``, and the intercept of each cutoff, by Newton's method.

    The weights are nan where they have no end, as for a half that knows the labels.
    """
    share = np.bincount(rows.cutoff, weights=rows.label) / np.bincount(rows.cutoff)
    weights, intercepts = np.zeros(2), np.log(share / (1.0 - share))
    everybody = np.zeros(len(rows.label), dtype=np.int64)
    for _ in range(_STEPS):
        sums = _sums(rows, weights, intercepts, everybody)
        slope, curvature = (values[0] for values in _within(*sums))
        places = list(used)
        step = np.zeros(2)
        step[places] = np.linalg.solve(curvature[np.ix_(places, places)], slope[places])
        error, spread, *crossed = np.moveaxis(sums[0][0], -1, 0)
        step_own = (error - np.column_stack(crossed) @ step) / spread
        length = float(np.abs([*step, *step_own]).max())
        limit = min(1.0, 4.0 / max(length, 1.0))  # far from the answer a full step may overshoot
        weights, intercepts = weights + limit * step, intercepts + limit * step_own
        if length < _EXACT:
            return weights, intercepts
    return np.full(2, np.nan), intercepts


def _drawn(rows: _Rows, weights: Floats, intercepts: Floats, *, seed: int) -> Floats:
    """The scorecard's weight for accounts drawn anew, with replacement, one per repetition.

    Each is one step of Newton's method from the weights of all accounts, bound to be no less than 0: what a row adds
    to slope and curvature is summed by account once, so that a repetition costs nothing that grows with the rows.
    """
    by_cutoff, shared = _sums(rows, weights, intercepts, rows.account)
    accounts = len(shared)
    dice = np.random.default_rng(seed)
    drawn = []
    for _ in range(_REPETITIONS // _AT_ONCE):
        counts = [np.bincount(dice.integers(accounts, size=accounts), minlength=accounts) for _ in range(_AT_ONCE)]
        times = np.array(counts, dtype=np.float64)
        own = (times @ by_cutoff.reshape(accounts, -1)).reshape(_AT_ONCE, *by_cutoff.shape[1:])
        slope, curvature = _within(own, times @ shared)
        drawn.append(_least(slope + curvature @ weights, curvature))
    return np.concatenate(drawn)


def _least(pull: Floats, curvature: Floats) -> Floats:
    """Second weight of the quadratics ``w curvature w / 2 - pull w`` at their least, no weight below 0."""
    free = np.linalg.solve(curvature, pull[:, :, None])[:, :, 0]
    alone = np.maximum(pull, 0.0) / np.diagonal(curvature, axis1=1, axis2=2)
    gain = alone * pull  # twice what it takes off
    return np.where((free >= 0.0).all(axis=1), free[:, 1], np.where(gain[:, 1] > gain[:, 0], alone[:, 1], 0.0))


def _sums(rows: _Rows, weights: Floats, intercepts: Floats, group: Integers) -> tuple[Floats, Floats]:
    """Slope and curvature of the log likelihood, summed by group.

    Groups by cutoffs by (error, spread, spread times each half), and groups by (error times each half, spread times
    the products of the halves).
    """
    chance = 1.0 / (1.0 + np.exp(-np.clip(rows.halves @ weights + intercepts[rows.cutoff], -700.0, 700.0)))
    error, spread = rows.label - chance, chance * (1.0 - chance)
    first, second = rows.halves.T
    groups, cutoffs = int(group.max()) + 1, len(intercepts)
    place = group * cutoffs + rows.cutoff

    def summed(where: Integers, size: int, *values: Floats) -> Floats:
        return np.column_stack([np.bincount(where, weights=value, minlength=size) for value in values])

    by_cutoff = summed(place, groups * cutoffs, error, spread, spread * first, spread * second)
    squares = (spread * first * first, spread * first * second, spread * second * second)
    shared = summed(group, groups, error * first, error * second, *squares)
    return by_cutoff.reshape(groups, cutoffs, 4), shared


def _within(by_cutoff: Floats, shared: Floats) -> tuple[Floats, Floats]:
    """Slope and curvature of the two weights, each cutoff at its best intercept: groups by 2, and by 2 by 2."""
    error, spread = by_cutoff[:, :, 0], np.maximum(by_cutoff[:, :, 1], 1e-12)
    crossed = by_cutoff[:, :, 2:]
    slope = shared[:, :2] - np.einsum("gc,gch->gh", error / spread, crossed)
    curvature = shared[:, [2, 3, 3, 4]].reshape(-1, 2, 2) - np.einsum(
        "gch,gci->ghi", crossed / spread[:, :, None], crossed
    )
    return slope, curvature + _RIDGE * by_cutoff[:, :, 1].sum(axis=1)[:, None, None] * np.eye(2)


def _loss(rows: _Rows, weights: Floats, intercepts: Floats) -> float:
    margin = rows.halves @ weights + intercepts[rows.cutoff]
    return float(np.logaddexp(0.0, margin).sum() - rows.label @ margin)
