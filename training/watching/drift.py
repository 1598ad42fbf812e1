"""How far a feature has moved away from what its model was fitted on: the baseline a bundle keeps, and the distance."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["Cell", "Level", "Shift", "baseline_of", "shift_from"]


_QUANTILES = (0.01, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99)
_NULL_SHARE, _QUANTILE, _UP_TO, _SHARE = "null_share", "quantile ", "up to quantile ", "share "
_MODERATE, _LARGE = 0.1, 0.25
_NULLS_ROSE = 0.1
_LEAST_SHARE = 1e-4  # of a cell nobody was in: the logarithm of nothing is infinite
_CHANCE = 3.09  # deviations of a normal: one in a thousand, for there are some seventy features


class Level(StrEnum):
    """What a population stability index says, by the rule of thumb of Siddiqi (2006)."""

    NONE = "none"
    MODERATE = "moderate"
    LARGE = "large"


@dataclass(frozen=True)
class Cell:
    """A span of a number, or one value of a category, with its share of the baseline and of the values."""

    name: str
    before: float
    now: float


@dataclass(frozen=True)
class Shift:
    """The distance of one feature's values from its baseline.

    Attributes
    ----------
    rows
        Accounts looked at.
    index
        Population stability index of the values that are not null; None where there are none.
    chance
        The index that chance alone exceeds once in a thousand, among so few values.
    nulls_before, nulls_now
        Share of nulls in the baseline, and among the values.
    moved_most
        The cell that adds most to the index; None where there is no index.
    new_values
        Categories the model never saw.
    """

    rows: int
    index: float | None
    chance: float
    nulls_before: float
    nulls_now: float
    moved_most: Cell | None = None
    new_values: tuple[str, ...] = ()

    @property
    def level(self) -> Level:
        """Below 0.1, or within chance: none. From 0.1: moderate, worth knowing. From 0.25: large, worth acting on."""
        if self.index is None or self.index <= self.chance or self.index < _MODERATE:
            return Level.NONE
        return Level.MODERATE if self.index < _LARGE else Level.LARGE

    @property
    def went_missing(self) -> bool:
        """Whether nulls became many more than the model was fitted with, by ten points and more than chance.

        That they become fewer says only that the log was young then.
        """
        spread = math.sqrt(2.0 * self.nulls_before * (1.0 - self.nulls_before) / self.rows)
        return self.nulls_now - self.nulls_before > max(_NULLS_ROSE, _CHANCE * spread)


def baseline_of(values: "pd.Series[Any]", kind: str) -> dict[str, float]:
    """What a feature looked like over all closed cutoffs, in a few numbers a bundle can carry.

    Of a number: quantiles, and which share of the values reached up to each, which is more than its own level where
    many values are equal. Of a category: the share of each value. Shares are of the values that are not null.
    """
    numbers = {_NULL_SHARE: float(values.isna().mean())}
    if kind == "category":
        return numbers | {
            f"{_SHARE}{value}": float(share) for value, share in values.value_counts(normalize=True).items()
        }
    numbers |= {"mean": float(values.mean()), "deviation": float(values.std(ddof=0))}
    quantiles = {level: float(value) for level, value in values.quantile(list(_QUANTILES)).items()}
    known = values.dropna()
    return (
        numbers
        | {f"{_QUANTILE}{level}": value for level, value in quantiles.items()}
        | {f"{_UP_TO}{level}": float((known <= value).mean()) for level, value in quantiles.items()}
    )


def shift_from(baseline: Mapping[str, float], values: Sequence[Any] | NDArray[Any], kind: str) -> Shift | None:
    """The population stability index of a feature's values against its baseline; None where there is too little.

    The index is the sum over cells of ``(q - p) ln(q / p)``, p and q the shares of baseline and values (Siddiqi,
    Credit Risk Scorecards, 2006, p. 136). The cells of a number end at the baseline's distinct quantiles; those of a
    category are its values. Without any change the index is about ``(1/n + 1/m)`` times a chi-square variable of one
    degree of freedom less than there are cells (Yurdakul, Statistical Properties of Population Stability Index, 2018);
    the baseline's rows are the same accounts week after week, so m is taken to be n. Nulls are counted beside: the
    features of a young log are null, and an index with a cell for them would speak of nothing else.

    There is too little where nobody has a row, or where the bundle was made before it kept these shares.
    """
    rows = list(values)
    if not rows or _NULL_SHARE not in baseline:
        return None
    parts = _category_cells(baseline, rows) if kind == "category" else _number_cells(baseline, rows)
    if parts is None:
        return None
    cells = [cell for cell in parts.cells if cell[1] > 0 or cell[2] > 0]
    known = sum(count for _, _, count in cells)
    weights = _weights([share for _, share, _ in cells], [count for _, _, count in cells])
    most = int(np.argmax(weights))
    name, before, count = cells[most]
    return Shift(
        rows=len(rows),
        index=float(weights.sum()) if known else None,
        chance=_by_chance(len(cells), max(known, 1)),
        nulls_before=baseline[_NULL_SHARE],
        nulls_now=1.0 - known / len(rows),
        moved_most=Cell(name, before, count / known) if known else None,
        new_values=parts.new,
    )


@dataclass(frozen=True)
class _Parts:
    """Cells as name, share of the baseline and count of the values; and the values the baseline has not."""

    cells: Sequence[tuple[str, float, int]]
    new: tuple[str, ...] = ()


def _number_cells(baseline: Mapping[str, float], rows: Sequence[Any]) -> _Parts | None:
    edges = _edges(baseline)
    if not edges:
        return None
    numbers = np.asarray(rows, dtype=np.float64)
    ends = list(edges)
    counts = np.bincount(np.searchsorted(ends, numbers[~np.isnan(numbers)], side="left"), minlength=len(ends) + 1)
    spans = [f"over {low:.4g} up to {high:.4g}" for low, high in pairwise(ends)]
    names = [f"up to {ends[0]:.4g}", *spans, f"over {ends[-1]:.4g}"]
    shares = np.diff([0.0, *edges.values(), 1.0]).tolist()
    return _Parts(list(zip(names, shares, counts.tolist(), strict=True)))


def _category_cells(baseline: Mapping[str, float], rows: Sequence[Any]) -> _Parts | None:
    known = {name.removeprefix(_SHARE): share for name, share in baseline.items() if name.startswith(_SHARE)}
    counts = Counter(value for value in rows if isinstance(value, str))
    new = tuple(sorted(set(counts) - set(known)))
    if not known:
        return None
    rest = ("a new value", 0.0, sum(counts[value] for value in new))
    return _Parts([*((value, share, counts[value]) for value, share in known.items()), rest], new)


def _edges(baseline: Mapping[str, float]) -> dict[float, float]:
    """Distinct quantiles, ascending, with the share of the baseline's values up to each."""
    pairs = [(baseline.get(f"{_QUANTILE}{level}"), baseline.get(f"{_UP_TO}{level}")) for level in _QUANTILES]
    return {edge: share for edge, share in pairs if edge is not None and share is not None and math.isfinite(edge)}


def _weights(shares: Sequence[float], counts: Sequence[int]) -> NDArray[np.float64]:
    """What each cell adds to the index; half a value is added to every count, as nobody in a cell is no proof."""
    seen = np.array(counts, dtype=np.float64)
    now = np.maximum((seen + 0.5) / (seen.sum() + 0.5 * len(seen)), _LEAST_SHARE)
    before = np.maximum(np.array(shares), _LEAST_SHARE)
    weights: NDArray[np.float64] = (now - before) * np.log(now / before)
    return weights


def _by_chance(cells: int, rows: int) -> float:
    """The quantile of the chi-square distribution by Wilson and Hilferty (1931), scaled to the index."""
    freedom = max(cells - 1, 1)
    spread = 2.0 / (9.0 * freedom)
    return 2.0 / rows * freedom * (1.0 - spread + _CHANCE * math.sqrt(spread)) ** 3
