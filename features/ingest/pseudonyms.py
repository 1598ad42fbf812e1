"""Replaces what names a person or opens a door: secrets by keyed hashes, paths by their templates."""

from collections.abc import Callable, Iterable

import pyarrow as pa

from features.home.secret import pseudonym
from features.ingest.route_templates import Templates
from features.schema import EVENTS, RawTable
from features.sources.mapping.declared import HOST

__all__ = ["PATH_KEY", "Pseudonyms"]


PATH_KEY = "_bellwether_path"
_HOST_DIGITS = 12
_REMEMBERED = 500_000  # values per column; each is a pure function of the value, so forgetting costs time alone


class Pseudonyms:
    """Works on one raw table's rows, each distinct value of a column once.

    Plain values stay in memory: what a killed ingest leaves on disk must not name anyone.
    """

    def __init__(
        self, table: RawTable, *, key: bytes, path_patterns: Iterable[str] = (), hashed: Iterable[str] = ()
    ) -> None:
        self._table = table
        self._secret = table.secret
        # An id is stripped of space before it is compared, so also before it is hashed.
        self._ids = tuple(name for name in hashed if name not in table.secret)
        self._hidden_ids = _Remembered(lambda value: pseudonym(key, value.strip()))
        self._key = key
        self._template = Templates(path_patterns)
        self._undeclared = Templates()
        self._hidden = _Remembered(lambda value: pseudonym(key, value))
        self._routes = _Remembered(self._template)
        self._path_keys = _Remembered(self._path_key)
        self._hosts = _Remembered(lambda value: pseudonym(key, value)[:_HOST_DIGITS])

    def hide(self, text: str) -> str:
        """The keyed hash of a text."""
        return pseudonym(self._key, text)

    def __call__(self, rows: pa.Table) -> pa.Table:
        """The rows with hashes for secrets and machines, and for paths templates and :data:`PATH_KEY` beside them."""
        for names, hidden in ((self._secret, self._hidden), (self._ids, self._hidden_ids)):
            for name in names:
                if name in rows.column_names:
                    rows = _replaced(rows, name, _looked_up(rows.column(name), hidden))
        if self._table is EVENTS and HOST in rows.column_names:
            rows = _replaced(rows, HOST, _looked_up(rows.column(HOST), self._hosts))
        if self._table is EVENTS and "endpoint" in rows.column_names:
            paths = rows.column("endpoint")
            rows = _replaced(rows, "endpoint", _looked_up(paths, self._routes))
            rows = rows.append_column(PATH_KEY, _looked_up(paths, self._path_keys))
        return rows

    def _path_key(self, path: str) -> str:
        # Two paths of one template are two events; a path may name a person, so it is not kept. Patterns that are
        # declared later must not make another event of it.
        return path if self._undeclared(path) == path else pseudonym(self._key, path)


class _Remembered:
    def __init__(self, make: Callable[[str], str]) -> None:
        self._make = make
        self._known: dict[str, str] = {}

    def __call__(self, value: str) -> str:
        result = self._known.get(value)
        if result is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            result = self._known[value] = self._make(value)
        return result


def _looked_up(column: pa.ChunkedArray | pa.Array, make: Callable[[str], str]) -> pa.DictionaryArray:
    """What is made of each value, as a dictionary; empty text is null."""
    distinct = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not isinstance(distinct, pa.DictionaryArray):
        distinct = distinct.dictionary_encode()
    texts = [_text(value) for value in distinct.dictionary.to_pylist()]
    values = pa.array([None if text is None else make(text) for text in texts], pa.string())
    if values.null_count:  # a null in a dictionary is not seen as one everywhere
        return values.take(distinct.indices).dictionary_encode()
    return pa.DictionaryArray.from_arrays(distinct.indices.cast(pa.int32()), values)


def _text(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return value.decode("utf-8", "backslashreplace") if isinstance(value, bytes) else str(value)


def _replaced(rows: pa.Table, name: str, column: pa.Array) -> pa.Table:
    return rows.set_column(rows.column_names.index(name), name, column)
