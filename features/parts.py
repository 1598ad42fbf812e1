"""Sorted rows to one file per part: the last step of rollups and features."""

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["write_parts"]

Part = TypeVar("Part", bound=date)  # an event day, or a cutoff


def write_parts(rows: pa.Table, column: str, paths: Mapping[Part, Path]) -> dict[Part, int]:
    """Write one Parquet file per value of ``column``, by which ``rows`` are sorted; an empty file for an absent value.

    The same rows give the same bytes, so a file named by its content keeps its name.

    Returns
    -------
    dict
        Rows per value.
    """
    counts = {entry["values"]: entry["counts"] for entry in rows[column].value_counts().to_pylist()}
    written: dict[Part, int] = {}
    start = 0
    for value in sorted(paths):
        written[value] = counts.get(value, 0)
        pq.write_table(rows.slice(start, written[value]).combine_chunks(), paths[value], compression="zstd")
        start += written[value]
    return written
