"""Sorted rows to one file per part: the last step of rollups and features."""

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.exceptions import WorkFailedError

__all__ = ["write_parts"]


Part = TypeVar("Part", bound=date)  # an event day, or a cutoff


def write_parts(rows: pa.Table, order: Sequence[str], paths: Mapping[Part, Path]) -> dict[Part, int]:
    """Write one Parquet file per value of the first column of ``order``; an empty file for an absent value.

    ``rows`` are sorted by the columns of ``order``, of which the first two are checked. The same rows give the same
    bytes, so a file named by its content keeps its name.

    Returns
    -------
    dict
        Rows per value.

    Raises
    ------
    WorkFailedError
        When the rows are not sorted.
    """
    column, within = order[:2]
    counts = {entry["values"]: entry["counts"] for entry in rows[column].value_counts().to_pylist()}
    written: dict[Part, int] = {}
    start = 0
    for value in sorted(paths):
        written[value] = counts.get(value, 0)
        part = rows.slice(start, written[value]).combine_chunks()
        if part.num_rows and not (pc.unique(part[column]).to_pylist() == [value] and _is_ascending(part[within])):
            raise WorkFailedError(
                f"The engine did not sort its rows by {column} and {within}: {value} is mixed. "
                "Nothing was published; run it again."
            )
        pq.write_table(part, paths[value], compression="zstd")
        start += written[value]
    return written


def _is_ascending(column: pa.ChunkedArray) -> bool:
    rising = pc.greater_equal(column.slice(1), column.slice(0, len(column) - 1))
    return pc.all(rising).as_py() is not False  # null over a single row
