"""Commands that describe: what every feature means, and what is set."""

import click

from features.console import emit, emit_notes, format_option
from features.exceptions import InputError
from features.home.home import Home

__all__ = ["describe", "settings"]


@click.command(
    epilog="""\b
Examples:
  bellwether features describe
  bellwether features describe --group usage --format csv
"""
)
@click.option("--group", metavar="G", help="One group of features only, such as usage.")
@format_option
@click.pass_obj
def describe(home: Home, group: str | None, output: str) -> None:
    """Say what every feature means, your own included. JSON and CSV also say when it is null and more."""
    catalog = home.catalog
    groups = catalog.described_groups
    if group is not None and group not in groups:
        raise InputError(f"There is no group {group!r}. The groups are {', '.join(groups)}.")
    from features.definitions.describe import described
    from features.rollup.metrics import empty_metrics

    rows = [row for row in described(catalog) if group in (None, row["group"])]
    if output == "table":
        rows = [
            {name: row[name] for name in ("feature", "family", "window", "unit", "churn", "meaning")} for row in rows
        ]
    emit(rows, output)
    emit_notes(empty_metrics(home))


@click.command(
    epilog="""\b
Examples:
  bellwether settings
  bellwether --home DIR settings --format json
"""
)
@format_option
@click.pass_obj
def settings(home: Home, output: str) -> None:  # the command and its object share a word
    """Show every setting: value, default, unit, meaning. Keys are masked."""
    from features.settings.template import settings_rows

    rows = settings_rows(home.settings)
    if output != "json":
        rows = [{name: _text(cell) for name, cell in row.items()} for row in rows]
    emit(rows, output)


def _text(cell: object) -> str:
    """A setting as one writes it: several values behind each other, and a port without a comma."""
    return ", ".join(map(str, cell)) or "none" if isinstance(cell, list) else str(cell)
