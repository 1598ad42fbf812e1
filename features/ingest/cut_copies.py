"""Finds a last line that was cut off in a copy of a file that was read whole before: it holds nothing new."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir

from features.engine.duckdb_engine import Engine
from features.exceptions import counted, listed
from features.ingest.identity import MADE_ID, machine_of
from features.ingest.open_ends import OpenEnd
from features.ingest.staged import Staged
from features.schema import EVENTS
from features.sources.files import SourceFiles
from features.storage.store import ManifestStore
from features.windows import cutoff_days, cutoff_of_day

__all__ = ["begins", "cut_copies", "cut_copy_notes", "of_last_column"]

_Place = tuple[int, int]
_UNREADABLE = ("token", "user_id", "synthetic")  # stored as a hash, or as what a word means
_STEPS = (timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1))


def cut_copies(
    engine: Engine,
    staged: Staged,
    groups: Sequence[SourceFiles],
    ends: Mapping[OpenEnd, _Place],
    store: ManifestStore,
) -> list[_Place]:
    """File and line of the open ends that were taken for rows and are the beginning of a stored event.

    It is one where all else of its file is stored, and an event of its day equals it but for what is made of the file's
    last column, which goes on behind what was read. Where the file does grow, its line is read again, whole.
    """
    cut = {
        path: of_last_column(mapped.columns, group)
        for group, (_, mapped) in zip(groups, staged.mapped, strict=True)
        for path in group.paths
        if group.kind in ("csv", "w3c")  # of others a line that is cut off is no row
    }
    places = [place for end, place in ends.items() if end.event_id and staged.paths[place[0]] in cut]
    return [place for place in places if _is_cut_copy(engine, staged, place, cut[staged.paths[place[0]]], store)]


def cut_copy_notes(staged: Staged, places: Sequence[_Place]) -> list[str]:
    """A sentence about the files that were found to be cut copies."""
    if not places:
        return []
    names = listed([staged.paths[file].name for file, _ in places])
    files = counted(len(places), "file is|files are")
    what = f"{files} a part of what was read before, cut off inside the last line, with nothing new in it: {names}."
    return [f"events: {what} Where it grows, that line is read again."]


def of_last_column(columns: Mapping[str, Any], group: SourceFiles) -> set[str]:
    """Names of the canonical columns that are made of a file's last one."""
    last = group.columns[-1]
    return {name for name, column in columns.items() if last in (column.source, *column.reads)}


def _is_cut_copy(engine: Engine, staged: Staged, place: _Place, cut: set[str], store: ManifestStore) -> bool:
    good = staged.rows.filter(staged.rows.source_file == place[0], staged.rows.reason.isnull())
    (row,) = engine.to_arrow(good.filter(good.source_row == place[1]).select(EVENTS.schema.names)).to_pylist()
    stored = _stored(engine, good.filter(good.source_row == place[1]), store)
    if stored is None:
        return False
    is_made = re.search(MADE_ID, row["event_id"]) is not None
    compared = [name for name in EVENTS.schema.names if name not in {"ingested_at", "event_id", *cut}]
    if not is_made and "event_id" not in cut:
        stored = stored.filter(stored.event_id == row["event_id"])
    same = [stored[name].identical_to(ibis.literal(row[name], stored[name].type())) for name in compared]
    alike = engine.to_arrow(stored.filter(same)).to_pylist()
    if any(other["event_id"] == row["event_id"] for other in alike) and is_made:
        return False  # it came before
    wholes = [
        other
        for other in alike
        if (not is_made or machine_of(other["event_id"]) == machine_of(row["event_id"]))
        and all(begins(row[name], other[name], name) for name in cut if name in row)
        and any(row[name] != other[name] for name in (*cut, "event_id") if name in row)
    ]
    return bool(wholes) and not _has_news(engine, good.filter(good.source_row != place[1]), store)


def _has_news(engine: Engine, rows: ir.Table, store: ManifestStore) -> bool:
    """Whether one of the rows is not stored."""
    stored = _stored(engine, rows, store)
    return engine.count(rows if stored is None else rows.anti_join(stored, "event_id")) > 0


def _stored(engine: Engine, rows: ir.Table, store: ManifestStore) -> ir.Table | None:
    """The stored events of the days of these rows; None where there is none."""
    days = engine.to_arrow(rows.select(day=cutoff_days(rows.event_time)).distinct())["day"].to_pylist()
    paths = [path for day in sorted(days) for path in store.files(f"day={cutoff_of_day(day).date().isoformat()}")]
    return engine.read_parquet(paths, schema=EVENTS.schema) if paths else None


def begins(part: object, whole: object, name: str) -> bool:
    """Whether a value may be what is left of another one whose text was cut off."""
    if part is None or part == whole or name in _UNREADABLE:
        return True
    if isinstance(part, datetime) and isinstance(whole, datetime):
        return any(part == whole - (whole - datetime.min.replace(tzinfo=whole.tzinfo)) % step for step in _STEPS)
    if isinstance(part, int | float) and isinstance(whole, int | float):
        return _digits(whole).startswith(_digits(part))
    known = str(whole).partition("{")[0]  # what an endpoint's placeholder stands for is not known
    return str(whole).startswith(str(part)) or (len(known) < len(str(whole)) and str(part).startswith(known))


def _digits(number: float) -> str:
    """The digits of a number without its size, which a unit changes."""
    return f"{number:.15g}".partition("e")[0].replace(".", "").strip("-0")
