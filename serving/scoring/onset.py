"""On which day a change began: the start of largest likelihood ratio among sudden and gradual changes of a rate."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["RAMPS", "onset"]

Floats = NDArray[np.float64]

RAMPS = (1, 7, 21, 42)
"""Over how many days a change may come about; 1 is a change from one day to the next."""

_LEAST = 1e-9


def onset(counts: Floats, exposure: Floats, *, rises: bool) -> NDArray[np.intp]:
    """Which day, as a column, the rate of counts began to change; the likeliest start for each row.

    A day's count is taken for Poisson's with the rate ``before + change * progress`` times its exposure, where the
    progress goes from 0 at the start to 1 over a ramp of :data:`RAMPS` days. Both rates are fitted by weighted least
    squares for every start and ramp; a change in the other direction is none.

    Parameters
    ----------
    counts, exposure
        Rows by days, the oldest first: failures of calls, or calls against a usual day's.
    rises
        Whether the change looked for is one upwards.

    Examples
    --------
    >>> calls = np.full((1, 20), 100.0)
    >>> failed = np.where(np.arange(20) < 12, 2.0, 20.0)[None, :]
    >>> onset(failed, calls, rises=True).tolist()
    [12]
    """
    days = counts.shape[1]
    best = np.full(len(counts), -np.inf)
    start_of = np.zeros(len(counts), dtype=np.intp)
    ages = np.arange(days)
    weight = exposure  # a rate's variance falls with its exposure
    rate = counts / np.maximum(exposure, _LEAST)
    total, weighted = weight.sum(axis=1), (weight * rate).sum(axis=1)
    for start in range(days):
        for ramp in RAMPS:
            progress = np.clip((ages - start + 1) / ramp, 0.0, 1.0)
            first, second = weight @ progress, weight @ progress**2
            with_rate = (weight * rate) @ progress
            spread = total * second - first**2
            change = np.divide(total * with_rate - first * weighted, spread, out=np.zeros_like(total), where=spread > 0)
            change = np.maximum(change, 0.0) if rises else np.minimum(change, 0.0)
            before = np.divide(weighted - change * first, total, out=np.zeros_like(total), where=total > 0)
            mean = np.maximum(exposure * (before[:, None] + change[:, None] * progress), _LEAST)
            likelihood = (counts * np.log(mean) - mean).sum(axis=1)
            is_better = (likelihood > best + _LEAST) & (change != 0)
            best[is_better], start_of[is_better] = likelihood[is_better], start
    return start_of
