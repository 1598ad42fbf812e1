"""Applies a mapping to rows of a file: canonical columns as the file gives them, and a reason where one is spoiled."""

from collections.abc import Collection
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from features.engine.duckdb_engine import Engine
from features.engine.errors import EngineError
from features.exceptions import InputError
from features.schema import RawTable
from features.sources.mapping.declared import ENDED, HOST, MappedFile
from features.sources.mapping.nothing import without_nobody, without_words_for_nothing
from features.sources.text.rows import Rows

__all__ = ["IDS", "PROBLEM", "SPOILED", "apply_mapping"]


PROBLEM = "_bellwether_problem"  # the prefix is ours: a file may have columns of any other name
SPOILED = "_bellwether_spoiled"
IDS = ("account_id", "subscription_id", "event_id", "user_id", "token", HOST)
_INVISIBLE = r"^[\s\v\p{Z}\p{Cf}]+|[\s\v\p{Z}\p{Cf}]+$"
_SPACE, _NOT_ASCII = 0x20, 0x80
_WHOLE_DOUBLE = r"^(-?\d+)\.0$"


def apply_mapping(
    engine: Engine, rows: Rows, mapped: MappedFile, table: RawTable, *, tried: Collection[str], title: str
) -> pa.Table:
    """The rows with their mapped canonical columns, :data:`PROBLEM` and :data:`SPOILED`; words for nothing are null.

    A column is spoiled in a row in which it holds an object or a list and no expression picks a part of it, or on which
    its expression fails. Of a required column that is a reason to refuse the row, the problem; of the others it is
    named among the spoiled, as in ``,sdk_nested,token_nested,``. Both are null elsewhere.

    Raises
    ------
    InputError
        When an expression fails and cannot be tried row by row, so that nobody can say on which.
    """
    count = len(rows.table)
    reasons: dict[str, pa.Array] = {}
    stripped: dict[str, pa.Array] = {}
    expressions = {name: column.expression for name, column in mapped.made.items() if column.expression is not None}
    computed, failed = _computed(engine, rows, mapped, expressions, table=table, tried=tried, title=title)
    columns: dict[str, pa.ChunkedArray | pa.Array] = {}
    for name, column in mapped.made.items():
        if name in expressions:
            columns[name] = computed.column(name)
            if name in failed:
                reasons[f"{name}_expression_failed"] = failed[name]
        elif column.source is None:
            columns[name] = pa.repeat(pa.scalar(column.constant), count)
        else:
            columns[name] = rows.table.column(column.source)
            if column.source in rows.nested:
                places = pa.array(rows.nested[column.source])
                reasons[f"{name}_nested"] = pc.is_in(pa.array(range(count)), places)
        if column.constant is None:
            columns[name] = without_words_for_nothing(columns[name])
            columns[name] = without_nobody(columns[name]) if name == "account_id" else columns[name]
        if name in IDS:
            columns[name] = _stripped(columns[name], f"{name}_stripped", stripped)
        if name in IDS or (name != ENDED and _is_double_text(columns[name].type, name, table)):
            columns[name] = _plain_ids(columns[name])
    problem, spoiled = _told(count, reasons, stripped, required=(*table.required, ENDED))
    return pa.table({**columns, PROBLEM: problem, SPOILED: spoiled})


def _told(
    count: int, reasons: dict[str, pa.Array], stripped: dict[str, pa.Array], *, required: Collection[str]
) -> tuple[pa.Array, pa.Array]:
    """Of each row why it has to be refused, and what else is to be told of it."""
    problem, spoiled = pa.nulls(count, pa.string()), pa.nulls(count, pa.string())
    refusing = tuple(f"{name}_" for name in required)
    for reason, rows_spoiled in reasons.items():
        if reason.startswith(refusing):
            problem = _first(problem, rows_spoiled, reason)
        else:
            spoiled = _added(spoiled, rows_spoiled, reason)
    for mark, rows_stripped in stripped.items():
        spoiled = _added(spoiled, rows_stripped, mark)
    return problem, spoiled


def _computed(
    engine: Engine,
    rows: Rows,
    mapped: MappedFile,
    expressions: dict[str, str],
    *,
    table: RawTable,
    tried: Collection[str],
    title: str,
) -> tuple[pa.Table, dict[str, pa.Array]]:
    if not expressions:
        return pa.table({}), {}
    read = list(dict.fromkeys(column for name in expressions for column in mapped.made[name].reads))
    given = rows.table.select(read)
    try:
        return engine.evaluate(given, expressions, tried=tried)
    except EngineError as error:
        for name, text in expressions.items():
            try:
                engine.evaluate(given, {name: text}, tried=tried)
            except EngineError as its_own:
                # The engine's words would repeat the value, which may be a secret.
                raise InputError(
                    f"[sources.{table.name}.columns.{name}] has the expression {text!r}, which fails on some row of "
                    f"{title}; the engine cannot say on which. Guard it, for example with TRY_CAST or CASE. "
                    "Nothing was stored."
                ) from its_own
        raise InputError(
            f"The expressions under [sources.{table.name}] fail on {title}. Nothing was stored."
        ) from error


