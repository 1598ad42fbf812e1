"""What the terminal shows: data on stdout as a table, JSON or CSV, and progress on stderr."""

import csv
import json
import math
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from typing import TextIO

import click

from features.progress import Progress
from features.shares import Share, percent
from features.text_table import printable, printable_json, text_table

__all__ = [
    "NOTHING",
    "CsvLines",
    "emit",
    "emit_document",
    "emit_json",
    "emit_notes",
    "emit_text",
    "format_option",
    "progress_bar",
    "say",
    "terminal_width",
]

NOTHING = "\N{EN DASH}"
"""In place of a number where nothing was counted."""

format_option = click.option(
    "--format",
    "output",
    default="table",
    show_default=True,
    type=click.Choice(["table", "json", "csv"]),
    help="For people, or for programs: one JSON document, or CSV with a header; numbers and codes as they are.",
)
"""The option of every command that prints data."""


def say(text: str = "", *, err: bool = False) -> None:
    """Print lines; what would move a terminal's cursor or change its colours stands as an escape.

    The only way to the terminal but for bars: names, endpoints and owners are data of somebody else.
    """
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def emit(rows: Sequence[Mapping[str, object]], output: str = "table", *, columns: Sequence[str] = ()) -> None:
    """Print rows on stdout; every row has the keys of the first, or the ``columns`` where there may be no row.

    A table is for people: numbers are rounded and set to the right, and it is as wide as the terminal at most. Where
    stdout is no terminal each row is one line, whatever its length. JSON is one array, CSV has a header.
    """
    if output == "json":
        emit_json([dict(row) for row in rows])
    elif output == "csv":
        writer = csv.DictWriter(CsvLines(sys.stdout), list(rows[0]) if rows else columns)
        writer.writeheader()
        shown = printable if sys.stdout.isatty() else str  # a file keeps every letter
        writer.writerows({name: shown(_csv_cell(cell)) for name, cell in row.items()} for row in rows)
    else:
        for line in _table(rows):
            say(line)


def emit_document(document: Mapping[str, object], output: str) -> None:
    """Print what is no list of rows for programs: one JSON object, or CSV of ``field`` and ``value``.

    A field inside another is named by its path, as ``metrics.roc_auc`` and ``remarks.0``.
    """
    if output == "json":
        emit_json(document)
    else:
        emit([{"field": field, "value": value} for field, value in _fields(document)], output)


def emit_json(value: object) -> None:
    """Print a value as JSON on stdout, such that nothing in it moves a terminal's cursor.

    A number that could not be measured is null: JSON has neither NaN nor infinity.
    """
    text = json.dumps(_measured(value), indent=2, default=_plain, ensure_ascii=False, allow_nan=False)
    click.echo("\n".join(map(printable_json, text.split("\n"))))


def emit_text(text: str) -> None:
    """Print a paragraph on stdout, broken between words to fit the terminal; elsewhere as one line.

    One that is indented goes on a little further to the right.
    """
    width = terminal_width()
    if width is not None and len(text) > width:
        indent = text[: len(text) - len(text.lstrip())]
        text = textwrap.fill(printable(text), width, subsequent_indent=f"{indent}  " if indent else "")
    say(text)


def emit_notes(notes: Sequence[str]) -> None:
    """Print sentences on stderr, one line each; on a terminal broken between words."""
    for note in notes:
        text = f"- {printable(note)}"
        if sys.stderr.isatty():
            text = textwrap.fill(text, shutil.get_terminal_size().columns, subsequent_indent="  ")
        say(text, err=True)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar per stage on stderr; a line per stage where stderr is no terminal."""
    if not sys.stderr.isatty():
        begun: set[str] = set()

        def line(stage: str, done: int, total: int) -> None:  # noqa: ARG001 - a line says only that it began
            if stage not in begun:
                begun.add(stage)
                say(f"{stage} …", err=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bars

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Bars(*columns, console=Console(stderr=True)) as bars:
        tasks: dict[str, object] = {}

        def bar(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total)
            bars.update(tasks[stage], completed=done, total=total)  # type: ignore[arg-type] # rich's own TaskID

        yield bar


def terminal_width() -> int | None:
    """How many letters fit into a line of the terminal; None where stdout is none, and no line is ever broken."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


class CsvLines:
    """A file for :mod:`csv`: it quotes a carriage return only where one ends its lines, which end without it here."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def write(self, line: str) -> int:
        """Write one row."""
        return self._file.write(line.removesuffix("\r\n") + "\n")


def _table(rows: Sequence[Mapping[str, object]]) -> list[str]:
    if not rows:
        return ["(no rows)"]
    names = list(rows[0])
    return text_table(
        names,
        [[_cell(row[name]) for name in names] for row in rows],
        at_right=[all(row[name] == NOTHING or _is_number(row[name]) for row in rows) for name in names],
        width=terminal_width(),
    )


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _measured(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(name): _measured(part) for name, part in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_measured(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _fields(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Each plain value below, with its path; what is empty has none."""
    if isinstance(value, Mapping):
        parts: Iterable[tuple[object, object]] = value.items()
    elif isinstance(value, Sequence) and not isinstance(value, str):
        parts = enumerate(value)
    else:
        yield path, value
        return
    for name, part in parts:
        yield from _fields(part, f"{path}.{name}" if path else str(name))


def _csv_cell(value: object) -> str:
    value = _measured(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(_plain(value))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Share):
        return percent(value)
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, int):
        return f"{value:,}"
    return str(_plain(value))


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str | int | float) else str(value)
