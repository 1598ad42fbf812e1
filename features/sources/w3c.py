"""Reads logs in W3C's extended format (IIS, CloudFront), whose ``#Fields`` lines name the columns, also anew midway.

https://www.w3.org/TR/WD-logfile
"""

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa

from features.exceptions import DamagedFileError, counted
from features.sources.text.lines import CUT_SHORT, NOT_UTF8, UNREADABLE, Fault, read_blocks
from features.sources.text.repeats import Repeats
from features.sources.text.rows import Identity, Rows

__all__ = ["is_w3c", "read_w3c", "w3c_columns"]


_FIELDS = b"#Fields:"
_DIRECTIVES = (b"#Version:", b"#Software:", b"#Start-Date:", b"#Date:", _FIELDS)
_HEAD_BYTES = 1 << 16
_NO_FIELDS = "no #Fields line before it names the columns"
_NO_END = "the line has no end: it is still being written, or was cut"


def is_w3c(path: Path) -> bool:
    """Whether a file begins as such a log does."""
    try:
        return next(read_blocks(path, block_bytes=_HEAD_BYTES)).content.lstrip().startswith(_DIRECTIVES)
    except DamagedFileError:  # said where it is read
        return False


def w3c_columns(path: Path) -> tuple[str, ...]:
    """The columns that the first lines name; later ones may have others."""
    lines = next(read_blocks(path, block_bytes=_HEAD_BYTES)).content.split(b"\n")
    named = [name for line in lines if line.startswith(_FIELDS) for name in _names(line)]
    return tuple(dict.fromkeys(named))


def read_w3c(path: Path, columns: Sequence[str], *, seen: set[str], block_bytes: int = 8 << 20) -> Iterator[Rows]:
    """The rows of a log, of each ``columns`` as text, known by their line; ``-`` is null, other ``#`` lines nothing.

    Every column that a ``#Fields`` line names is added to ``seen``. A line with another number of fields than named,
    and a last line without an end, is a fault.
    """
    schema = pa.schema([(name, pa.string()) for name in columns])
    names: tuple[str, ...] = ()
    repeats = Repeats()
    for block in read_blocks(path, block_bytes=block_bytes):
        rows: list[list[str | None]] = []
        numbers: list[int] = []
        lines: list[bytes] = []
        faults: list[Fault] = []
        *whole, rest = block.content.split(b"\n")
        for number, line in enumerate((line.rstrip(b"\r") for line in whole), block.first_line):
            if line.startswith(_FIELDS):
                names = _names(line)
                seen.update(names)
            elif line and not line.startswith(b"#"):
                row = _row(line, names, columns)
                if isinstance(row, list):
                    rows.append(row)
                    numbers.append(number)
                    lines.append(line)
                else:
                    faults.append(Fault(number, row[0], row[1], line))
        if rest:
            faults.append(Fault(block.first_line + len(whole), CUT_SHORT, _NO_END, rest))
        elif block.cut:
            faults.append(Fault(block.first_line, CUT_SHORT, "the file was cut short here", b""))
        texts = pa.array(lines, pa.string())
        places = zip(*rows, strict=True) if rows else [()] * len(schema)
        table = pa.table([pa.array(values, pa.string()) for values in places], schema)
        yield Rows(
            table, numbers, tuple(faults), identity=Identity(texts, pa.array(repeats(texts))), open_end=block.open_end
        )


def _names(line: bytes) -> tuple[str, ...]:
    return tuple(line.removeprefix(_FIELDS).decode("utf-8", "backslashreplace").split())


def _row(line: bytes, names: tuple[str, ...], columns: Sequence[str]) -> list[str | None] | tuple[str, str]:
    """The asked values of a line, or the reason and words of what is wrong with it."""
    if not names:
        return UNREADABLE, _NO_FIELDS
    try:
        text = line.decode()
    except UnicodeDecodeError:
        return NOT_UTF8, "bytes that are not UTF-8"
    values = _split(text)
    if len(values) != len(names):
        return UNREADABLE, f"{counted(len(values), 'field|fields')} instead of {len(names)}"
    by_name = {name: value for name, value in zip(names, values, strict=True) if value not in ("-", "")}
    return [by_name.get(name) for name in columns]


def _split(text: str) -> list[str]:
    sign = "\t" if "\t" in text else " "
    if '"' not in text:
        return text.split(sign) if sign == "\t" else text.split()
    try:
        return next(csv.reader([text], delimiter=sign, strict=True), [])
    except csv.Error:  # a quote is part of a value
        return text.split(sign)
