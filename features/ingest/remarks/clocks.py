"""Notices clocks in the wrong zone: events of the future, and logs whose end and last write lie hours apart."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path

import ibis

from features.engine.duckdb_engine import Engine
from features.exceptions import counted, listed
from features.ingest.rules import CLOCK_TOLERANCE
from features.ingest.staged import Staged
from features.schema import EVENTS

__all__ = ["clock_notes"]


_STEP = timedelta(minutes=30)  # zones differ by whole half hours, but for Nepal and the Chatham Islands
_NEAR = timedelta(seconds=90)  # a log is written within this of its newest event
_HOUR, _BEFORE = timedelta(hours=1), timedelta(minutes=10)
_FEWEST = 2  # files
_FARTHEST = timedelta(hours=14)  # the distance of a zone from UTC
_MEND = "Mend the clock, or say which zone the times are in: time_zone under [sources.events.columns.event_time]."


def clock_notes(engine: Engine, staged: Staged, written: Mapping[Path, datetime], *, now: datetime) -> list[str]:
    """What the times of staged events say about the clock that made them.

    ``written`` says when each file was last written. An event after that, or after ``now``, was made by a clock that
    is ahead. When at least two files end the same whole half hours before they were last written, and none otherwise,
    a clock may be behind. A file that ends just before a full hour says nothing of that: it is an export of whole
    hours or days, written at a fixed time after them.
    """
    if staged.table is not EVENTS:
        return []
    rows = staged.rows.filter(staged.rows.event_time.notnull())
    ahead = (rows.reason == "event_time_in_future") & (rows.event_time > ibis.literal(now, type="timestamp('UTC', 6)"))
    by_file = rows.group_by("source_file").agg(newest=rows.event_time.max(), ahead=ahead.fill_null(False).sum())
    counts = engine.to_arrow(by_file.order_by("source_file")).to_pylist()
    apart = {
        staged.paths[row["source_file"]]: row["newest"] - min(now, written.get(staged.paths[row["source_file"]], now))
        for row in counts
    }
    refused = sum(row["ahead"] for row in counts)
    if refused:
        farthest = max(apart.values())
        text = (
            f"events: {counted(refused, 'row lies|rows lie')} in the future, which is refused; the newest "
            f"{_span(farthest)} after its file was last written.{_zone(farthest)} {_MEND} Then ingest again."
        )
        return [text]
    early = {path.name: gap for path, gap in apart.items() if gap > CLOCK_TOLERANCE}
    if early:
        farthest = max(early.values())
        text = (
            f"events: the newest of {listed(early)} lie up to {_span(farthest)} after the file was last written: their "
            f"clock is ahead.{_zone(farthest)} {_MEND} These were stored as they are."
        )
        return [text]
    newest = {staged.paths[row["source_file"]]: row["newest"] for row in counts}
    behind = _common([-gap for path, gap in apart.items() if not _ends_a_slice(newest[path])])
    if behind is None:
        return []
    text = (
        f"events: the newest of each file lies {_span(behind)} before the file was last written. If it was being "
        f"written until then, all its events are shifted by that much. {_MEND} These were stored as they are."
    )
    return [text]


def _common(gaps: list[timedelta]) -> timedelta | None:
    """The whole half hours that all gaps are, if they are the same and a zone's; one alone may be so by chance."""
    if len(gaps) < _FEWEST:
        return None
    steps = {round(gap / _STEP) for gap in gaps}
    if len(steps) != 1:
        return None
    common = steps.pop() * _STEP
    is_near = all(abs(gap - common) <= _NEAR for gap in gaps)
    return common if is_near and _STEP <= common <= _FARTHEST else None


def _ends_a_slice(newest: datetime) -> bool:
    """Whether a full hour follows so soon that the file may hold whole hours and no more."""
    hour = newest.replace(minute=0, second=0, microsecond=0) + _HOUR
    return hour - newest <= _BEFORE


def _zone(gap: timedelta) -> str:
    """That a gap is as long as the distance of two zones."""
    common = round(gap / _STEP) * _STEP
    is_near = abs(gap - common) <= CLOCK_TOLERANCE and _STEP <= common <= _FARTHEST
    return f" Zones differ by as much: {_span(common)}." if is_near else ""


def _span(gap: timedelta) -> str:
    hours, minutes = divmod(round(gap / timedelta(minutes=1)), 60)
    return f"{hours:,} h {minutes:02d} min"
