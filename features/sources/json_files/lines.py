"""Reads JSON Lines: one object per line, and the lines that hold none."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from features.sources.json_files.rows import ObjectRows
from features.sources.text.lines import CUT_SHORT, Fault, read_blocks
from features.sources.text.rows import Rows

__all__ = ["read_json_lines"]


def read_json_lines(
    path: Path, columns: Sequence[str], *, seen: set[str], is_log: bool = False, block_bytes: int = 8 << 20
) -> Iterator[Rows]:
    """The objects of a file, each known by its line; of each the values of ``columns`` as text.

    Every key that occurs is added to ``seen``. Of a log, each row tells which of the file's identical lines it is.
    """
    object_rows = ObjectRows(columns, seen, is_log=is_log)
    for block in read_blocks(path, block_bytes=block_bytes):
        if block.cut:
            object_rows.refuse(Fault(block.first_line, CUT_SHORT, "the file was cut short here", block.content))
        else:
            for number, line in enumerate(block.content.split(b"\n"), block.first_line):
                if line and not line.isspace():
                    object_rows.add(number, line)
        yield replace(object_rows.rows(), open_end=block.open_end)
