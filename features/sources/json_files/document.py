"""Reads JSON files whatever their layout: an object per line, a list of objects, a list in an export's envelope."""

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from features.exceptions import DamagedFileError, listed
from features.sources.json_files.envelope import end_of_brackets, lists_in, what_follows
from features.sources.json_files.lines import read_json_lines
from features.sources.json_files.rows import ObjectRows, keys_of, object_of
from features.sources.json_files.text import HEAD_CHARACTERS, Text
from features.sources.text.lines import CUT_SHORT, UNREADABLE, Fault
from features.sources.text.packed import content_name
from features.sources.text.rows import Rows

__all__ = ["first_keys", "read_json"]


_HEAD_OBJECTS = 1000
_HEAD_LINES = 50
_ROWS_PER_PIECE = 20_000
_LONGEST_OBJECT = 64 << 20  # characters
_SEPARATOR = re.compile(r"[\s,]*")
_LIST = re.compile(r'"[^"\\]*"\s*:\s*\[\s*(?=\{)')
_FIRST_KEY = re.compile(r'\{\s*"[^"\\]*"\s*:')
_LONGEST_WORD = 4  # of true, false and null when its end is not read yet
_NEXT = re.compile(r"\s*(?:,\s*\{|\]\s*(?:[,}]|\Z))")  # behind an object of a list
_SHOWN = 2000  # characters of what is not read
_OPEN, _BROKEN = "open", "broken"
_SCANNER = json.JSONDecoder()


def read_json(path: Path, columns: Sequence[str], *, seen: set[str], is_log: bool = False) -> Iterator[Rows]:
    """The objects of a file, each known by the line it begins on; of each the values of ``columns`` as text.

    Every key that occurs is added to ``seen``. In a list that breaks, reading goes on at the next line that begins
    an object as the first of them did; where objects do not begin lines, behind the broken object's last bracket, or
    at the next object with the same first key. What lies behind the list is a fault. Of a log, each row tells which
    of the file's identical objects it is.

    Raises
    ------
    DamagedFileError
        When an object holds several lists that might be the rows.
    """
    text = Text(path)
    if _is_lines(path, text.head()):
        yield from read_json_lines(path, columns, seen=seen, is_log=is_log)
        return
    object_rows = ObjectRows(columns, seen, is_log=is_log)
    for count, (number, content, fault) in enumerate(_objects(text), 1):
        if fault is None:
            object_rows.add(number, content)
        else:
            object_rows.refuse(Fault(number, fault[0], fault[1], content))
        if count % _ROWS_PER_PIECE == 0:
            yield object_rows.rows()
    yield object_rows.rows()


def first_keys(path: Path) -> tuple[str, ...]:
    """Keys of the first objects in the order in which they appear, those inside other objects as ``request.verb``."""
    text = Text(path)
    head = text.head()
    if _is_lines(path, head):
        contents = (line.encode("utf-8", "surrogateescape") for line in head.split("\n"))
    else:
        contents = (content for _, content, fault in _objects(text) if fault is None)
    keys: dict[str, None] = {}
    for content in itertools.islice(contents, _HEAD_OBJECTS):
        try:
            keys.update(dict.fromkeys(keys_of(object_of(content))))
        except (ValueError, RecursionError):
            continue
    return tuple(keys)


def _is_lines(path: Path, head: str) -> bool:
    """Whether a file holds one object per line: by its ending, or by what its first lines are."""
    if not content_name(path).endswith(".json"):
        return True
    lines = [line for line in head.split("\n", _HEAD_LINES) if line and not line.isspace()]
    if len(lines) == 1:
        return _is_object(lines[0]) and not _LIST.search(lines[0])
    return sum(map(_is_object, lines[:_HEAD_LINES])) > len(lines) / 2


