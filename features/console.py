"""What the terminal shows: rows on stdout as a table, JSON or CSV, and progress on stderr."""

import csv
import json
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime

import click

from features.progress import Progress

__all__ = ["FORMATS", "NOTHING", "emit", "emit_notes", "progress_bar"]

NOTHING = "\N{EN DASH}"
"""In place of a number where nothing was counted."""

FORMATS = click.Choice(["table", "json", "csv"])
_NARROWEST = 30  # a column of fewer letters reads worse than a long line


def emit(rows: Sequence[Mapping[str, object]], output: str = "table", *, width: int | None = None) -> None:
    """Print rows on stdout; every row has the keys of the first.

    A table is for people: numbers are rounded and set to the right, and the last column is wrapped where the table
    would be wider than ``width``. JSON is one array, CSV has a header.
    """
    if output == "json":
        click.echo(json.dumps([dict(row) for row in rows], indent=2, default=_plain, ensure_ascii=False))
    elif output == "csv":
        if rows:
            writer = csv.DictWriter(sys.stdout, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: "" if cell is None else _plain(cell) for name, cell in row.items()} for row in rows)
    else:
        for line in _table(rows, width=width):
            click.echo(line)


def emit_notes(notes: Sequence[str]) -> None:
    """Print sentences on stderr, one line each."""
    for note in notes:
        click.echo(f"- {note}", err=True)


@contextmanager
def progress_bar() -> Iterator[Progress]:
    """A bar per stage on stderr; a line per stage where stderr is no terminal."""
    if not sys.stderr.isatty():
        begun: set[str] = set()

        def line(stage: str, done: int, total: int) -> None:  # noqa: ARG001 - a line says only that it began
            if stage not in begun:
                begun.add(stage)
                click.echo(f"{stage} …", err=True)

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


def _table(rows: Sequence[Mapping[str, object]], *, width: int | None = None) -> Iterator[str]:
    if not rows:
        yield "(no rows)"
        return
    names = list(rows[0])
    cells = [[_cell(row[name]) for name in names] for row in rows]
    if width is not None:
        cells = list(_wrapped(names, cells, width=width))
    widths = [max(len(name), *(len(line[at]) for line in cells)) for at, name in enumerate(names)]
    right = [all(row[name] == NOTHING or isinstance(row[name], int | float | None) for row in rows) for name in names]
    yield "  ".join(
        _padded(name, width, at_right) for name, width, at_right in zip(names, widths, right, strict=True)
    ).rstrip()
    yield "  ".join("─" * width for width in widths)
    for line in cells:
        yield "  ".join(
            _padded(cell, width, at_right) for cell, width, at_right in zip(line, widths, right, strict=True)
        ).rstrip()


def _wrapped(names: Sequence[str], cells: Sequence[Sequence[str]], *, width: int) -> Iterator[list[str]]:
    """The lines of a table whose last column is text, broken between words to fit beside the others."""
    others = sum(max(len(name), *(len(line[at]) for line in cells)) + 2 for at, name in enumerate(names[:-1]))
    for *first, last in cells:
        parts = textwrap.wrap(last, max(width - others, _NARROWEST)) or [""]
        yield [*first, parts[0]]
        yield from ([*("" for _ in first), part] for part in parts[1:])


def _padded(text: str, width: int, at_right: bool) -> str:  # noqa: FBT001 - one way to set a cell
    return text.rjust(width) if at_right else text.ljust(width)


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
