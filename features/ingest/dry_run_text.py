"""Shows on the terminal what a trial of an ingest found."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import click

from features.console import emit, emit_notes
from features.ingest.dry_run import TableTrial, Trial

__all__ = ["show_trial"]


_HASH_SHOWN = 8
_HASHED = ("token", "user_id")


def show_trial(trial: Trial, output: str) -> None:
    """Print tables for people, or one row per finding (``table``, ``what``, ``name``, ``value``) for programs."""
    if output == "table":
        for table in trial.tables:
            _show_table(table)
        if trial.templates:
            _show_endpoints(trial)
    else:
        emit(list(_findings(trial)), output)
    emit_notes([*trial.notes, "Nothing was stored; without --dry-run it will be."])


def _show_table(table: TableTrial) -> None:
    several = len({files for files, _, _ in table.mapping}) > 1
    click.echo(f"{table.table}: {table.rows_read:,} rows in {table.files:,} files, {table.rows_good:,} good")
    click.echo()
    emit(
        [
            {**({"files": files} if several else {}), "column": name, "made of": made}
            for files, name, made in table.mapping
        ],
    )
    click.echo()
    emit([{name: _cell(name, value) for name, value in row.items()} for row in table.rows])
    click.echo()
    if table.refusals:
        emit(
            [
                {"refused": one.reason, "rows": one.rows, "file and line of the first": ", ".join(one.places)}
                for one in table.refusals
            ],
        )
        click.echo()


def _show_endpoints(trial: Trial) -> None:
    click.echo(f"{trial.templates:,} different endpoints")
    if not trial.suggestions:
        click.echo()
        return
    click.echo()
    emit(
        [
            {"templates": one.templates, "calls": one.calls, "suggested pattern": one.pattern}
            for one in trial.suggestions
        ],
    )
    patterns = ", ".join(json.dumps(one.pattern, ensure_ascii=False) for one in trial.suggestions)
    click.echo()
    click.echo(f"[sources.events]\npath_patterns = [{patterns}]")
    click.echo()


def _findings(trial: Trial) -> Iterator[dict[str, str]]:
    for table in trial.tables:
        for _, name, made in table.mapping:
            yield {"table": table.table, "what": "mapping", "name": name, "value": made}
        for row in table.rows:
            value = json.dumps(row, default=_plain, ensure_ascii=False)
            yield {"table": table.table, "what": "row", "name": "", "value": value}
        for one in table.refusals:
            yield {"table": table.table, "what": "refused", "name": one.reason, "value": str(one.rows)}
    for suggestion in trial.suggestions:
        value = str(suggestion.templates)
        yield {"table": "events", "what": "suggested pattern", "name": suggestion.pattern, "value": value}


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if name in _HASHED:
        return f"{value[:_HASH_SHOWN]}…"
    return _plain(value)


def _plain(value: Any) -> str:
    return value.isoformat(timespec="milliseconds") if isinstance(value, datetime) else str(value)
