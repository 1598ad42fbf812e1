"""The dry run of an ingest, which stores nothing: mapping, first rows, what would be refused, patterns to declare."""

from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from features.engine.duckdb_engine import Engine
from features.home.home import Home
from features.home.secret import passing_key, require_key, secret_key
from features.ingest.first_loads import refusal_of_first_loads
from features.ingest.ingest import last_written, source_groups
from features.ingest.remarks.all import notes_about
from features.ingest.remarks.route_patterns import Suggestion, count_templates, suggest_patterns
from features.ingest.staged import Staged
from features.ingest.staging import stage
from features.progress import Progress, silent
from features.schema import EVENTS, RAW_TABLES
from features.storage.passing import passing_folder
from features.windows import require_utc

__all__ = ["DryRun", "Refusal", "TableDryRun", "dry_run"]


_ROWS_SHOWN = 10
_PLACES_SHOWN = 5


@dataclass(frozen=True)
class Refusal:
    """Rows that would be refused for one reason, and where the first of them lie."""

    reason: str
    rows: int
    places: tuple[str, ...]


@dataclass(frozen=True)
class TableDryRun:
    """What would become of one raw table.

    Attributes
    ----------
    mapping
        Files, canonical column, and how it is made of theirs.
    rows
        The first good rows with the columns that a file brings; secrets hashed, paths as templates.
    """

    table: str
    files: int
    rows_read: int
    rows_good: int
    mapping: tuple[tuple[str, str, str], ...]
    rows: tuple[Mapping[str, Any], ...]
    refusals: tuple[Refusal, ...]


@dataclass(frozen=True)
class DryRun:
    """What an ingest would do.

    Attributes
    ----------
    templates
        Different endpoints that would be stored.
    suggestions
        Patterns that would make them fewer.
    refusal
        Why the ingest itself would store nothing, and what to do; None where it would.
    """

    tables: tuple[TableDryRun, ...]
    templates: int
    suggestions: tuple[Suggestion, ...]
    notes: tuple[str, ...]
    refusal: str | None = None


def dry_run(
    home: Home,
    given: Mapping[str, Sequence[Path | str]],
    *,
    now: datetime,
    backfill: bool = False,
    progress: Progress | None = None,
) -> DryRun:
    """Read, map and check all files as ``ingest`` would; nothing is written into the home.

    ``given`` is raw table to files, folders or globs. Hashes are those of the home's key, where there is one.

    Raises
    ------
    InputError
        When nothing was given, or a file cannot be used.
    SettingsError
        When a mapping or a format is wrong, or the secret key is not the home's.
    """
    now = require_utc(now, what="now")
    groups = source_groups(home, given)
    require_key(home)
    key = secret_key(home.root) if home.secret_key.exists() else passing_key()
    with (
        passing_folder() as folder,
        closing(home.engine(spill=folder / "spill")) as engine,
    ):
        staged = [
            stage(
                engine,
                RAW_TABLES[name],
                files,
                home,
                key=key,
                now=now,
                backfill=backfill,
                progress=progress or silent,
            )
            for name, files in groups.items()
        ]
        tables = tuple(_dry_run_of(engine, staged_table) for staged_table in staged)
        notes = notes_about(
            engine,
            staged,
            [],  # what would be refused is told by table
            now=now,
            backfill=backfill,
            written=last_written(groups),
            known_tables={*groups, *home.stores.raw.manifest().partitions},
        )
        refusal = None if backfill else refusal_of_first_loads(engine, home, staged, given)
        calls = [
            staged_table.rows.filter(staged_table.rows.reason.isnull())
            for staged_table in staged
            if staged_table.table is EVENTS
        ]
        templates = count_templates(engine, calls[0]) if calls else 0
        suggestions = tuple(suggest_patterns(engine, calls[0])) if calls else ()
    return DryRun(tables, templates, suggestions, tuple(notes), refusal)


def _dry_run_of(engine: Engine, staged: Staged) -> TableDryRun:
    rows = staged.rows
    good = rows.filter(rows.reason.isnull())
    first = good.order_by("source_file", "source_row").limit(_ROWS_SHOWN).select(staged.brought)
    mapping = tuple(
        (files, name, column.recipe) for files, mapped in staged.mapped for name, column in mapped.columns.items()
    )
    return TableDryRun(
        staged.table.name,
        staged.files_read,
        staged.rows_read,
        engine.count(good),
        tuple(dict.fromkeys(mapping)),
        tuple(engine.to_arrow(first).to_pylist()),
        tuple(_refusals(engine, staged)),
    )


def _refusals(engine: Engine, staged: Staged) -> list[Refusal]:
    bad = staged.rows.filter(staged.rows.reason.notnull())
    counts = engine.to_arrow(bad.group_by("reason").agg(rows=bad.count()).order_by("reason")).to_pylist()
    return [Refusal(row["reason"], row["rows"], tuple(_places(engine, staged, row["reason"]))) for row in counts]


def _places(engine: Engine, staged: Staged, reason: str) -> list[str]:
    rows = staged.rows.filter(staged.rows.reason == reason).select("source_file", "source_row")
    first = engine.to_arrow(rows.order_by("source_file", "source_row").limit(_PLACES_SHOWN)).to_pylist()
    return [f"{staged.paths[row['source_file']].name} {row['source_row']}" for row in first]
