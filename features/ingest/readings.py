"""What reading one column comes to: its values, what is wrong with them, and what is to be told of them."""

from dataclasses import dataclass

import ibis.expr.types as ir
import pyarrow as pa

__all__ = ["UTC_TIME", "Problem", "Reading", "canonical_type"]


UTC_TIME = "timestamp('UTC', 6)"


@dataclass(frozen=True)
class Problem:
    """A reason, the canonical column it lies in, and the rows it is true of."""

    reason: str
    column: str
    rows: ir.BooleanValue


@dataclass(frozen=True)
class Reading:
    """One column's canonical value, null where there is none or it cannot be read.

    Attributes
    ----------
    problems
        Why a value that is given cannot be used.
    marks
        What is to be told of values that are used.
    steps
        Parts of the value that are worked out for every row, and that value, problems and marks are made of.
    """

    value: ir.Value
    problems: tuple[Problem, ...] = ()
    marks: tuple[Problem, ...] = ()
    steps: tuple[ir.Value, ...] = ()


def canonical_type(canonical: pa.DataType) -> str:
    """The engine's name of a canonical type."""
    if pa.types.is_timestamp(canonical):
        return UTC_TIME
    return {"double": "float64", "bool": "boolean"}.get(str(canonical), str(canonical))
