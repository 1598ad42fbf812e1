"""Says on which side of its yardstick a value lies: what is usual for the account itself, or for all accounts.

All accounts are those a model learnt from: its bundle carries their quantiles, so that one account asked for online is
compared with the same numbers as a hundred thousand in a batch run.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definitions.catalog import Catalog
from features.definitions.feature import FeatureSpec

__all__ = ["PEERS", "Stand", "Yardstick", "stand", "yardsticks"]


PEERS = ("half of accounts", "three in four accounts", "nine in ten accounts", "nearly all accounts")
"""What a value lies above or below at each level of a yardstick."""

_ABOVE, _BELOW = (0.5, 0.75, 0.9, 0.99), (0.5, 0.25, 0.1, 0.01)
_WHOLE_QUARTER = "calls_weekly_slope_91d"  # null while account or log are younger than 13 weeks

Floats = NDArray[np.float64]
Places = NDArray[np.int8]


@dataclass(frozen=True)
class Yardstick:
    """Quantiles of one feature among the accounts a model learnt from, upwards and downwards from the median."""

    above: tuple[float, ...]
    below: tuple[float, ...]

    @property
    def median(self) -> float:
        """What divides high values from low ones."""
        return self.above[0]


@dataclass(frozen=True)
class Stand:
    """How each of some rows stands to the yardstick of a feature.

    Attributes
    ----------
    side
        1 for high, -1 for low, 0 where nothing can be said for the direction that is asked for.
    level
        Place in :data:`PEERS` of the accounts it lies above or below; -1 where it is not compared with them.
    usual
        What is usual for the account itself; nan where it is not compared with that.
    """

    side: Places
    level: Places
    usual: Floats


def yardsticks(statistics: Mapping[str, Mapping[str, float | None]]) -> Mapping[str, Yardstick]:
    """Feature to its yardstick, from the statistics of a bundle; categories and empty features have none."""
    found = {}
    for name, numbers in statistics.items():
        above, below = ([numbers.get(f"quantile {level}") for level in levels] for levels in (_ABOVE, _BELOW))
        known_above = tuple(value for value in above if value is not None)
        known_below = tuple(value for value in below if value is not None)
        if len(known_above) == len(_ABOVE) and len(known_below) == len(_BELOW):
            found[name] = Yardstick(known_above, known_below)
    return found


def stand(
    feature: FeatureSpec,
    columns: Mapping[str, NDArray[Any]],
    rows: NDArray[np.intp],
    wanted: Places,
    *,
    yardstick: Yardstick | None = None,
    catalog: Catalog,
) -> Stand:
    """Which rows lie on the wanted side: 1 high, -1 low, 0 either.

    The account's own past is the first yardstick; where it says nothing for that side, the other accounts are.
    """
    nothing = np.full(len(rows), np.nan)
    column = columns.get(feature.name)
    if column is None:
        return Stand(np.zeros(len(rows), dtype=np.int8), np.full(len(rows), -1, dtype=np.int8), nothing)
    values = column[rows]
    if feature.kind == "category":
        is_known = np.array([isinstance(value, str) for value in values.tolist()], dtype=np.int8)
        return Stand(is_known, np.full(len(rows), -1, dtype=np.int8), nothing)
    high, low = _halves(feature, values, yardstick)
    either = np.where(high, 1, np.where(low | (feature.sides == (None, None)), -1, 0))
    side = np.where(wanted > 0, high, np.where(wanted < 0, -low.astype(np.int8), either))
    side = np.where(np.isfinite(values), side, 0).astype(np.int8)
    usual = _usual(feature, columns, rows, values, wanted, catalog)
    side = np.where(np.isnan(usual), side, wanted).astype(np.int8)
    return Stand(side, _level(values, side, yardstick), usual)


def _halves(
    feature: FeatureSpec, values: Floats, yardstick: Yardstick | None
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which values are high, and which are low; without anything to measure by, all are both."""
    lower, upper = feature.sides
    median = None if yardstick is None else yardstick.median
    high = np.ones(len(values), dtype=bool) if upper is None else values > upper
    if median is not None and (lower is None or upper is None):
        high &= values > median
    if lower is not None:
        return high, values <= lower
    if median is not None:
        return high, (values < median) | (values == 0)
    return high, np.ones(len(values), dtype=bool)


def _level(values: Floats, side: Places, yardstick: Yardstick | None) -> Places:
    if yardstick is None:
        return np.full(len(values), -1, dtype=np.int8)
    above = sum((values > edge).astype(np.int8) for edge in yardstick.above)
    below = sum((values < edge).astype(np.int8) for edge in yardstick.below)
    return (np.where(side > 0, above, np.where(side < 0, below, 0)) - 1).astype(np.int8)


def _usual(
    feature: FeatureSpec,
    columns: Mapping[str, NDArray[Any]],
    rows: NDArray[np.intp],
    values: Floats,
    wanted: Places,
    catalog: Catalog,
) -> Floats:
    """What such a window usually has in the account's last 13 weeks, where that says what is wanted."""
    nothing = np.full(len(rows), np.nan)
    if feature.usual is None:
        return nothing
    longer = catalog.spec(feature.usual[0])
    whole, long = columns.get(_WHOLE_QUARTER), columns.get(longer.name)
    if whole is None or long is None:
        return nothing
    usual = np.round(long[rows] * ((feature.window_days or 0) / (longer.window_days or 1)))
    says = np.where(wanted > 0, (usual < values) & (usual >= 1), (wanted < 0) & (usual > values))
    return np.where(says & np.isfinite(usual) & ~np.isnan(whole[rows]), usual, nothing)
