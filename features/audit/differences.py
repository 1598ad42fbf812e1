"""Compares versions of feature rows that should be equal: integers exactly, fractions to a billionth."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.feature import FeatureSpec

__all__ = ["TOLERANCE", "differing", "is_equal"]

TOLERANCE = 1e-9  # relative; sums of fractions depend on the order of the rows


def differing(versions: Sequence[pa.Table], features: Sequence[FeatureSpec]) -> Iterator[tuple[int, str]]:
    """Places (row, feature) at which any version differs from the first.

    ``versions`` hold the same accounts in the same order; the first has every feature. Nothing equals nothing, and a
    number that is no number counts as nothing.
    """
    first, *others = versions
    for feature in features:
        differs = np.zeros(first.num_rows, dtype=bool)
        for other in (version for version in others if feature.name in version.column_names):
            differs |= _differ(first[feature.name], other[feature.name])
        for row in np.flatnonzero(differs):
            yield int(row), feature.name


def _differ(left: pa.ChunkedArray, right: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    if pa.types.is_integer(left.type) and pa.types.is_integer(right.type):
        unequal = pc.not_equal(left, right)
    elif pa.types.is_string(left.type):
        unequal = pc.not_equal(left, right.cast(pa.string()))
    else:
        left, right = _fractions(left), _fractions(right)
        gap, size = pc.abs(pc.subtract(left, right)), pc.max_element_wise(pc.abs(left), pc.abs(right))
        is_close = pc.and_(pc.is_finite(size), pc.less_equal(gap, pc.multiply(size, TOLERANCE)))
        unequal = pc.and_(pc.not_equal(left, right), pc.invert(is_close))
    one_is_null = pc.xor(pc.is_null(left), pc.is_null(right))
    return np.asarray(pc.or_(one_is_null, pc.fill_null(unequal, False)).to_numpy(), dtype=bool)


def _fractions(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """As double, null for what is no number; integers beyond 2**53 as they come out of a training frame."""
    numbers = values.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_nan(numbers), None, numbers)


def is_equal(left: object, right: object) -> bool:
    """Whether two values of one row are equal by the rule of :func:`differing`.

    >>> is_equal(0.1 + 0.2, 0.3), is_equal(1, 2), is_equal(None, 0)
    (True, False, False)
    """
    if isinstance(left, float) and isinstance(right, int | float):
        return math.isclose(left, right, rel_tol=TOLERANCE)
    return left == right
