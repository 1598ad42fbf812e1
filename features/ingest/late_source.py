"""Where the call log ends, and which cutoffs lie so long after it that everybody would look silent."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from statistics import median

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.exceptions import counted
from features.home.home import Home
from features.ingest.loads import load_moments
from features.ingest.rules import CLOCK_TOLERANCE
from features.schema import EVENTS, UTC_MICROSECONDS
from features.windows import DAY, as_cutoff

__all__ = ["LogEnd", "dated_after", "is_clock_behind", "log_end", "newest_event", "usual_gap"]


_TIMES = 3  # the usual gap
_FEWEST, _MOST = 2, 8  # gaps: one is no habit, and old habits are given up
_RECENT_DAYS, _SHARE = 28, 0.1  # dated after the clock: a share of the usual rows a day is no slip of a sender


@dataclass(frozen=True)
class LogEnd:
    """Where the log ends, and how long after it a cutoff may lie.

    Attributes
    ----------
    newest_event
        The newest event that had happened by the clock; None where there is none.
    allowed
        A cutoff later than this after the newest event is late.
    """

    newest_event: datetime | None
    allowed: timedelta

    def is_late(self, cutoff: datetime) -> bool:
        """Whether a cutoff lies so long after the newest event that everybody would look silent."""
        return self.newest_event is not None and cutoff - self.newest_event > self.allowed

    @property
    def cutoff(self) -> datetime | None:
        """The midnight that ends the newest event day."""
        return None if self.newest_event is None else as_cutoff(self.newest_event.date()) + DAY

    def in_words(self, cutoff: datetime) -> str:
        """How long after the newest event a cutoff lies.

        >>> from features.windows import utc
        >>> LogEnd(utc(2024, 3, 3, 22, 10), timedelta(days=3)).in_words(utc(2026, 6, 29))
        '2026-06-29 lies 847 days after the newest event, of 2024-03-03 22:10 UTC, and more than 3 are too many'
        """
        if self.newest_event is None:
            return f"{cutoff:%Y-%m-%d} has no event before it"
        days = (cutoff - self.newest_event) / DAY
        return (
            f"{cutoff:%Y-%m-%d} lies {days:,.0f} days after the newest event, of {self.newest_event:%Y-%m-%d %H:%M} "
            f"UTC, and more than {self.allowed / DAY:g} are too many"
        )

    def told(self, cutoffs: Sequence[datetime]) -> list[str]:
        """A sentence about cutoffs that are late; none where none is."""
        late = [cutoff for cutoff in cutoffs if self.is_late(cutoff)]
        if not late:
            return []
        more = f", and {counted(len(late) - 1, 'cutoff more|cutoffs more')} like it" if late[1:] else ""
        return [f"{self.in_words(late[-1])}{more}: everybody looks silent there."]


def log_end(home: Home, *, now: datetime) -> LogEnd:
    """Where the log of a home ends: the larger of the setting and of three usual gaps between loads is allowed."""
    allowed = home.settings.source_late_days * DAY
    gap = usual_gap(load_moments(home, EVENTS.name), now=now)
    return LogEnd(newest_event(home, now=now), allowed if gap is None else max(allowed, _TIMES * gap))


def newest_event(home: Home, *, now: datetime) -> datetime | None:
    """When the newest stored event happened that had happened by ``now``; reads one day, rarely more."""
    store = home.stores.events
    manifest = store.manifest()
    for day in sorted((day for day in manifest.partitions if day <= f"day={now:%Y-%m-%d}"), reverse=True):
        for file in store.files(day, manifest=manifest):
            times = pq.read_table(file, columns=["event_time"], partitioning=None)["event_time"]
            newest = pc.max(times.filter(pc.less_equal(times, pa.scalar(now, UTC_MICROSECONDS)))).as_py()
            if newest is not None:
                moment: datetime = newest
                return moment
    return None


def dated_after(home: Home, *, now: datetime) -> int:
    """How many stored events are dated after ``now``, by more than clocks may differ."""
    store = home.stores.events
    manifest, latest = store.manifest(), now + CLOCK_TOLERANCE
    later = 0
    for day in (day for day in manifest.partitions if day >= f"day={latest:%Y-%m-%d}"):
        for file in store.files(day, manifest=manifest):
            times = pq.read_table(file, columns=["event_time"], partitioning=None)["event_time"]
            later += pc.sum(pc.greater(times, pa.scalar(latest, UTC_MICROSECONDS))).as_py() or 0
    return later


def is_clock_behind(home: Home, *, now: datetime) -> bool:
    """Whether so much happened after ``now`` that it is the clock that is wrong and not a few senders'.

    So much is a tenth of the rows a day of the newest four weeks of events before it, for each day after it.
    """
    store = home.stores.events
    manifest, today = store.manifest(), f"day={now:%Y-%m-%d}"
    later = dated_after(home, now=now)
    if not later:
        return False
    before = sorted(day for day in manifest.partitions if day < today)[-_RECENT_DAYS:]
    rows = [sum(pq.read_metadata(file).num_rows for file in store.files(day, manifest=manifest)) for day in before]
    days_after = sum(day >= today for day in manifest.partitions)
    usual: float = median(rows or [0])
    return later > _SHARE * days_after * usual


def usual_gap(loads: list[datetime], *, now: datetime) -> timedelta | None:
    """The median of the last eight gaps between days on which something was loaded; None before there are two.

    Loads of one day are one, for a history comes in many files; loads after ``now`` are of a clock that was wrong.

    >>> from features.windows import utc
    >>> days = [utc(2026, 6, day) for day in (1, 1, 8, 15, 29)]
    >>> usual_gap(days, now=utc(2026, 7, 1))
    datetime.timedelta(days=7)
    >>> usual_gap(days[:3], now=utc(2026, 7, 1)) is None
    True
    """
    days = sorted({as_cutoff(moment.date()) for moment in loads if moment <= now})
    gaps = sorted([later - earlier for earlier, later in pairwise(days)][-_MOST:])
    return gaps[(len(gaps) - 1) // 2] if len(gaps) >= _FEWEST else None
