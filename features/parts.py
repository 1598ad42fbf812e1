"""Sorted rows to one file per part: the last step of rollups and features."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.exceptions import WorkFailedError

__all__ = ["write_parts"]

Part = TypeVar("Part", bound=date)  # an event day, or a cutoff


def write_parts(rows: pa.Table, column: str, paths: Mapping[Part, Path]) -> dict[Part, int]:
    """Write one Parquet file per value of ``column``, by which ``rows`` are sorted; an empty file for an absent value.

    The same rows give the same bytes, so a file named by its content keeps its name.

    Returns
    -------
    dict
        Rows per value.

    Raises
    ------
    WorkFailedError
        When the rows are not sorted by ``column``.
    """
    counts = {entry["values"]: entry["counts"] for entry in rows[column].value_counts().to_pylist()}
    written: dict[Part, int] = {}
    start = 0
    for value in sorted(paths):
        written[value] = counts.get(value, 0)
        part = rows.slice(start, written[value]).combine_chunks()
        if part.num_rows and pc.unique(part[column]).to_pylist() != [value]:
            raise WorkFailedError(
                f"The engine did not sort its rows by {column}: {value} is mixed. Nothing was published; run it again."
            )
        pq.write_table(part, paths[value], compression="zstd")
        start += written[value]
    return written
