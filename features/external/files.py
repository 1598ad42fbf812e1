"""Reads the files of an external table: every row in our types, or the file, column and rows that cannot be used."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.exceptions import InputError, counted, listed
from features.paths import matching

__all__ = ["KEYS", "find_files", "once", "read_files"]


KEYS = ("account_id", "event_timestamp", "known_at")
"""What identifies a row."""

_PLACE = ("_file", "_row")  # no column of a table begins so
_NUMBERS = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_null,
)


def find_files(place: Path) -> list[Path]:
    """The Parquet files of a folder, or those a path or glob names, in order."""
    if place.is_dir():
        return sorted(place.glob("*.parquet"))
    return sorted(path for path in matching(place) if path.is_file())


def read_files(paths: Sequence[Path], name: str, schema: pa.Schema) -> pa.Table:
    """The rows of all files as ``schema`` says, and where each lies: ``_file``, and ``_row`` counted from 1.

    Raises
    ------
    InputError
        When a file cannot be read, lacks a column, or holds something else in one.
    """
    return pa.concat_tables([_read(path, name, schema) for path in paths])


def once(rows: pa.Table, name: str) -> pa.Table:
    """The rows of all files of an external table without repeated ones.

    Raises
    ------
    InputError
        When two rows of one account and the same times differ.
    """
    values = [column for column in rows.column_names if column not in _PLACE]
    first = rows.group_by(values, use_threads=False).aggregate([(column, "first") for column in _PLACE])
    names = {f"{column}_first": column for column in _PLACE}
    first = first.rename_columns([names.get(column, column) for column in first.column_names])
    counts = first.group_by(list(KEYS)).aggregate([([], "count_all")])
    twice = counts.filter(pc.greater(counts["count_all"], 1))
    if twice.num_rows:
        account, moment, known = (twice[key][0].as_py() for key in KEYS)
        both = first.filter(
            pc.and_(
                pc.equal(first["account_id"], account),
                pc.and_(pc.equal(first["event_timestamp"], moment), pc.equal(first["known_at"], known)),
            )
        ).to_pylist()
        places = listed(f"{Path(row['_file']).name} row {row['_row']}" for row in both)
        raise InputError(
            f"The external table {name} says different things of "
            f"{counted(twice.num_rows, 'account and time|account and times')}: {account} at {moment.isoformat()}, "
            f"known {known.isoformat()}, in {places}. Leave one, or give the correction the known_at at which it was "
            "made."
        )
    return first.select(values)


def _read(path: Path, name: str, schema: pa.Schema) -> pa.Table:
    """The rows of one file in our types, with where they lie: ``_file`` and ``_row``, counted from 1."""
    where = f"{path} of the external table {name}"
    try:
        given = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{where} cannot be read as Parquet: {error}. Write it again.") from error
    missing = [column for column in schema.names if column not in given.column_names]
    if missing:
        raise InputError(
            f"{where} has no column {listed(missing)}; it has {listed(given.column_names, limit=20)}. "
            "Write the file with it, or declare the columns there are."
        )
    columns = {field.name: _column(given[field.name], field, where) for field in schema}
    for key in KEYS:
        _refuse_rows(pc.is_null(columns[key]), f"{where} has no {key}", "Every row needs one.")
    for field in schema:
        if pa.types.is_floating(field.type):
            infinite = pc.fill_null(pc.is_inf(columns[field.name]), False)
            _refuse_rows(infinite, f"{where} has an infinite {field.name}", "Leave it null where it says nothing.")
    return (
        pa.table(columns)
        .append_column("_file", pa.array([str(path)] * given.num_rows, pa.string()))
        .append_column("_row", pa.array(np.arange(1, given.num_rows + 1)))
    )


def _column(values: pa.ChunkedArray, field: pa.Field, where: str) -> pa.ChunkedArray:
    """One column in our type: times to the microsecond in UTC, numbers as double with null for what is no number."""
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    given = values.type
    if pa.types.is_timestamp(field.type):
        if not pa.types.is_timestamp(given) or given.tz is None:
            raise InputError(
                f"The column {field.name} of {where} holds {given}, not times with a zone. A time without a zone is a "
                "guess: write timestamps in UTC."
            )
        return values.cast(field.type, safe=False)
    if pa.types.is_string(field.type):
        if not (pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_integer(given)):
            raise InputError(f"The column {field.name} of {where} holds {given}, not text. Write account ids as text.")
        return values.cast(field.type)
    if not any(is_number(given) for is_number in _NUMBERS):
        raise InputError(
            f"The column {field.name} of {where} holds {given}, and a feature is a number. Write it as a number, "
            "or leave it out of the table's columns."
        )
    numbers = (values.cast(pa.int8()) if pa.types.is_boolean(given) else values).cast(field.type, safe=False)
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, field.type), numbers)


def _refuse_rows(wrong: pa.ChunkedArray, what: str, remedy: str) -> None:
    rows = np.flatnonzero(wrong.to_numpy(zero_copy_only=False)) + 1
    if len(rows):
        raise InputError(f"{counted(len(rows), 'row|rows')} of {what}: row {listed(rows)}. {remedy}")
