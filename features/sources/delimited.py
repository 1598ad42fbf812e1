"""Reads CSV files line by line: rows of text, and the lines that hold no row."""

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
from pyarrow import csv as arrow_csv

from features.exceptions import DamagedFileError, counted
from features.sources.text.lines import CUT_SHORT, NOT_UTF8, UNREADABLE, Fault, read_blocks
from features.sources.text.rows import Rows

__all__ = ["csv_header", "read_delimited"]


_DELIMITERS = ",;\t|"
_HEAD_BYTES = 1 << 20
# Excel's own hint, which it does not show to who opens the file.
_HINT = re.compile(rb'"?sep=(.)"?[ ,;\t|]*\r?', re.IGNORECASE)
_AROUND = re.compile(r"\A[\s\ufeff\u200b-\u200f\u2060]+|[\s\ufeff\u200b-\u200f\u2060]+\Z")

_OPEN_QUOTE_BYTES = 1 << 20  # a quote that is not closed within this much is not closed at all


def csv_header(path: Path) -> tuple[tuple[str, ...], str]:
    """The columns that the first line names, without spaces and invisible signs around them, and what separates them.

    Raises
    ------
    DamagedFileError
        When there is no such line.
    """
    blocks = read_blocks(path, block_bytes=_HEAD_BYTES)
    head, _, more = next(blocks).content.partition(b"\n")
    hint = _HINT.fullmatch(head)
    if hint:
        head = more.partition(b"\n")[0]
    if not head and any(block.cut for block in blocks):
        raise DamagedFileError(
            f"{path} cannot be read: it was cut short in its first line. Write it again. Nothing was stored."
        )
    try:
        line = head.decode().rstrip("\r")
        delimiter = hint[1].decode() if hint else max(_DELIMITERS, key=line.count)
        columns = tuple(next(csv.reader([line], delimiter=delimiter), ()))
    except UnicodeDecodeError as error:
        raise DamagedFileError(
            f"{path} cannot be read as UTF-8 CSV: its first line is in another encoding. Write it again as UTF-8. "
            "Nothing was stored."
        ) from error
    except csv.Error as error:
        raise DamagedFileError(
            f"{path} cannot be read as CSV: its first line is no header ({error}). End its lines with a line feed. "
            "Nothing was stored."
        ) from error
    if not columns:
        raise DamagedFileError(f"{path} is empty: its first line should name the columns. Nothing was stored.")
    # pandas writes its index as a column without a name.
    return tuple(_AROUND.sub("", name) or f"column_{place}" for place, name in enumerate(columns, 1)), delimiter


def read_delimited(path: Path, columns: Sequence[str], *, delimiter: str, block_bytes: int = 8 << 20) -> Iterator[Rows]:
    """The rows of a CSV file whose first line is its header, each known by the line it starts on; all columns text.

    A line ``sep=;`` may come before the header.
    Quoting is that of RFC 4180: a quoted value may hold delimiters, doubled quotes and ends of lines. A line with
    another number of columns, a quote that is not closed, or bytes that are not UTF-8 is a fault; reading goes on at
    the next line. Empty values are null, empty lines are nothing.
    """
    parser = _Parser(tuple(columns), delimiter)
    header = 1  # its line
    opened: list[bytes] = []  # lines of a row whose quote is still open at the end of a block
    for block in read_blocks(path, block_bytes=block_bytes):
        if block.cut:
            what = "the file was cut short here"
            fault = Fault(block.first_line, CUT_SHORT, what, block.content)
            yield Rows(parser.table([]), (), (fault,), open_end=block.open_end)
            continue
        content, first = block.content, block.first_line
        if first == 1 and _HINT.fullmatch(content.partition(b"\n")[0]):
            header = 2
        while first <= header and content:
            content, first = content.partition(b"\n")[2], first + 1
        plain = None if opened else parser.plain(content, first)
        if plain is not None:
            yield replace(plain, open_end=block.open_end)
            continue
        lines = [*opened, *_lines(content)]
        rows, opened = parser.careful(lines, first - len(opened), last=block.is_last)
        yield replace(rows, open_end=block.open_end)


def _lines(content: bytes) -> list[bytes]:
    """Lines that end at a line feed; a lone carriage return is no end."""
    parts = content.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + ([parts[-1]] if parts[-1] else [])


class _Parser:
    """Turns lines into rows of text columns."""

    def __init__(self, columns: tuple[str, ...], delimiter: str) -> None:
        self._columns = columns
        self._delimiter = delimiter
        self._schema = pa.schema([(name, pa.string()) for name in columns])

    def table(self, rows: Sequence[Sequence[str]]) -> pa.Table:
        columns = zip(*rows, strict=True) if rows else [()] * len(self._columns)
        return pa.table(
            [pa.array([value or None for value in column], pa.string()) for column in columns], self._schema
        )

    def plain(self, content: bytes, first: int) -> Rows | None:
        """The rows of lines without any quote or fault, at once; None where the lines need care."""
        if b'"' in content:
            return None
        content = content.replace(b"\r\n", b"\n")
        if b"\r" in content or content.startswith(b"\n") or b"\n\n" in content:
            return None
        if not content:
            return Rows(self.table([]), (), ())
        try:
            table = arrow_csv.read_csv(
                pa.BufferReader(content),
                arrow_csv.ReadOptions(column_names=self._columns, block_size=len(content) + 1),
                arrow_csv.ParseOptions(delimiter=self._delimiter, quote_char=False),
                arrow_csv.ConvertOptions(
                    column_types=self._schema, null_values=[""], strings_can_be_null=True, check_utf8=True
                ),
            )
        except pa.ArrowInvalid:
            return None
        return Rows(table, range(first, first + table.num_rows), ())

    def careful(self, lines: list[bytes], first: int, *, last: bool) -> tuple[Rows, list[bytes]]:
        """The rows of lines one by one, and the lines at the end that need the next block to be a row."""
        texts = [line.decode("utf-8", "surrogateescape") for line in lines]
        rows: list[list[str]] = []
        numbers: list[int] = []
        faults: list[Fault] = []
        start = 0
        while start < len(texts):
            # A reader goes on until a fault; behind a fault a new one starts on the line after it.
            begun = start
            reader = csv.reader(
                (texts[place] for place in range(begun, len(texts))), delimiter=self._delimiter, strict=True
            )
            while start < len(texts):
                what = None
                try:
                    row = next(reader)
                except csv.Error as error:
                    is_open = "unexpected end of data" in str(error)
                    if is_open and not last and sum(map(len, lines[start:])) < _OPEN_QUOTE_BYTES:
                        return self._rows(rows, numbers, faults), lines[start:]
                    row, what = (
                        [],
                        "a quote that is not closed" if is_open else "broken quotes, or an end of line inside a value",
                    )
                after = begun + reader.line_num
                if what is None and row and len(row) != len(self._columns):
                    count = counted(len(row), "column|columns")
                    what = f"{count} instead of {len(self._columns)}"
                whole = b"".join(lines[start:after])
                if what is None and row and not _is_utf8(whole):
                    what = "bytes that are not UTF-8"
                if what is None:
                    if row:
                        rows.append(row)
                        numbers.append(first + start)
                    start = after
                    continue
                reason = UNREADABLE if _is_utf8(lines[start]) else NOT_UTF8
                faults.append(Fault(first + start, reason, what, lines[start].rstrip(b"\r\n")))
                start += 1
                break
        return self._rows(rows, numbers, faults), []

    def _rows(self, rows: list[list[str]], numbers: list[int], faults: list[Fault]) -> Rows:
        return Rows(self.table(rows), numbers, tuple(faults))


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
