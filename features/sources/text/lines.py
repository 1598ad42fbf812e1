"""Reads text files as numbered lines, some megabytes at a time, plain or compressed."""

import codecs
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from features.exceptions import DamagedFileError
from features.sources.text.packed import unpacked

__all__ = ["CUT_SHORT", "FAULTS", "NOT_UTF8", "UNREADABLE", "Block", "Fault", "read_blocks", "read_pieces"]


UNREADABLE = "line_unreadable"
NOT_UTF8 = "line_not_utf8"
CUT_SHORT = "file_cut_short"
FAULTS = (UNREADABLE, NOT_UTF8, CUT_SHORT)

_BLOCK_BYTES = 8 << 20
_LONGEST_LINE_BYTES = 64 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_SHOWN_CHARACTERS = 1000
_LOOKED_AT = 512  # bytes
_LEAST_LETTERS = 4


@dataclass(frozen=True)
class Fault:
    """A line that holds no row.

    Attributes
    ----------
    line
        Its number in the file, from 1.
    reason
        One of :data:`FAULTS`.
    what
        What is wrong, without the line's words.
    content
        The line as it is.
    """

    line: int
    reason: str
    what: str
    content: bytes

    def given(self, hidden: Callable[[str], str] | None) -> str:
        """What quarantine keeps, as JSON; with ``hidden`` only a keyed hash, since nobody knows where a secret is."""
        text = self.content.decode("utf-8", "backslashreplace")
        if hidden is None:
            return json.dumps({"fault": self.what, "line": text[:_SHOWN_CHARACTERS]}, ensure_ascii=False)
        return json.dumps({"fault": self.what, "bytes": len(self.content), "line_hash": hidden(text)})


@dataclass(frozen=True)
class Block:
    """Whole lines of a file.

    Attributes
    ----------
    first_line
        Number of the first of them, from 1.
    content
        The lines with their ends; the last line of a file may have none.
    is_last
        No block follows.
    cut
        The file ends too early, and ``content`` is what there is of its last line.
    """

    first_line: int
    content: bytes
    is_last: bool = False
    cut: bool = False

    @property
    def open_end(self) -> int | None:
        """The number of the file's last line, where that has no end."""
        has_end = not self.content or self.content.endswith(b"\n")
        return self.first_line + self.content.count(b"\n") if self.is_last and not has_end else None


def read_blocks(path: Path, *, block_bytes: int = _BLOCK_BYTES) -> Iterator[Block]:
    """The lines of a file, in order; of a compressed file that was cut short, whatever can be unpacked.

    Raises
    ------
    DamagedFileError
        When the file cannot be read or unpacked, or is no text of lines.
    """
    number, buffer, begun, cut = 1, b"", False, False
    for piece in read_pieces(path):
        if piece is None:
            cut = True
            break
        buffer += piece
        if not begun and len(buffer) >= len(_BYTE_ORDER_MARK):
            buffer, begun = buffer.removeprefix(_BYTE_ORDER_MARK), True
        if len(buffer) < block_bytes:
            continue
        end = buffer.rfind(b"\n") + 1
        if not end and len(buffer) > _LONGEST_LINE_BYTES:
            raise DamagedFileError(
                f"{path} is no text of lines: line {number} is longer than {_LONGEST_LINE_BYTES >> 20} MiB. "
                "Write it again. Nothing was stored."
            )
        if end:
            block, buffer = buffer[:end], buffer[end:]
            yield Block(number, block)
            number += block.count(b"\n")
    if not begun:
        buffer = buffer.removeprefix(_BYTE_ORDER_MARK)
    if not cut:
        yield Block(number, buffer, is_last=True)
        return
    end = buffer.rfind(b"\n") + 1
    yield Block(number, buffer[:end], is_last=True)
    yield Block(number + buffer.count(b"\n"), buffer[end:], is_last=True, cut=True)


def read_pieces(path: Path) -> Iterator[bytes | None]:
    """The file's bytes, unpacked, those of UTF-16 as UTF-8; None at the end when a compressed file ends too early.

    Raises
    ------
    DamagedFileError
        When it cannot be read or unpacked.
    """
    try:
        yield from _as_utf8(unpacked(path))
    except OSError as error:
        raise DamagedFileError(f"{path} cannot be read: {error.strerror}. Mend that. Nothing was stored.") from error


def _as_utf8(pieces: Iterator[bytes | None]) -> Iterator[bytes | None]:
    """Pieces of UTF-16, with a mark or without, as UTF-8; others as they are."""
    first = next(pieces, b"")
    encoding = None if first is None else _utf_16(first[:_LOOKED_AT])
    if encoding is None:
        yield from _without_hole(itertools.chain((first,), pieces))
        return
    decoder = codecs.getincrementaldecoder(encoding)("surrogatepass")
    for piece in itertools.chain((first,), pieces):
        yield None if piece is None else decoder.decode(piece).encode("utf-8", "surrogatepass")
    if decoder.getstate()[0]:
        yield None


def _without_hole(pieces: Iterator[bytes | None]) -> Iterator[bytes | None]:
    """The pieces without zero bytes before the first other one: a log that is cut while its writer goes on has them."""
    for piece in pieces:
        rest = piece if piece is None else piece.lstrip(b"\0")
        if rest != b"":
            yield rest
            break
    yield from pieces


def _utf_16(begin: bytes) -> str | None:
    """The kind of UTF-16 that a text begins in: every other byte of plain letters is zero."""
    if begin.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16-le" if begin.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    even, odd = begin[0::2], begin[1::2]
    if len(odd) < _LEAST_LETTERS:
        return None
    if b"\0" not in even and odd.count(0) * 4 > len(odd) * 3:
        return "utf-16-le"
    return "utf-16-be" if b"\0" not in odd and even.count(0) * 4 > len(even) * 3 else None
