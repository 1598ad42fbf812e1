"""Rows of one source file, as the readers of the formats hand them over."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from features.sources.lines import Fault

__all__ = ["Rows"]


@dataclass(frozen=True)
class Rows:
    """Some rows of a file, one row each, with the file's columns.

    Attributes
    ----------
    numbers
        Where each row lies: its line in a text file, its place in a Parquet file; from 1.
    faults
        Lines that hold no row.
    nested
        Column to the places (in ``table``, from 0) at which it held an object or a list, written as JSON.
    """

    table: pa.Table
    numbers: Sequence[int]
    faults: tuple[Fault, ...] = ()
    nested: dict[str, list[int]] = field(default_factory=dict)
