"""Reads JSON Lines: one flat object per line, and the lines that hold none."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from features.sources.lines import CUT_SHORT, NOT_UTF8, UNREADABLE, Fault, read_blocks
from features.sources.rows import Rows

__all__ = ["object_of", "read_json_lines"]


def read_json_lines(
    path: Path, columns: Sequence[str], *, seen: set[str], block_bytes: int = 8 << 20
) -> Iterator[Rows]:
    """The objects of a file, each known by its line; of each the values of ``columns`` as text.

    Numbers keep their digits, true and false are words, a list or an object is JSON text and noted as nested. A key
    that an object does not have is null. Every key that occurs is added to ``seen``.
    """
    for block in read_blocks(path, block_bytes=block_bytes):
        if block.cut:
            fault = Fault(block.first_line, CUT_SHORT, "the file was cut short here", block.content)
            yield Rows(_table([], columns), (), (fault,))
            continue
        objects: list[dict[str, Any]] = []
        numbers: list[int] = []
        faults: list[Fault] = []
        nested: dict[str, list[int]] = {}
        lines = block.content.split(b"\n")
        for number, line in enumerate(lines, block.first_line):
            if not line or line.isspace():
                continue
            try:
                made = object_of(line)
                inner = _texts_of_others(made, line)
            except UnicodeDecodeError:
                faults.append(Fault(number, NOT_UTF8, "bytes that are not UTF-8", line.rstrip(b"\r")))
                continue
            except (ValueError, RecursionError):
                faults.append(Fault(number, UNREADABLE, "no JSON object", line.rstrip(b"\r")))
                continue
            if not made.keys() <= seen:
                seen.update(made)
            for name in inner:
                if isinstance(made[name], dict | list):
                    nested.setdefault(name, []).append(len(objects))
            objects.append(made | inner)
            numbers.append(number)
        yield Rows(_table(objects, columns), numbers, tuple(faults), nested)


def object_of(line: bytes) -> dict[str, Any]:
    """The object of one line, its numbers as they are written.

    Raises
    ------
    ValueError
        When the line holds anything else.
    """
    made = _DECODER.decode(line.decode())
    if not isinstance(made, dict):
        raise ValueError("no object")  # noqa: TRY004 - the line is wrong, not our argument
    if b"\\u" in line:
        json.dumps(made, ensure_ascii=False).encode()  # half a surrogate pair is no text
    return made


def _no_number(word: str) -> None:
    raise ValueError(f"{word} is no JSON")


_DECODER = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=_no_number)


def _texts_of_others(made: dict[str, Any], line: bytes) -> dict[str, str]:
    """The values that are neither text nor null, as text.

    Raises
    ------
    ValueError
        When a number inside one has more digits than can be read.
    """
    others = {name: value for name, value in made.items() if value.__class__ is not str and value is not None}
    if not any(isinstance(value, dict | list) for value in others.values()):
        return {name: "true" if value else "false" for name, value in others.items()}
    again = json.loads(line)  # inside what is nested numbers are numbers, not words
    return {name: json.dumps(again[name], ensure_ascii=False) for name in others}


def _table(objects: Sequence[dict[str, Any]], columns: Sequence[str]) -> pa.Table:
    schema = pa.schema([(name, pa.string()) for name in columns])
    held = [pa.array([one.get(name) for one in objects], pa.string()) for name in columns]
    return pa.table(held, schema)
