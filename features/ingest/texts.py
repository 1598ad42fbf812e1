"""Writes the unusual among the texts of time and number columns as the engine reads them, and sees decimal commas."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pyarrow as pa

from features.ingest.numbers import (
    has_commas,
    has_points,
    has_thousands,
    may_be_thousands,
    plain_number,
    status_of,
    without_currency,
)
from features.ingest.times import exact_epoch, usual_time
from features.schema import RawTable
from features.sources.mapping.declared import HOST, UNITS_PER_SECOND, MappedColumn
from features.sources.mapping.durations import seconds_of

__all__ = ["THOUSANDS", "UNIT", "Marks", "usual_texts"]


Marks = set[tuple[str, str]]
"""Columns with what was seen in them: ``,`` or ``.`` where only that mark explains a text, a currency, a unit."""

UNIT, THOUSANDS = "unit", "1,234"

_PLAIN = np.zeros(256, dtype=bool)
_PLAIN[[ord(character) for character in "0123456789."]] = True
_LEAST = 20  # bytes of 2026-06-01T10:00:00Z


def usual_texts(given: pa.Table, table: RawTable, columns: Mapping[str, MappedColumn], marks: Marks) -> pa.Table:
    """The rows with times and numbers as the engine reads them; what is seen of decimal marks is added to ``marks``."""
    for name, column in columns.items():
        if name == HOST:  # any text
            continue
        kind, texts = table.schema.field(name).type, given.column(name)
        if not (pa.types.is_string(texts.type) or pa.types.is_dictionary(texts.type)):
            continue
        if pa.types.is_timestamp(kind):
            make = usual_time if column.unit is None else partial(exact_epoch, unit=column.unit)
            given = _replaced(given, name, make, _are_usual_times if column.unit is None else _are_digits)
        elif pa.types.is_floating(kind) or pa.types.is_integer(kind):
            is_plain = name not in _AMBIGUOUS and column.decimal in (None, ".")
            given = _replaced(given, name, _number_of(name, column, marks), _are_digits if is_plain else _never)
    return given


_AMBIGUOUS = ("quota_calls_per_month", "mrr")  # of which 100.000 and 1.299 may be thousands


def _number_of(name: str, column: MappedColumn, marks: Marks) -> Callable[[str], str | None]:
    def number(given: str) -> str | None:
        seconds = seconds_of(given) if name == "latency_ms" else None
        if seconds is not None:
            marks.add((name, UNIT))
            return repr(round(seconds * UNITS_PER_SECOND[column.unit or "ms"], 9))
        if name == "status":
            return plain_number(status_of(given), name, decimal=column.decimal)
        text, currency = without_currency(given) if name == "mrr" else (given, None)
        if currency is not None:
            marks.add((name, currency))
        if has_commas(text, name):
            marks.add((name, ","))
        elif has_thousands(text):
            marks.add((name, THOUSANDS))
        elif name == "mrr" and column.decimal is None and may_be_thousands(text):
            marks.add((name, text.strip()))
        elif has_points(text):
            marks.add((name, "."))
        return plain_number(text, name, decimal=column.decimal)

    return number


def _replaced(
    given: pa.Table, name: str, make: Callable[[str], str | None], are_usual: Callable[[pa.StringArray], bool]
) -> pa.Table:
    texts = given.column(name)
    chunks = [_made(chunk, make, are_usual) for chunk in texts.chunks]
    if all(chunk is before for chunk, before in zip(chunks, texts.chunks, strict=True)):
        return given
    plain = [chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk for chunk in chunks]
    return given.set_column(given.column_names.index(name), name, pa.chunked_array(plain, pa.string()))


def _made(chunk: pa.Array, make: Callable[[str], str | None], are_usual: Callable[[pa.StringArray], bool]) -> pa.Array:
    words = chunk.dictionary if pa.types.is_dictionary(chunk.type) else chunk
    if not pa.types.is_string(words.type) or are_usual(words):
        return chunk
    distinct = words.dictionary_encode()
    texts = distinct.dictionary.to_pylist()
    changed = [None if text is None else make(text) for text in texts]
    if changed == texts:
        return chunk
    values = pa.array(changed, pa.string()).take(distinct.indices)
    return values.take(chunk.indices) if words is not chunk else values


def _never(_: pa.StringArray) -> bool:
    return False


def _are_digits(texts: pa.StringArray) -> bool:
    _, _, content = texts.buffers()
    return content is None or bool(_PLAIN[np.frombuffer(content, dtype=np.uint8)].all())


def _are_usual_times(texts: pa.StringArray) -> bool:
    """Whether all are plainly of ISO 8601 and say their offset: a look at a few bytes of each."""
    _, offsets, content = texts.buffers()
    if content is None or not len(texts):
        return True
    bounds = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    begins, ends = bounds[:-1], bounds[1:]
    sizes = ends - begins
    begins, ends = begins[sizes > 0], ends[sizes > 0]
    if (sizes[sizes > 0] < _LEAST).any():
        return False
    characters = np.frombuffer(content, dtype=np.uint8)
    has_offset = (characters[ends - 1] == ord("Z")) | (
        np.isin(characters[ends - 6], [ord("+"), ord("-")]) & (characters[ends - 7] >= ord("0"))
    )
    is_iso = (characters[begins + 4] == ord("-")) & (characters[begins + 13] == ord(":"))
    is_point = np.isin(characters[begins + 19], [ord("."), ord("Z"), ord("+"), ord("-")])
    return bool((has_offset & is_iso & is_point).all())
