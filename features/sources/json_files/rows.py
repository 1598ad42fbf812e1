"""Makes rows of JSON objects: of each the asked values as text, also those that lie inside other objects."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from features.sources.text.lines import NOT_UTF8, UNREADABLE, Fault
from features.sources.text.repeats import Repeats
from features.sources.text.rows import Identity, Rows

__all__ = ["ObjectRows", "keys_of", "object_of"]


_DEPTH = 4  # how far inside an object its keys are named
# An escape before which there is an even number of backslashes.
_BYTES = re.compile(rb"(?<!\\)((?:\\\\)*)((?:\\x[0-9A-Fa-f]{2})+)")
_BODIES = ("body", "payload")  # of a request or a response: data of others, whose keys may be ids


class ObjectRows:
    """Gathers objects and turns them into rows.

    Numbers keep their digits, true and false are words, a list or an object is JSON text and noted as nested. A key
    that an object does not have is null, and a list of one value is that value. ``request.verb`` is the value of
    ``verb`` inside ``request``, also where keys have dots themselves; nothing else of a request becomes text. Every
    key that occurs, and every asked value that is found, is added to ``seen``.
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
        self._repeats = Repeats()

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
        return Identity(lines, pa.array(self._repeats(lines)))

    def _row(self, record: dict[str, Any], content: bytes) -> list[str | None]:
        row: list[str | None] = []
        nested: list[str] = []
        again: dict[str, Any] | None = None
        for name, path in self._paths.items():
            value = _value(record, name, path)
            if value.__class__ is dict or value.__class__ is list:
                # Inside what is nested numbers are numbers, not words.
                again = json.loads(_mended(content)) if again is None else again
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
    try:
        record = _DECODER.decode(content.decode())
    except json.JSONDecodeError:
        if rb"\x" not in content:
            raise
        record = _DECODER.decode(_mended(content))
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
        return _single(record.get(name))
    value: Any = record
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return _single(_under_dotted(record, path))
        value = value[key]
    return _single(value)


def _under_dotted(record: Mapping[str, Any], path: Sequence[str]) -> Any:
    """The value below keys that may have dots themselves (``{"http.route": …}``), or be written in other cases."""
    for count in range(len(path), 0, -1):
        key = ".".join(path[:count])
        if key in record:
            if count == len(path):
                return record[key]
            inner = record[key]
            value = _under_dotted(inner, path[count:]) if isinstance(inner, dict) else None
            if value is not None:
                return value
    # Clients write the names of headers as they like.
    whole = ".".join(path).lower()
    return next((other for known, other in record.items() if known.lower() == whole), None)


def _single(value: Any) -> Any:
    """A list of one plain value is that value (headers are written so), an empty one is none."""
    if value.__class__ is list and len(value) <= 1:
        inner = value[0] if value else None
        return value if inner.__class__ in (dict, list) else inner
    return value


def _mended(content: bytes) -> str:
    r"""The text with the bytes that nginx writes as ``\xHH``, which JSON does not know, as JSON writes them."""
    if rb"\x" not in content:
        return content.decode()
    return _BYTES.sub(_as_json, content).decode()


def _as_json(match: re.Match[bytes]) -> bytes:
    text = bytes.fromhex(match[2].replace(rb"\x", b"").decode()).decode("utf-8", "backslashreplace")
    return match[1] + json.dumps(text, ensure_ascii=False)[1:-1].encode()
