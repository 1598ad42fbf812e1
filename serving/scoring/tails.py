"""How unlikely a count is by chance, and how large the effect behind it is at least: arrays in, arrays out."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = [
    "CONFIDENCE",
    "fewer_than_expected",
    "least_ratio",
    "least_shortfall",
    "more_than_expected",
]

Floats = NDArray[np.float64]

CONFIDENCE = 0.8
"""One-sided confidence of the bounds of an effect."""


def more_than_expected(hits: ArrayLike, trials: ArrayLike, chance: ArrayLike) -> Floats:
    """Probability of at least so many hits in so many trials (binomial); 1 without trials.

    >>> more_than_expected([5, 0], [10, 0], [0.5, 0.5]).round(4).tolist()
    [0.623, 1.0]
    """
    return np.asarray(stats.binom.sf(np.asarray(hits) - 1, np.asarray(trials), np.asarray(chance)), dtype=np.float64)


def least_ratio(hits: ArrayLike, trials: ArrayLike, chance: ArrayLike) -> Floats:
    """Lower bound of the hit rate (Clopper and Pearson 1934, one-sided) over the chance; 0 without a hit.

    >>> least_ratio([20], [100], [0.05]).round(2).tolist()
    [3.28]
    """
    hit, of = np.asarray(hits, dtype=np.float64), np.asarray(trials, dtype=np.float64)
    lower = stats.beta.ppf(1 - CONFIDENCE, np.maximum(hit, 1.0), np.maximum(of - hit + 1.0, 1.0))
    return np.where(hit > 0, lower / np.asarray(chance, dtype=np.float64), 0.0)


def fewer_than_expected(count: ArrayLike, mean: ArrayLike, variance: ArrayLike) -> Floats:
    """Probability of at most so many, by the negative binomial of this mean and variance; Poisson's where it is less.

    >>> fewer_than_expected([3, 3], [10.0, 10.0], [10.0, 30.0]).round(4).tolist()
    [0.0103, 0.0879]
    """
    counts, means, variances = np.broadcast_arrays(
        np.asarray(count, np.float64), np.asarray(mean, np.float64), np.asarray(variance, np.float64)
    )
    tail = stats.poisson.cdf(counts, means)
    spread = (variances > means * (1 + 1e-9)) & (means > 0)
    size = means[spread] ** 2 / (variances[spread] - means[spread])
    tail[spread] = stats.nbinom.cdf(counts[spread], size, size / (size + means[spread]))
    return np.asarray(tail, dtype=np.float64)


def least_shortfall(count: ArrayLike, mean: ArrayLike, spread: ArrayLike = 1.0) -> Floats:
    """Expected over the upper bound of what a count stands for (Garwood 1936), its spread times Poisson's.

    >>> least_shortfall([0, 10], [16.1, 30.0]).round(2).tolist()
    [10.0, 2.2]
    """
    counts, phi = np.asarray(count, dtype=np.float64), np.asarray(spread, dtype=np.float64)
    upper = phi * stats.gamma.ppf(CONFIDENCE, counts / phi + 1.0)
    return np.asarray(np.asarray(mean, dtype=np.float64) / upper, dtype=np.float64)
