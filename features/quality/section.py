"""What each part of the quality report is given, and the section it returns: rows, findings, a note."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from features.engine.duckdb_engine import Engine, spill_folder
from features.examination import BROKEN, Finding, not_done
from features.exceptions import InputError, listed
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs, left_out
from features.windows import known_before

__all__ = ["Inspection", "Part", "Section", "engine_of", "inspection_of", "look_at"]


_CUTOFFS_BEFORE = 8


@dataclass(frozen=True)
class Inspection:
    """The home, cutoff and clock that a quality report looks at.

    Attributes
    ----------
    cutoff
        Whose feature rows.
    before
        Up to eight cutoffs built before it, ascending: what is usual.
    measured_at
        The moment freshness is measured against: the clock, or when a cutoff that was asked for closed.
    is_past
        Whether a cutoff was asked for, so that what arrived later is not looked at.
    """

    home: Home
    cutoff: datetime
    before: tuple[datetime, ...]
    measured_at: datetime
    is_past: bool


@dataclass(frozen=True)
class Section:
    """What a part of the quality report says: rows, findings, a note.

    Attributes
    ----------
    rows
        Everything that was found out, one mapping per row, every row with the keys of the first; a share is a
        :class:`~features.shares.Share`.
    shown
        Which of the rows a terminal shows; None for all.
    note
        What to say beside the rows, or instead of them.
    """

    rows: tuple[Mapping[str, object], ...] = ()
    findings: tuple[Finding, ...] = ()
    shown: tuple[Mapping[str, object], ...] | None = None
    note: str | None = None


@dataclass(frozen=True)
class Part:
    """One part of the quality report: its name for programs, its title for people."""

    name: str
    title: str
    look: Callable[[Inspection], Section]


def inspection_of(home: Home, *, as_of: datetime | None, now: datetime) -> Inspection:
    """What to look at: the cutoff that was asked for, or the newest built.

    Raises
    ------
    InputError
        When no features are built, or not those of the cutoff.
    """
    built = built_cutoffs(home)
    if not built:
        first = left_out(home) or ["Run `bellwether features build` first."]
        raise InputError(" ".join(["No features are built, so there is nothing to check.", *first]))
    cutoff = built[-1] if as_of is None else as_of
    if cutoff not in built:
        day = cutoff.date()
        raise InputError(
            f"The cutoff {day} is not built. Built, newest first: "
            f"{listed(moment.date() for moment in reversed(built))}. "
            + " ".join([*left_out(home), f"Run `bellwether features build --from {day} --to {day}` for it."])
        )
    before = tuple(moment for moment in built if moment < cutoff)[-_CUTOFFS_BEFORE:]
    closed = known_before(cutoff, grace_hours=home.settings.grace_hours)
    return Inspection(home, cutoff, before, now if as_of is None else min(closed, now), as_of is not None)


def look_at(part: Part, inspection: Inspection) -> Section:
    """Look at one part; what goes wrong while looking is a finding, not the end of the report."""
    try:
        return part.look(inspection)
    except BROKEN as error:
        return Section(findings=(not_done("looked at", error),))


@contextmanager
def engine_of(home: Home) -> Iterator[Engine]:
    """An engine for one part of the report, closed when that is done."""
    engine = home.engine(spill=spill_folder(home.spill))
    try:
        yield engine
    finally:
        engine.close()