def _is_object(line: str) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _objects(text: Text) -> Iterator[tuple[int, bytes, tuple[str, str] | None]]:
    """Each object's line and bytes; with a reason and words where there should be one and is none."""
    depth = _go_into_list(text)
    is_list = depth is not None
    indent: str | None = None
    first_key = ""
    while True:
        sign = text.skip(_SEPARATOR)
        if sign == "]" and depth is not None:
            yield from _behind(text, depth)
            return
        if not sign:
            if is_list or text.is_cut:
                yield text.line, b"", (CUT_SHORT, "the file ends before its list does")
            return
        if indent is None:
            indent = text.buffer[text.buffer.rfind("\n", 0, text.place) + 1 : text.place]
            key = _FIRST_KEY.match(text.buffer, text.place)
            first_key = key[0] if key else ""
        number, end = text.line, _end_of_value(text)
        if isinstance(end, int):
            yield number, _bytes(text.buffer[text.place : end]), None
            text.go_to(end)
            continue
        is_cut = text.is_whole and end is _OPEN
        spoiled = _bytes(text.buffer[text.place : text.place + _SHOWN].split("\n", 1)[0])
        if _goes_on(text, indent) if not indent.strip() else _goes_on_behind(text, first_key):
            yield number, spoiled, (UNREADABLE, "no JSON object")
            continue
        what = "the file ends inside an object" if is_cut else "no JSON object, and none behind it can be found"
        yield number, spoiled, (CUT_SHORT if is_cut else UNREADABLE, what)
        return


def _go_into_list(text: Text) -> int | None:
    """Go behind the bracket that begins the list of rows; how many objects are around it, None without a list.

    Raises
    ------
    DamagedFileError
        When there are several lists that might be meant.
    """
    head = text.head()
    sign = text.skip(_SEPARATOR)
    if sign == "[":
        text.go_to(text.place + 1)
        return 0
    lists, end = lists_in(head) if sign == "{" else ((), None)
    if end is not None and head[end:].lstrip(", \t\r\n").startswith("{"):
        lists = ()  # objects behind each other, whatever is in them
    nearest = min((inner_list.depth for inner_list in lists), default=0)
    meant = [inner_list for inner_list in lists if inner_list.depth == nearest]
    if len(meant) > 1:
        raise DamagedFileError(
            f"{text.name} holds several lists of objects: {listed([inner_list.name for inner_list in meant])}. Write "
            "the one that is meant to a file of its own. Nothing was stored."
        )
    if not meant:
        return None
    text.go_to(meant[0].start)
    return nearest


def _behind(text: Text, depth: int) -> Iterator[tuple[int, bytes, tuple[str, str] | None]]:
    """Faults for what lies behind the list of rows; its end is here."""
    text.go_to(text.place + 1)
    while len(text.buffer) - text.place <= _LONGEST_OBJECT and text.more():
        pass
    tail = text.buffer[text.place :]
    line, counted = text.line, 0
    for place, what in what_follows(tail, depth):
        line, counted = line + tail.count("\n", counted, place), place
        is_end = place == len(tail)
        yield line, _bytes(tail[place : place + _SHOWN].split("\n", 1)[0]), (CUT_SHORT if is_end else UNREADABLE, what)


def _end_of_value(text: Text) -> int | str:
    """Where the value that begins here ends; why it does not where it is none."""
    while True:
        try:
            return _SCANNER.raw_decode(text.buffer, text.place)[1]
        except json.JSONDecodeError as error:
            is_open = error.msg.startswith("Unterminated") or error.pos >= len(text.buffer.rstrip()) - _LONGEST_WORD
            if not is_open or len(text.buffer) - text.place > _LONGEST_OBJECT:
                return _BROKEN
            if not text.more():
                return _OPEN
        except RecursionError:
            return _BROKEN


def _goes_on(text: Text, indent: str) -> bool:
    """Go to the next line that begins an object as the first one did; whether there is one."""
    begin = re.compile(rf"\n{indent}\{{")
    start = text.place + 1
    while True:
        match = begin.search(text.buffer, start)
        if match:
            text.go_to(match.end() - 1)
            return True
        text.go_to(max(text.place, len(text.buffer) - len(indent) - 2))
        if not text.more():
            return False
        start = text.place


def _goes_on_behind(text: Text, first_key: str) -> bool:
    """Go behind the object that is broken here, or to the next one with this first key; whether there is one."""
    while len(text.buffer) - text.place < HEAD_CHARACTERS and text.more():
        pass
    end = end_of_brackets(text.buffer, text.place)
    if end is not None and _NEXT.match(text.buffer, end):
        text.go_to(end)
        return True
    begin = re.compile(r"\}\s*,\s*(?=" + re.escape(first_key) + ")")
    start = text.place + 1
    while first_key:
        match = begin.search(text.buffer, start)
        if match:
            text.go_to(match.end())
            return True
        text.go_to(max(text.place, len(text.buffer) - len(first_key) - _SHOWN))
        if not text.more():
            return False
        start = text.place
    return False


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
