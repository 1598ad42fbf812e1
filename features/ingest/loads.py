"""Remembers how many rows each load read and refused, so that recent loads can be told from all there ever were."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from features.home.home import Home
from features.storage.store import StoreWriter
from features.windows import DAY

__all__ = ["REMEMBERED", "LeftOut", "Load", "forget_loads_after", "load_moments", "loads_of", "note_load"]


REMEMBERED = 28 * DAY
"""Before a table's newest load; older ones say nothing of recent refusals."""

_NOTE = "loads"
_DAYS = 12  # the newest with a load are never forgotten, however long ago: who loads once a month has a rhythm too


@dataclass(frozen=True)
class LeftOut:
    """Rows in which one thing was told of one column, and where the first of them lie, with what they held."""

    rows: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.rows} ({'; '.join(self.examples)})"


@dataclass(frozen=True)
class Load:
    """What one ingest that brought anything new read of one raw table.

    Attributes
    ----------
    at
        The clock of the ingest.
    rows_read
        Rows of its files, known or not, good or refused.
    refused
        Reason to rows.
    left_out
        What is told of values that were left out, to how often.
    """

    at: datetime
    rows_read: int
    refused: Mapping[str, int]
    left_out: Mapping[str, LeftOut] = field(default_factory=dict)


def note_load(writer: StoreWriter, table: str, load: Load) -> None:
    """Add a load to what the writer of quarantine will publish; one that read nothing says nothing."""
    if not load.rows_read:
        return
    of_tables = dict(writer.notes.get(_NOTE, {}))
    added = {"at": load.at.isoformat(), "rows_read": load.rows_read, "refused": dict(load.refused)}
    if load.left_out:
        added["left_out"] = {mark: [told.rows, list(told.examples)] for mark, told in load.left_out.items()}
    loads = [*(entry for entry in of_tables.get(table, []) if entry != added), added]  # a killed ingest left it already
    moments = [datetime.fromisoformat(entry["at"]) for entry in loads]
    first = max(moments) - REMEMBERED
    days = sorted({at.date() for at in moments})[-_DAYS:]
    of_tables[table] = [entry for entry, at in zip(loads, moments, strict=True) if at > first or at.date() in days]
    writer.notes[_NOTE] = of_tables


def forget_loads_after(writer: StoreWriter, moment: datetime) -> None:
    """Leave the loads out of what the writer of quarantine will publish that say they were made after a moment."""
    of_tables = writer.notes.get(_NOTE, {})
    writer.notes[_NOTE] = {
        table: [entry for entry in entries if datetime.fromisoformat(entry["at"]) <= moment]
        for table, entries in of_tables.items()
    }


def loads_of(home: Home, table: str) -> list[Load]:
    """The loads of one raw table in the 28 days that end with its newest, as they came; none where none was noted."""
    loads = _noted(home, table)
    newest = max((load.at for load in loads), default=None)
    return [load for load in loads if newest is None or load.at > newest - REMEMBERED]


def load_moments(home: Home, table: str) -> list[datetime]:
    """When each load of a raw table was made that is remembered: at least those of the newest twelve days."""
    return [load.at for load in _noted(home, table)]


def _noted(home: Home, table: str) -> list[Load]:
    entries = home.stores.quarantine.manifest().notes.get(_NOTE, {}).get(table, [])
    return [
        Load(datetime.fromisoformat(entry["at"]), entry["rows_read"], entry["refused"], _left_out(entry))
        for entry in entries
    ]


def _left_out(entry: Mapping[str, Any]) -> dict[str, LeftOut]:
    """What was told of values; a home of an earlier version noted nothing."""
    return {mark: LeftOut(rows, tuple(examples)) for mark, (rows, examples) in entry.get("left_out", {}).items()}
