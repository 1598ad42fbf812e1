"""What the terminal shows: rows on stdout as a table, JSON or CSV, and progress on stderr."""

import csv
import json
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime

import click

from features.progress import Progress
from features.text_table import printable, printable_json, text_table

__all__ = ["FORMATS", "NOTHING", "emit", "emit_json", "emit_notes", "emit_text", "progress_bar", "say"]

NOTHING = "\N{EN DASH}"
"""In place of a number where nothing was counted."""

FORMATS = click.Choice(["table", "json", "csv"])


def say(text: str = "", *, err: bool = False) -> None:
    """Print lines; what would move a terminal's cursor or change its colours stands as an escape.

    The only way to the terminal but for bars: names, endpoints and owners are data of somebody else.
    """
    click.echo("\n".join(map(printable, text.split("\n"))), err=err)


def emit(rows: Sequence[Mapping[str, object]], output: str = "table") -> None:
    """Print rows on stdout; every row has the keys of the first.

    A table is for people: numbers are rounded and set to the right, and it is as wide as the terminal at most. Where
    stdout is no terminal each row is one line, whatever its length. JSON is one array, CSV has a header.
    """
    if output == "json":
        emit_json([dict(row) for row in rows])
    elif output == "csv":
        if rows:
            writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            shown = printable if sys.stdout.isatty() else str  # a file keeps every letter
            writer.writerows(
                {name: "" if cell is None else shown(str(_plain(cell))) for name, cell in row.items()} for row in rows
            )
    else:
        for line in _table(rows):
            say(line)


def emit_json(value: object) -> None:
    """Print a value as JSON on stdout, such that nothing in it moves a terminal's cursor."""
    text = json.dumps(value, indent=2, default=_plain, ensure_ascii=False)
    click.echo("\n".join(map(printable_json, text.split("\n"))))


def emit_text(text: str) -> None:
    """Print a paragraph on stdout, broken between words to fit the terminal; elsewhere as one line."""
    width = _width()
    say(printable(text) if width is None else textwrap.fill(printable(text), width))


def emit_notes(notes: Sequence[str]) -> None:
    """Print sentences on stderr, one line each."""
    for note in notes:
        say(f"- {printable(note)}", err=True)


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


def _width() -> int | None:
    """How many letters fit into a line of the terminal; None where stdout is none, and no line is ever broken."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _table(rows: Sequence[Mapping[str, object]]) -> list[str]:
    if not rows:
        return ["(no rows)"]
    names = list(rows[0])
    return text_table(
        names,
        [[_cell(row[name]) for name in names] for row in rows],
        at_right=[
            all(row[name] == NOTHING or isinstance(row[name], int | float | None) for row in rows) for name in names
        ],
        width=_width(),
    )


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    return str(_plain(value))


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    return value if isinstance(value, str | int | float) else str(value)
