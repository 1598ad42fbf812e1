"""Freshness of each source: how far it reaches, and whether it has been silent longer than it usually is."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np

from features.engine.duckdb_engine import Engine
from features.examination import Finding
from features.exceptions import counted, listed
from features.home.home import Home
from features.home.raw_tables import rows_stored
from features.ingest.inbox import inbox_folder, unread_files, waiting
from features.quality.section import Inspection, Section, engine_of
from features.schema import EVENTS, RAW_TABLES
from features.windows import DAY, as_cutoff, hour_number, hours_between

__all__ = ["Reach", "look_at_freshness"]


_RHYTHM_DAYS = 91
_HOURS_A_DAY = 24
_FEWEST = 3  # hours with something new: fewer have no rhythm
_TIMES = 2.0  # the usual pause


@dataclass(frozen=True)
class Reach:
    """How far one raw table reaches.

    Attributes
    ----------
    newest_event
        When the newest row happened, as far as that is not in the future.
    newest_known
        When we learned of the newest row.
    pause_hours
        Hours since: of events since the newest happened, of records since we learned of one.
    usual_pause_hours
        The second longest pause in the 91 days before, since one outage is no rhythm; None where too little came to
        have one.
    """

    table: str
    rows: int
    newest_event: datetime | None
    newest_known: datetime | None
    pause_hours: float | None
    usual_pause_hours: float | None

    def is_late(self, stale_after_hours: float) -> bool:
        """Whether it has been silent for over twice its usual pause, and for longer than features may be old.

        Of events without a rhythm the second alone decides; records without one are never late.
        """
        if self.pause_hours is None or self.pause_hours <= stale_after_hours:
            return False
        if self.usual_pause_hours is None:
            return self.table == EVENTS.name
        return self.pause_hours > _TIMES * self.usual_pause_hours

    def is_old(self, stale_after_hours: float) -> bool:
        """Whether the log ends too early for scores to be believed, though it has paused as long before."""
        is_over = self.pause_hours is not None and self.pause_hours > stale_after_hours
        return self.table == EVENTS.name and is_over and not self.is_late(stale_after_hours)


def look_at_freshness(inspection: Inspection) -> Section:
    """Freshness of every raw table, one row each."""
    settings = inspection.home.settings
    with engine_of(inspection.home) as engine:
        reaches = [_reach(engine, inspection, name) for name in RAW_TABLES]
    late = {reach.table for reach in reaches if reach.is_late(settings.stale_after_hours)}
    old = {reach.table for reach in reaches if reach.is_old(settings.stale_after_hours)}
    states = dict.fromkeys(late, "LATE") | dict.fromkeys(old, "late")
    files = {reach.table: [] if inspection.is_past else waiting(inspection.home, reach.table) for reach in reaches}
    rows = tuple(
        {
            "source": reach.table,
            "rows": reach.rows,
            "newest event": _minute(reach.newest_event),
            "newest known": _minute(reach.newest_known),
            "hours since": None if reach.pause_hours is None else round(reach.pause_hours, 1),
            "usual pause": None if reach.usual_pause_hours is None else round(reach.usual_pause_hours, 1),
            "files waiting": len(files[reach.table]),
            "state": "none" if not reach.rows else states.get(reach.table, "fresh"),
        }
        for reach in reaches
    )
    findings = [
        *(_late(reach, inspection.home) for reach in reaches if reach.table in late),
        *(_old(reach, inspection.home) for reach in reaches if reach.table in old),
        *_never_came(inspection.home, reaches),
        *([] if inspection.is_past else _inbox(inspection, files)),
    ]
    against = "the moment the cutoff closed" if inspection.is_past else "the clock"
    note = (
        f"Hours since the newest event, or since a record was learned of, against {against}, "
        f"{_minute(inspection.measured_at)} UTC; the usual pause is the second longest of the 91 days before."
    )
    return Section(rows, tuple(findings), note=note)


def _reach(engine: Engine, inspection: Inspection, name: str) -> Reach:
    table = RAW_TABLES[name]
    happened = {"events": "event_time", "accounts": "created_at"}.get(name, "occurred_at")
    learned = "ingested_at" if table is EVENTS else "known_at"
    files = _files(inspection, name)
    rows = engine.read_parquet(files, schema=table.schema)
    now = ibis.literal(inspection.measured_at, type="timestamp('UTC', 6)")
    known = rows.filter(rows[learned] <= now)
    newest = engine.to_arrow(
        known.agg(newest_event=known[happened].max(where=known[happened] <= now), newest_known=known[learned].max())
    ).to_pylist()[0]
    rhythm: ir.TimestampColumn = known[happened if table is EVENTS else learned]
    hours = engine.to_arrow(known.filter(rhythm <= now).select(hour=hour_number(rhythm)).distinct())["hour"]
    since = newest["newest_event" if table is EVENTS else "newest_known"]
    return Reach(
        name,
        rows_stored(inspection.home, name),
        newest["newest_event"],
        newest["newest_known"],
        None if since is None else max(hours_between(since, inspection.measured_at), 0.0),
        _usual_pause(hours.drop_null().to_numpy()),
    )


def _files(inspection: Inspection, name: str) -> list[Path]:
    """Files of a raw table; of events those of the newest 91 days that had begun."""
    if name != EVENTS.name:
        return inspection.home.stores.raw.files(name, name)
    store = inspection.home.stores.events
    manifest = store.manifest()
    begun = f"day={inspection.measured_at:%Y-%m-%d}"
    days = sorted(day for day in manifest.partitions if day <= begun)[-_RHYTHM_DAYS:]
    return [file for day in days for file in store.files(day, manifest=manifest)]


def _usual_pause(hours: "np.typing.NDArray[np.int64]") -> float | None:
    """The second longest pause between hours with something new, over the 91 days that end with the newest."""
    if not len(hours):
        return None
    ordered = np.sort(hours)
    recent = ordered[ordered > ordered[-1] - _RHYTHM_DAYS * _HOURS_A_DAY]
    return float(np.sort(np.diff(recent))[-2]) if len(recent) >= _FEWEST else None


def _late(reach: Reach, home: Home) -> Finding:
    pause = reach.usual_pause_hours
    usual = (
        ""
        if pause is None
        else f" In the 91 days before, no pause but one was over {counted(round(pause), 'hour|hours')}."
    )
    what = f"{reach.table} end {reach.pause_hours:,.0f} hours ago, at "
    where = f"Look whether the export still runs and where its files go (the inbox is {inbox_folder(home)})."
    if reach.table == EVENTS.name:
        return Finding(
            f"{what}{_minute(reach.newest_event)} UTC.{usual} A silent account may not be silent: its calls are "
            "missing.",
            f"{where} Scores say so too until new events are in. A log that ended for good is looked at as of its end: "
            f"--as-of {_end(reach.newest_event)}.",
        )
    return Finding(f"{what}{_minute(reach.newest_known)} UTC.{usual}", where, is_remark=True)


def _old(reach: Reach, home: Home) -> Finding:
    return Finding(
        f"{reach.table} end {reach.pause_hours:,.0f} hours ago, at {_minute(reach.newest_event)} UTC. Such pauses "
        f"there were before, yet a log that ends over {home.settings.stale_after_hours:,.0f} hours before the cutoff "
        "makes scores stale.",
        f"Look whether the export still runs (the inbox is {inbox_folder(home)}). Where it is meant to pause like "
        "this, raise stale_after_hours.",
        is_remark=True,
    )


def _never_came(home: Home, reaches: list[Reach]) -> Iterator[Finding]:
    empty = {reach.table for reach in reaches if not reach.rows}
    for name in home.settings.sources:
        if name in empty:
            yield Finding(
                f"[sources.{name}] is set, and no row of {name} was ever stored.",
                f"Run `bellwether ingest --{name} FILE --backfill`, which is for a first load; then put files into "
                f"{inbox_folder(home) / name}.",
                is_remark=True,
            )


def _inbox(inspection: Inspection, files: dict[str, list[datetime]]) -> Iterator[Finding]:
    limit = inspection.home.settings.stale_after_hours
    for name, times in files.items():
        if times and hours_between(times[0], inspection.measured_at) > limit:
            what = counted(len(times), "file waits|files wait")
            yield Finding(
                f"{what} in the inbox under {name}, the oldest since {_minute(times[0])} UTC.",
                "Run `bellwether nightly`; it says why it refuses one.",
                is_remark=True,
            )
    unread = unread_files(inspection.home)
    if unread:
        what = counted(len(unread), "file of the inbox is|files of the inbox are")
        yield Finding(
            f"{what} read by nothing: {listed(unread)}.",
            "Put them into the sub-folder of their table, as Parquet, CSV or JSON Lines.",
            is_remark=True,
        )


def _end(newest_event: datetime | None) -> str:
    return "D" if newest_event is None else f"{as_cutoff(newest_event.date()) + DAY:%Y-%m-%d}"


def _minute(moment: datetime | None) -> str | None:
    return None if moment is None else f"{moment:%Y-%m-%d %H:%M}"
