"""Shows on the terminal what a dry run of an ingest says."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from features.console import emit, emit_notes, say
from features.exceptions import counted
from features.ingest.dry_run import DryRun, TableDryRun
from features.ingest.reasons import reason_in_words
from features.text_table import printable_json

__all__ = ["show_dry_run"]


_COLUMNS = ("table", "what", "name", "value")
_HASH_SHOWN = 8
_HASHED = ("token", "user_id")


def show_dry_run(dry_run: DryRun, output: str) -> None:
    """Print tables for people, or one row per finding (``table``, ``what``, ``name``, ``value``) for programs."""
    if output == "table":
        for table in dry_run.tables:
            _show_table(table)
        if dry_run.templates:
            _show_endpoints(dry_run)
    else:
        emit(list(_findings(dry_run)), output, columns=_COLUMNS)
    outlook = f"it will be refused. {dry_run.refusal}" if dry_run.refusal else "it will be."
    emit_notes([*dry_run.notes, f"Nothing was stored; without --dry-run {outlook}"])


def _show_table(table: TableDryRun) -> None:
    several = len({files for files, _, _ in table.mapping}) > 1
    rows, files = counted(table.rows_read, "row|rows"), counted(table.files, "file|files")
    say(f"{table.table}: {rows} in {files}, {table.rows_good:,} good")
    say()
    emit(
        [
            {**({"files": files} if several else {}), "column": name, "made of": recipe}
            for files, name, recipe in table.mapping
        ],
    )
    say()
    emit([{name: _cell(name, value) for name, value in row.items()} for row in table.rows])
    say()
    if table.refusals:
        emit(
            [
                {
                    "refused": reason_in_words(refusal.reason),
                    "rows": refusal.rows,
                    "file and line of the first": ", ".join(refusal.places),
                }
                for refusal in table.refusals
            ],
        )
        say()


def _show_endpoints(dry_run: DryRun) -> None:
    say(counted(dry_run.templates, "endpoint|different endpoints"))
    if not dry_run.suggestions:
        say()
        return
    say()
    emit(
        [
            {"templates": suggestion.templates, "calls": suggestion.calls, "suggested pattern": suggestion.pattern}
            for suggestion in dry_run.suggestions
        ],
    )
    patterns = ", ".join(
        printable_json(json.dumps(suggestion.pattern, ensure_ascii=False)) for suggestion in dry_run.suggestions
    )
    say()
    say(f"[sources.events]\npath_patterns = [{patterns}]")
    say()


def _findings(dry_run: DryRun) -> Iterator[dict[str, str]]:
    for table in dry_run.tables:
        for _, name, recipe in table.mapping:
            yield {"table": table.table, "what": "mapping", "name": name, "value": recipe}
        for row in table.rows:
            value = json.dumps(row, default=_plain, ensure_ascii=False)
            yield {"table": table.table, "what": "row", "name": "", "value": value}
        for refusal in table.refusals:
            yield {"table": table.table, "what": "refused", "name": refusal.reason, "value": str(refusal.rows)}
    for suggestion in dry_run.suggestions:
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
