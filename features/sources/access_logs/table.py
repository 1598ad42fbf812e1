"""Takes many lines of an access log apart at once, where spaces stand between the fields, as they nearly always do."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from features.sources.access_logs.format import Field, Kind, LogFormat

__all__ = ["TableParser", "table_parser"]


Places = npt.NDArray[np.int64]
_DAY, _ZONE = "day", "zone"  # "[22/Nov/2026:09:25:34" and "+0000]": the two words of a time


@dataclass(frozen=True)
class _Word:
    """What stands between two spaces: a field, half of a time, or a text that is the same in every line."""

    field: str | None = None
    text: str | None = None
    half: str | None = None
    is_quoted: bool = False


class TableParser:
    """Lines to a table of fields; made by :func:`table_parser`."""

    def __init__(self, words: Sequence[_Word]) -> None:
        self._words = tuple(words)
        self._quotes = 2 * sum(word.is_quoted for word in words)

    def __call__(self, lines: pa.StringArray, fields: Sequence[str]) -> tuple[Places, pa.Table]:
        """The places of the lines that are plainly of the format, and of each ``fields`` as text, ``-`` as null.

        A line with a backslash, or with other quotes, words or lengths than the format's, is left out: it has to be
        looked at alone. Lines carry their ends and are UTF-8.
        """
        plain = self._is_plain(lines)
        places = np.flatnonzero(plain)
        if not len(places):
            return places, pa.table({name: pa.array([], pa.string()) for name in fields})
        table, skipped = self._read(lines if len(places) == len(lines) else lines.filter(pa.array(plain)), fields)
        places = np.delete(places, skipped)
        good = np.ones(len(places), dtype=bool)
        made: dict[str, pa.Array] = {}
        for place, word in enumerate(self._words):
            if word.text is not None:
                stands = table[str(place)]
                good &= _true(pc.is_null(stands) if word.text == "-" else pc.equal(stands, word.text))
            elif word.field is None:
                continue
            elif word.half == _DAY and word.field in fields:
                day, zone = table[str(place)], table[str(place + 1)]
                good &= _true(pc.and_(pc.starts_with(day, "["), pc.ends_with(zone, "]")))
                made[word.field] = pc.binary_join_element_wise(
                    pc.utf8_slice_codeunits(day, 1), pc.utf8_slice_codeunits(zone, 0, -1), " "
                )
            elif word.field in fields and word.half is None:
                made[word.field] = table[str(place)]
        whole = pa.table(made)
        return (places, whole) if good.all() else (places[good], whole.filter(pa.array(good)))

    def _is_plain(self, lines: pa.StringArray) -> npt.NDArray[np.bool_]:
        """Whether each line has the format's quotes, nothing that is escaped, and an end."""
        content = _content(lines)
        held = np.frombuffer(content, dtype=np.uint8)
        bounds = _bounds(lines) - _bounds(lines)[0]
        quotes = np.searchsorted(np.flatnonzero(held == ord('"')), bounds)
        plain = np.diff(quotes) == self._quotes
        for sign in (b"\\", b"\r", b"\0"):
            if sign in content.to_pybytes():
                plain &= np.diff(np.searchsorted(np.flatnonzero(held == sign[0]), bounds)) == 0
        if len(plain):
            plain[-1] &= held[-1] == ord("\n")
        whole: npt.NDArray[np.bool_] = plain & (np.diff(bounds) > 1)
        return whole

    def _read(self, lines: pa.StringArray, fields: Sequence[str]) -> tuple[pa.Table, list[int]]:
        """A column of text per word that is needed, by its number, and the places of lines with other word counts."""
        skipped: list[int] = []

        def skip(row: csv.InvalidRow) -> str:
            skipped.append(row.number - 1)
            return "skip"

        names = [str(place) for place in range(len(self._words))]
        needed = [name for name, word in zip(names, self._words, strict=True) if word.text or word.field in fields]
        content = _content(lines)
        table = csv.read_csv(
            pa.BufferReader(content),
            csv.ReadOptions(column_names=names, block_size=content.size + 1, use_threads=False),
            csv.ParseOptions(delimiter=" ", quote_char='"', double_quote=False, invalid_row_handler=skip),
            csv.ConvertOptions(
                include_columns=needed,
                column_types=dict.fromkeys(names, pa.string()),
                null_values=["-"],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
                check_utf8=False,
            ),
        )
        return table.combine_chunks(), skipped


def table_parser(log: LogFormat) -> TableParser | None:
    """What reads lines of this format at once; None where its fields are not words between spaces."""
    if log.escape == "none":
        return None
    fields = {f"\x00{place}\x00": field for place, field in enumerate(log.fields)}
    signs = iter(fields)
    text = "".join(piece if isinstance(piece, str) else next(signs) for piece in log.pieces)
    if "\\" in text:
        return None
    words: list[_Word] = []
    for word in text.split(" "):
        found = _words(word, fields)
        if not found:
            return None
        words += found
    return TableParser(words)


def _words(text: str, fields: dict[str, Field]) -> tuple[_Word, ...]:
    if text and "\x00" not in text and '"' not in text:
        return (_Word(text=text),)
    inner = text[1:-1] if text[:1] + text[-1:] in ('""', "[]") and len(text) > 1 else text
    field = fields.get(inner)
    if field is None:
        return ()
    if field.kind is Kind.TIME:
        is_bracketed = text.startswith("[")
        return (_Word(field.name, half=_DAY), _Word(field.name, half=_ZONE)) if is_bracketed else ()
    if text.startswith("[") or (field.kind is Kind.REQUEST and inner == text):
        return ()
    return (_Word(field.name, is_quoted=inner != text),)


def _bounds(lines: pa.StringArray) -> npt.NDArray[np.int32]:
    """Where each line begins in memory, and where the last one ends."""
    return np.frombuffer(lines.buffers()[1], dtype=np.int32)[lines.offset : lines.offset + len(lines) + 1]


def _content(lines: pa.StringArray) -> pa.Buffer:
    """The lines' bytes behind each other, as they lie in memory."""
    bounds = _bounds(lines)
    return lines.buffers()[2].slice(int(bounds[0]), int(bounds[-1] - bounds[0]))


def _true(claims: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
    held: npt.NDArray[np.bool_] = pc.fill_null(claims, False).to_numpy(zero_copy_only=False)
    return held
