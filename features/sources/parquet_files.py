"""Reads Parquet files piece by piece."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.exceptions import DamagedFileError
from features.sources.text.rows import Rows

__all__ = ["parquet_schema", "read_columnar"]


_ROWS_PER_PIECE = 131_072


def parquet_schema(path: Path) -> pa.Schema:
    """The columns of a Parquet file and their types.

    Raises
    ------
    DamagedFileError
        When it cannot be read as Parquet.
    """
    return _schema_of(_footer(path))


def _schema_of(footer: pq.FileMetaData) -> pa.Schema:
    return footer.schema.to_arrow_schema().remove_metadata()


def _footer(path: Path) -> pq.FileMetaData:
    try:
        return pq.read_metadata(path)
    except (OSError, pa.ArrowException) as error:
        raise DamagedFileError(
            f"{path} cannot be read as Parquet: {_first_line(error)} It may be cut short; write it again. "
            "Nothing was stored."
        ) from error


def read_columnar(path: Path, columns: Sequence[str]) -> Iterator[Rows]:
    """The rows of a Parquet file, of each ``columns``, known by their place; text that repeats as a dictionary.

    Raises
    ------
    DamagedFileError
        When the file is damaged.
    """
    footer = _footer(path)
    schema = _schema_of(footer)
    texts = [name for name in columns if _is_text(schema.field(name).type)]
    # The reader takes "a.b" for b inside a; a file with such a column is read whole.
    wanted = None if any("." in name for name in schema.names) else list(columns)
    begun = 0
    try:
        dictionaries = _dictionaries(footer)
        texts = [name for name in texts if name in dictionaries]
        with pq.ParquetFile(path, metadata=footer, read_dictionary=texts) as file:
            for batch in file.iter_batches(batch_size=_ROWS_PER_PIECE, columns=wanted):
                table = pa.Table.from_batches([batch]).select(list(columns))
                yield Rows(_plainly_typed(table), range(begun + 1, begun + 1 + len(batch)))
                begun += len(batch)
    except (OSError, pa.ArrowException) as error:
        raise DamagedFileError(
            f"{path} is damaged: {_first_line(error)} Write it again. Nothing was stored."
        ) from error


def _dictionaries(footer: pq.FileMetaData) -> set[str]:
    """Columns that are dictionaries in the file too: to make one of ids that never repeat costs more than it saves."""
    if not footer.num_row_groups:
        return set()
    group = footer.row_group(0)
    chunks = [group.column(place) for place in range(footer.num_columns)]
    return {chunk.path_in_schema for chunk in chunks if "RLE_DICTIONARY" in chunk.encodings}


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _plainly_typed(table: pa.Table) -> pa.Table:
    """The columns with one type for all texts and times, whatever tool wrote them.

    The stores hold microseconds, and the expressions know no nanoseconds with a zone. Polars and pandas write large
    strings, older tools bytes.
    """
    for place, kind in enumerate(table.schema):
        column = table.column(place)
        if pa.types.is_timestamp(kind.type) and kind.type.unit != "us":
            table = table.set_column(place, kind.name, pc.cast(column, pa.timestamp("us", kind.type.tz), safe=False))
        elif (plain := _plain_text(kind.type)) is not None:
            with suppress(pa.ArrowInvalid):  # bytes that are no text stay bytes
                table = table.set_column(place, kind.name, pc.cast(column, plain))
    return table


def _plain_text(kind: pa.DataType) -> pa.DataType | None:
    """The type that a column of text is to have; None where it has it, or is none."""
    if pa.types.is_dictionary(kind):
        values = _plain_text(kind.value_type)
        return None if values is None else pa.dictionary(pa.int32(), values)
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind)
    return pa.string() if is_bytes or (_is_text(kind) and not pa.types.is_string(kind)) else None


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".") + "."
