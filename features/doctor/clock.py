"""What a clock that was ahead has left in the stores: how it is told, and how it is removed.

A night or an ingest under such a clock builds cutoffs that have not come, and stamps what does not say since when it
was known with a moment that has not come: no cutoff before then would see those rows.
"""

from collections.abc import Iterator
from datetime import datetime

from features.doctor.set_aside import set_aside
from features.doctor.stamped_rows import Ahead, mend_events, mend_records, mend_tables, tables_known_later
from features.examination import Check, Finding
from features.exceptions import InputError, counted, listed
from features.home.home import Home
from features.home.raw_tables import complete_until
from features.ingest.inbox import TakenFiles
from features.ingest.late_source import dated_after, is_clock_behind
from features.ingest.loads import forget_loads_after, load_moments
from features.ingest.rules import CLOCK_TOLERANCE
from features.rollup.count import roll_up
from features.schema import RAW_TABLES
from features.windows import as_cutoff

__all__ = ["CLOCK_CHECKS", "REPAIR_CLOCK", "clock_traces", "remedy", "require_clock"]


REPAIR_CLOCK = "Check the clock first (`timedatectl` shows it); if it is right, run `bellwether doctor --repair`."
_BEHIND = (
    "Many events happened after this clock, so it is the clock that is wrong: set it (`timedatectl` shows it), then "
    "look again. While it is behind, new rows look as if they came from the future."
)


def remedy(home: Home, now: datetime) -> str:
    """What to do about anything that is of a later time than ``now``."""
    if is_clock_behind(home, now=now):
        return _BEHIND
    return f"{REPAIR_CLOCK} It removes what is of a later time, after a copy below {home.set_aside}."


def clock_traces(home: Home, *, now: datetime) -> list[str]:
    """Sentences about what the stores hold that has not come by ``now``; reads manifests alone."""
    return [*_cutoffs_told(home, now), *_loads_told(home, now), *_promises_told(home, now)]


def require_clock(home: Home, now: datetime) -> None:
    """Put a copy aside before what is of a later time than ``now`` is removed, and only where the clock is right.

    Raises
    ------
    InputError
        When it is the clock that is behind.
    WorkFailedError
        When the copy cannot be written.
    """
    if is_clock_behind(home, now=now):
        raise InputError(_BEHIND)
    set_aside(home, now)


def _cutoffs_told(home: Home, now: datetime) -> Iterator[str]:
    ahead = sorted({as_cutoff(name.partition("/cutoff=")[2]) for name in _partitions_ahead(home, now)})
    if ahead:
        what = counted(len(ahead), "cutoff is|cutoffs are")
        yield f"{what} built that had not come at {_moment(now)}: {listed(cutoff.date() for cutoff in ahead)}."


def _loads_told(home: Home, now: datetime) -> Iterator[str]:
    for table, moments in _loads_ahead(home, now).items():
        what = counted(len(moments), f"load of {table} says it was|loads of {table} say they were")
        yield (
            f"{what} made at {_moment(max(moments))}, which had not come: rows that do not say since when they were "
            "known are seen by no cutoff before that."
        )


def _promises_told(home: Home, now: datetime) -> Iterator[str]:
    for table in RAW_TABLES:
        until = complete_until(home, table)
        if until is not None and until > now + CLOCK_TOLERANCE:
            yield f"{table} reach to {_moment(until)}, which had not come at {_moment(now)}."


def _look_at_clock(home: Home, now: datetime) -> Iterator[Finding]:
    sentences = clock_traces(home, now=now)
    later = dated_after(home, now=now)
    if later:
        sentences.append(f"{counted(later, 'event is|events are')} dated after this clock, {_moment(now)}.")
    known_later = sum(tables_known_later(home, now).values())
    if known_later:
        what = counted(known_later, "row of an external table is|rows of external tables are")
        sentences.append(f"{what} stored that nobody knew at {_moment(now)}.")
    yield from (Finding(sentence, remedy(home, now)) for sentence in sentences)


def _mend_clock(home: Home, now: datetime) -> str:
    """Remove it, in an order in which a repair that is killed and run again ends as one that was not."""
    require_clock(home, now)
    ahead = Ahead.of(home, _loads_ahead(home, now), now=now)
    with home.stores.features.writer() as writer:
        for partition in _partitions_ahead(home, now):
            writer.remove(partition)
    taken = TakenFiles(home)
    taken.forget(ahead.names)  # first: what is read once more changes nothing, what is never read again is lost
    mend_events(home, ahead)
    mend_records(home, ahead)
    mend_tables(home, ahead)
    taken.forget(())  # the stores are others now
    with home.stores.quarantine.writer() as writer:
        forget_loads_after(writer, now + CLOCK_TOLERANCE)
    roll_up(home)
    for name in ("events", "raw", "tables", "quarantine", "rollups", "features"):
        with home.stores.named(name).writer():
            pass  # a writer begins by removing what no manifest lists
    again = f"{counted(len(ahead.names), 'file is|files are')} taken from the inbox once more tonight."
    return again if ahead.names else ""


def _partitions_ahead(home: Home, now: datetime) -> list[str]:
    partitions = home.stores.features.manifest().partitions
    return [name for name in partitions if as_cutoff(name.partition("/cutoff=")[2]) > now]


def _loads_ahead(home: Home, now: datetime) -> dict[str, list[datetime]]:
    """When each load was made that says so of a time that has not come, by table."""
    later = {
        table: sorted({moment for moment in load_moments(home, table) if moment > now + CLOCK_TOLERANCE})
        for table in RAW_TABLES
    }
    return {table: moments for table, moments in later.items() if moments}


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


CLOCK_CHECKS: tuple[Check, ...] = (Check("clock", _look_at_clock, _mend_clock),)