def _first(problem: pa.Array, spoiled: pa.Array, reason: str) -> pa.Array:
    """A row keeps the first reason it has."""
    if isinstance(spoiled, pa.ChunkedArray):
        spoiled = spoiled.combine_chunks()
    return pc.coalesce(problem, pc.if_else(spoiled, pa.scalar(reason), pa.scalar(None, pa.string())))


def _stripped(ids: pa.ChunkedArray | pa.Array, mark: str, stripped: dict[str, pa.Array]) -> pa.ChunkedArray | pa.Array:
    """The ids trimmed; the rows in which that changes one are noted under the mark."""
    trimmed = _trimmed(ids)
    if trimmed is not ids:
        stripped[mark] = pc.not_equal(_texts(trimmed), _texts(ids))
    return trimmed


def _trimmed(ids: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Ids without the spaces and invisible signs around them that are copied along; the same object where none has."""
    if isinstance(ids, pa.ChunkedArray):
        given = ids.chunks  # the very objects: they are made anew whenever they are asked for
        chunks = [_trimmed(chunk) for chunk in given]
        is_same = all(chunk is before for chunk, before in zip(chunks, given, strict=True))
        return ids if is_same else pa.chunked_array(chunks, ids.type)
    if pa.types.is_dictionary(ids.type):
        given_texts = ids.dictionary
        texts = _trimmed(given_texts)
        return ids if texts is given_texts else pa.DictionaryArray.from_arrays(ids.indices, texts)
    if not pa.types.is_string(ids.type) or not _may_be_padded(ids):
        return ids
    trimmed = pc.replace_substring_regex(ids, _INVISIBLE, "")
    return ids if trimmed.equals(ids) else trimmed


def _may_be_padded(texts: pa.StringArray) -> bool:
    """Whether a text may have a space or an invisible sign at an end: a look at two bytes of each."""
    _, offsets, content = texts.buffers()
    if content is None or not len(texts):
        return False
    bounds = np.frombuffer(offsets, dtype=np.int32)[texts.offset : texts.offset + len(texts) + 1]
    has_text = np.diff(bounds) > 0
    characters = np.frombuffer(content, dtype=np.uint8)
    ends = np.concatenate((characters[bounds[:-1][has_text]], characters[bounds[1:][has_text] - 1]))
    return bool(((ends <= _SPACE) | (ends >= _NOT_ASCII)).any())


def _texts(ids: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    return pc.cast(ids, pa.string()) if pa.types.is_dictionary(ids.type) else ids


def _added(named: pa.Array, spoiled: pa.Array, reason: str) -> pa.Array:
    """A row names everything that is spoiled in it."""
    if isinstance(spoiled, pa.ChunkedArray):
        spoiled = spoiled.combine_chunks()
    longer = pc.binary_join_element_wise(pc.coalesce(named, pa.scalar(",")), pa.scalar(f"{reason},"), "")
    return pc.if_else(spoiled.fill_null(False), longer, named)


def _is_double_text(kind: pa.DataType, name: str, table: RawTable) -> bool:
    """Whether a tool has read texts as doubles: plan 1 as 1.0. A version 2.0 is one."""
    return _has_fractions(kind) and table.schema.field(name).type == pa.string() and name != "sdk_version"


def _has_fractions(kind: pa.DataType) -> bool:
    return bool(pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _plain_ids(ids: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray | pa.Array:
    """Ids that a tool has read as doubles, or decimals, are the whole numbers they were: 123.0 is 123.

    What is not a number is no id.
    """
    if _has_fractions(ids.type):
        distinct = ids.dictionary_encode()
        pieces = distinct.chunks if isinstance(distinct, pa.ChunkedArray) else [distinct]
        return pa.chunked_array([_decoded(piece) for piece in pieces], pa.string())
    if pa.types.is_dictionary(ids.type):
        return pa.chunked_array(
            [pa.DictionaryArray.from_arrays(chunk.indices, _plain_ids(chunk.dictionary)) for chunk in ids.chunks],
            ids.type,
        )
    pieces = ids.chunks if isinstance(ids, pa.ChunkedArray) else [ids]
    if pa.types.is_string(ids.type) and any(_may_end_in_zero(piece) for piece in pieces):
        return pc.replace_substring_regex(ids, _WHOLE_DOUBLE, r"\1")
    return ids


def _may_end_in_zero(texts: pa.StringArray) -> bool:
    """Whether a text may end in ".0": a look at two bytes of each, since nearly no id does."""
    _, offsets, content = texts.buffers()
    if content is None or not len(texts):
        return False
    ends = np.frombuffer(offsets, dtype=np.int32)[texts.offset + 1 : texts.offset + len(texts) + 1]
    characters = np.frombuffer(content, dtype=np.uint8)
    ends = ends[ends >= len(".0")]
    return bool(((characters[ends - 1] == ord("0")) & (characters[ends - 2] == ord("."))).any())


def _decoded(distinct: pa.DictionaryArray) -> pa.Array:
    texts = [_text_of(value) for value in distinct.dictionary.to_pylist()]
    return pa.array(texts, pa.string()).take(distinct.indices)


def _text_of(value: float | Decimal | None) -> str | None:
    if value is None or value != value:  # noqa: PLR0124 - not a number
        return None
    is_whole = value == value.to_integral_value() if isinstance(value, Decimal) else value.is_integer()
    return str(int(value)) if is_whole else str(value)
