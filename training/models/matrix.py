"""Feature columns as the matrix of numbers that a model reads."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from features.exceptions import InputError, listed
from training.models.bundle import OTHER, Bundle, Column

if TYPE_CHECKING:
    pass

__all__ = ["design_matrix", "matrix"]


def matrix(bundle: Bundle, columns: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """Rows by model columns, from feature columns.

    Raises
    ------
    InputError
        When a feature is missing or infinite.
    """
    return design_matrix(bundle.columns, columns)


def design_matrix(layout: Sequence[Column], columns: Mapping[str, Any]) -> npt.NDArray[np.float64]:
    """Rows by model columns: numbers as they are, nulls as nan, categories as indicators.

    Raises
    ------
    InputError
        When a feature is missing or infinite: LightGBM would take infinity in silence.
    """
    missing = sorted({column.feature for column in layout} - set(columns))
    if missing:
        raise InputError(f"{len(missing)} features the model reads are missing: {listed(missing)}. Build them first.")
    rows = len(next(iter(columns.values()))) if columns else 0
    filled = np.empty((rows, len(layout)), dtype=np.float64, order="F")
    values: dict[str, npt.NDArray[Any]] = {}
    known: dict[str, npt.NDArray[np.bool_]] = {}
    for place, column in enumerate(layout):
        raw = columns[column.feature]
        if column.value is None:
            filled[:, place] = np.asarray(raw, dtype=np.float64)
            continue
        if column.feature not in values:
            values[column.feature] = _words(raw)
            known[column.feature] = values[column.feature] == ""
        if column.value == OTHER:
            filled[:, place] = ~known[column.feature]
        else:
            is_value = values[column.feature] == column.value
            known[column.feature] = known[column.feature] | is_value
            filled[:, place] = is_value
    infinite = [layout[place].name for place in np.flatnonzero(np.isinf(filled).any(axis=0)).tolist()]
    if infinite:
        raise InputError(f"{len(infinite)} features hold infinite values: {listed(infinite)}. Build them again.")
    return filled


def _words(raw: Sequence[Any]) -> npt.NDArray[Any]:
    """Category values as an array of text in which null is empty."""
    return np.array([value if isinstance(value, str) else "" for value in raw], dtype=object)
