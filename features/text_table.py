"""Sets rows as a table of plain text that fits a width: side by side, or row by row where that is too narrow."""

import io
import json
import unicodedata
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["printable", "printable_json", "text_table"]


_UNLIMITED = 1_000_000
_LONGEST_WORD = 30  # a longer one, such as a path, may be broken
_GAP = 2
_UNPRINTABLE = frozenset(("Cc", "Cf", "Cs", "Zl", "Zp"))  # control, direction of writing, half a pair, line ends
_JOINERS = "\u200c\u200d"  # part of how Persian is written, and of pictures


def printable(text: str) -> str:
    r"""The text without what moves a terminal's cursor, changes its colours or ends a line: that stands as an escape.

    >>> print(printable("Acme\x1b[31m Ltd"))
    Acme\x1b[31m Ltd
    """
    return _escaped(text, lambda sign: sign.encode("unicode_escape").decode())


def printable_json(text: str) -> str:
    r"""As :func:`printable` of a line of JSON, which means the same afterwards.

    >>> print(printable_json('"Acme\u009b Ltd"'))
    "Acme\u009b Ltd"
    """
    return _escaped(text, lambda sign: json.dumps(sign)[1:-1])


def _escaped(text: str, escape: Callable[[str], str]) -> str:
    if text.isprintable():
        return text
    return "".join(
        escape(sign) if unicodedata.category(sign) in _UNPRINTABLE and sign not in _JOINERS else sign for sign in text
    )


def text_table(
    names: Sequence[str], cells: Sequence[Sequence[str]], *, at_right: Sequence[bool], width: int | None
) -> list[str]:
    """The lines of a table, none longer than ``width``; without one, each row is one line.

    Nothing is cut off: a cell that is too long goes on in the next line, and where not even the words of all columns
    fit beside each other, each row becomes a list of names and values.
    """
    rows = [[printable(cell) for cell in row] for row in cells]
    if width is not None and _narrowest(names, rows, at_right) > width:
        return _lines(_listed(names, rows), width)
    return _lines(_side_by_side(names, rows, at_right), width or _UNLIMITED)


def _side_by_side(names: Sequence[str], rows: Sequence[Sequence[str]], at_right: Sequence[bool]) -> "Table":
    from rich.rule import Rule
    from rich.text import Text

    table = _bare(show_header=True)
    for place, (name, is_right) in enumerate(zip(names, at_right, strict=True)):
        column = [name, *(row[place] for row in rows)]
        is_whole = is_right or all(" " not in cell and len(cell) <= _LONGEST_WORD for cell in column)
        table.add_column(Text(name), justify="right" if is_right else "left", overflow="fold", no_wrap=is_whole)
    table.add_row(*(Rule(style="none") for _ in names))
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _listed(names: Sequence[str], rows: Sequence[Sequence[str]]) -> "Table":
    from rich.text import Text

    table = _bare(show_header=False)
    table.add_column(overflow="fold")
    table.add_column(overflow="fold")
    for number, row in enumerate(rows):
        if number:
            table.add_row()
        for name, cell in zip(names, row, strict=True):
            table.add_row(Text(name), Text(cell))
    return table


def _bare(*, show_header: bool) -> "Table":
    from rich.table import Table

    return Table(box=None, padding=(0, _GAP, 0, 0), pad_edge=False, show_header=show_header, header_style="none")


def _narrowest(names: Sequence[str], rows: Sequence[Sequence[str]], at_right: Sequence[bool]) -> int:
    """How many letters the columns need beside each other when no word but a very long one is broken."""
    from rich.cells import cell_len

    needed = _GAP * (len(names) - 1)
    for place, (name, is_right) in enumerate(zip(names, at_right, strict=True)):
        column = (name, *(row[place] for row in rows))
        if is_right:
            needed += max(map(cell_len, column))
        else:
            needed += max(min(cell_len(word), _LONGEST_WORD) for cell in column for word in (cell.split() or [""]))
    return needed


def _lines(table: "Table", width: int) -> list[str]:
    from rich.console import Console

    page = io.StringIO()
    console = Console(
        file=page, width=width, height=1, color_system=None, force_terminal=False, force_jupyter=False, soft_wrap=False
    )
    console.print(table)
    return [line.rstrip() for line in page.getvalue().splitlines()]
