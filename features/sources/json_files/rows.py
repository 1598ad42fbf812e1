"""Makes rows of JSON objects: of each the asked values as text, also those that lie inside other objects."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from features.sources.text.lines import NOT_UTF8, UNREADABLE, Fault
from features.sources.text.repeats import identical
from features.sources.text.rows import Identity, Rows

__all__ = ["ObjectRows", "keys_of", "object_of"]


_DEPTH = 4  # how far inside an object its keys are named
_BODIES = ("body", "payload")  # of a request or a response: data of others, whose keys may be ids


class ObjectRows:
    """Gathers objects and turns them into rows.

    Numbers keep their digits, true and false are words, a list or an object is JSON text and noted as nested. A key
    that an object does not have is null. ``request.verb`` is the value of ``verb`` inside ``request``; nothing else
    of a request becomes text. Every key that occurs, and every asked value that is found, is added to ``seen``.
    Of a log, identical objects are told apart, as identical lines of any other log.
    """

    def __init__(self, columns: Sequence[str], seen: set[str], *, is_log: bool = False) -> None:
        self._paths = {name: name.split(".") for name in columns}
        self._seen = seen
        self._schema = pa.schema([(name, pa.string()) for name in columns])
        self._rows: list[list[Any]] = []
        self._numbers: list[int] = []
        self._faults: list[Fault] = []
        self._nested: dict[str, list[int]] = {}
        self._is_log = is_log
        self._contents: list[bytes] = []
        self._before: dict[bytes, int] = {}

    def add(self, number: int, content: bytes) -> None:
        """Take in the text of one object."""
        try:
            record = object_of(content)
            row = self._row(record, content)
        except UnicodeDecodeError:
            self.refuse(Fault(number, NOT_UTF8, "bytes that are not UTF-8", content.rstrip(b"\r")))
        except (ValueError, RecursionError):
            self.refuse(Fault(number, UNREADABLE, "no JSON object", content.rstrip(b"\r")))
        else:
            if not record.keys() <= self._seen:
                self._seen.update(record)
            self._rows.append(row)
            self._numbers.append(number)
            if self._is_log:
                self._contents.append(content.strip())

    def refuse(self, fault: Fault) -> None:
        """Note a line that holds no object."""
        self._faults.append(fault)

    def rows(self) -> Rows:
        """The rows gathered since the last call."""
        columns = zip(*self._rows, strict=True) if self._rows else [()] * len(self._schema)
        table = pa.table([pa.array(column, pa.string()) for column in columns], self._schema)
        rows = Rows(table, self._numbers, tuple(self._faults), self._nested, self._identity())
        self._contents = []
        self._rows, self._numbers, self._faults, self._nested = [], [], [], {}
        return rows

    def _identity(self) -> Identity | None:
        if not self._is_log:
            return None
        lines = pa.array(self._contents, pa.string())
        copies, self._before = identical(lines, self._before)
        return Identity(lines, pa.array(copies))

    def _row(self, record: dict[str, Any], content: bytes) -> list[str | None]:
        row: list[str | None] = []
        nested: list[str] = []
        again: dict[str, Any] | None = None
        for name, path in self._paths.items():
            value = _value(record, name, path)
            if value.__class__ is dict or value.__class__ is list:
                # Inside what is nested numbers are numbers, not words.
                again = json.loads(content) if again is None else again
                nested.append(name)
                value = json.dumps(_value(again, name, path), ensure_ascii=False)
            elif value.__class__ is bool:
                value = "true" if value else "false"
            if value is not None and len(path) > 1:
                self._seen.add(name)
            row.append(value)
        for name in nested:
            self._nested.setdefault(name, []).append(len(self._rows))
        return row


def object_of(content: bytes) -> dict[str, Any]:
    """The object a text holds, its numbers as they are written.

    Raises
    ------
    ValueError
        When the text holds anything else.
    """
    record = _DECODER.decode(content.decode())
    if not isinstance(record, dict):
        raise ValueError("no object")  # noqa: TRY004 - the text is wrong, not our argument
    if b"\\u" in content:
        json.dumps(record, ensure_ascii=False).encode()  # half a surrogate pair is no text
    return record


def keys_of(record: Mapping[str, Any], *, inside: str = "", depth: int = 1) -> Iterator[str]:
    """Names of an object's values, those inside other objects as ``request.verb``; of no body.

    >>> list(keys_of({"request": {"verb": "GET", "body": {"a": 1}}, "id": 5}))
    ['request', 'request.verb', 'request.body', 'id']
    """
    for key, value in record.items():
        yield inside + key
        if isinstance(value, dict) and depth < _DEPTH and key.lower() not in _BODIES:
            yield from keys_of(value, inside=f"{inside}{key}.", depth=depth + 1)


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)  # NaN and Infinity stay words


def _value(record: Mapping[str, Any], name: str, path: Sequence[str]) -> Any:
    if len(path) == 1 or name in record:
        return record.get(name)
    value: Any = record
    for key in path:
        if not isinstance(value, dict):
            return None
        inner = value.get(key)
        if inner is None and key not in value and path[-1] is key:
            # Clients write the names of headers as they like.
            inner = next((other for known, other in value.items() if known.lower() == key.lower()), None)
        value = inner
    return value
