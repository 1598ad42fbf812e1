"""Rows of one source file, as the readers of the formats hand them over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from features.sources.text.lines import Fault

__all__ = ["Identity", "Rows"]


@dataclass(frozen=True)
class Identity:
    """What tells rows apart that may look alike in the columns a mapping reads.

    Attributes
    ----------
    lines
        Each row's line without its end; it may hold a secret, so it is only ever kept as a keyed hash.
    copies
        Which of the file's identical lines each is, from 0.
    """

    lines: pa.StringArray
    copies: pa.Array


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
    identity
        Of lines of a log, JSON or not; elsewhere identical rows are one event.
    open_end
        The line of the last row or fault, where the file ends with it and it has no end: it may still be being written.
    told
        What else there is to say of the file, as a sentence with ``{count}`` for how often.
    """

    table: pa.Table
    numbers: Sequence[int] | npt.NDArray[np.int64]
    faults: tuple[Fault, ...] = ()
    nested: dict[str, list[int]] = field(default_factory=dict)
    identity: Identity | None = None
    open_end: int | None = None
    told: Mapping[str, int] = field(default_factory=dict)
