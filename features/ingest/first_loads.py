"""Refuses the first load of a CRM table that does not say when its rows became known: one has to choose."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from features.engine.duckdb_engine import Engine
from features.exceptions import listed
from features.home.home import Home
from features.home.raw_tables import rows_stored
from features.ingest.staged import Staged
from features.schema import EVENTS

__all__ = ["refusal_of_first_loads"]


def refusal_of_first_loads(
    engine: Engine, home: Home, staged: Sequence[Staged], given: Mapping[str, Sequence[Path | str]]
) -> str | None:
    """Why a load into an empty table is refused, where a file says of no row when it became known; and what to do.

    ``given`` is what the command was given: raw table to files, folders or globs.
    """
    silent = {
        table.table.name: files
        for table in staged
        if table.table is not EVENTS and not rows_stored(home, table.table.name) and (files := _silent(engine, table))
    }
    if not silent:
        return None
    names = listed([file for files in silent.values() for file in files])
    tables = [table for table, paths in given.items() if paths and (table in silent or not rows_stored(home, table))]
    command = " ".join(
        ["bellwether ingest", *(f"--{table} {shlex.quote(str(path))}" for table in tables for path in given[table])]
    )
    columns = " and ".join(f"[sources.{name}.columns]" for name in silent)
    return (
        f"A first load of {' and '.join(silent)} has to say when each row became known, and no row of {names} has "
        f"a known_at. Where they are a history, each row known when it happened, run `{command} --backfill`. Where a "
        f"column says when a row was entered or changed, name it under {columns}, as in "
        f'known_at = {{ from = "entered_at" }}, and run `{command}`.'
    )


def _silent(engine: Engine, staged: Staged) -> list[str]:
    """Names of the files of which no good row says when it became known."""
    good = staged.rows.filter(staged.rows.reason.isnull())
    by_file = good.group_by("source_file").agg(is_silent=good.by_clock.all())
    places = engine.to_arrow(by_file.filter(by_file.is_silent).order_by("source_file"))["source_file"].to_pylist()
    return [staged.paths[place].name for place in places]
