"""Why a model scored as it did: exact contributions to the margin, by model column, feature and family."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from features.definitions.catalog import BUILT_IN, Catalog
from features.exceptions import WorkFailedError

if TYPE_CHECKING:
    import lightgbm as lgb

    from training.models.bundle import Column

__all__ = ["TOLERANCE", "Explained", "by_family", "by_feature", "explain"]


TOLERANCE = 1e-6
"""How far base plus contributions may be from the margin, in log-odds."""

_CHECKED_ROWS = 256

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Explained:
    """TreeSHAP values of the margin, in log-odds (Lundberg et al., 2020, Nature Machine Intelligence 2, 56-67).

    Attributes
    ----------
    base_margin
        One per row; the margin of an average row, the same for every row of one model.
    contributions
        Rows by model columns.
    margin
        One per row: ``base_margin`` plus the row's contributions.
    """

    base_margin: Floats
    contributions: Floats
    margin: Floats


def explain(booster: "lgb.Booster", matrix: Floats) -> Explained:
    """Score and explain every row of ``matrix`` (rows by model columns).

    Raises
    ------
    WorkFailedError
        When base and contributions do not add up to the margin.
    """
    if not len(matrix):
        return Explained(np.zeros(0), np.zeros((0, matrix.shape[1])), np.zeros(0))
    parts = np.asarray(booster.predict(matrix, pred_contrib=True), dtype=np.float64)
    margin = parts.sum(axis=1)
    # The margin is the sum; that the sum is what the booster predicts is a property of the booster, seen on a few rows.
    checked = slice(None, None, -(-len(matrix) // _CHECKED_ROWS))
    predicted = np.asarray(booster.predict(matrix[checked], raw_score=True), dtype=np.float64)
    difference = float(np.max(np.abs(margin[checked] - predicted)))
    if not difference <= TOLERANCE:
        raise WorkFailedError(
            f"The contributions of {len(predicted)} rows miss their margin by up to {difference:.3g}. "
            "The model cannot be explained; train it again with `bellwether train`."
        )
    return Explained(parts[:, -1], parts[:, :-1], margin)


def by_feature(columns: Sequence["Column"], contributions: Floats) -> tuple[tuple[str, ...], Floats]:
    """Names of features, and their contributions, rows by features: indicator columns of one category are summed."""
    return _summed([column.feature for column in columns], contributions)


def by_family(
    columns: Sequence["Column"], contributions: Floats, catalog: Catalog = BUILT_IN
) -> tuple[tuple[str, ...], Floats]:
    """Names of the catalogue's families, and their contributions, rows by families: correlated features speak once."""
    return _summed([catalog.spec(column.feature).family for column in columns], contributions)


def _summed(names: Sequence[str], contributions: Floats) -> tuple[tuple[str, ...], Floats]:
    places: dict[str, int] = {}
    codes = np.array([places.setdefault(name, len(places)) for name in names], dtype=np.intp)
    if not places:
        return (), np.zeros((len(contributions), 0))
    if np.any(np.diff(codes) < 0):  # what belongs together must lie together
        order = np.argsort(codes, kind="stable")
        codes, contributions = codes[order], contributions[:, order]
    return tuple(places), np.add.reduceat(contributions, np.searchsorted(codes, np.arange(len(places))), axis=1)
