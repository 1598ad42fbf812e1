"""Chooses the cutoffs that a build makes when the user names none."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import pairwise

from features.exceptions import InputError
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs, outdated_cutoffs
from features.windows import DAY, as_cutoff, cutoffs_between, newest_cutoff

__all__ = ["build_cutoffs", "missing_cutoffs"]


_FIRST_WINDOW_DAYS = 28
_MOST = 1000  # unasked: nineteen years of weeks, which is one event of 1970 rather than a log


def build_cutoffs(
    home: Home,
    *,
    now: datetime,
    first: str | datetime | None = None,
    last: str | datetime | None = None,
    every_days: int = 7,
) -> list[datetime]:
    """Cutoffs from ``first`` to ``last``: by default from the first whole four weeks of events to where they end.

    They end with the newest event day, or now where they go on. Without ``last`` that cutoff is one of them, and
    without both also those whose rows mean something else by now. The same day twice is that day, whatever its
    weekday.

    Raises
    ------
    InputError
        When there are no events, no cutoff lies in between, or nobody named a first day and there are too many.
    """
    days = _event_days(home)
    begin = as_cutoff(first) if first else days[0] + _FIRST_WINDOW_DAYS * DAY
    newest = newest_cutoff(now, grace_hours=home.settings.grace_hours)
    end = as_cutoff(last) if last else _end_of(days, newest)
    if first and begin == end:
        return [begin]
    cutoffs = set(cutoffs_between(begin, end, every_days=every_days))
    if last is None and begin <= end:
        cutoffs.add(end)  # what is scored next, whatever the weekday
    if not cutoffs:
        raise InputError(_nothing_between(begin, end, days, has_first=first is not None, has_last=last is not None))
    if first is None:
        _refuse_too_many(cutoffs, days)
    if first is None and last is None:
        cutoffs.update(cutoff for cutoff in outdated_cutoffs(home) if cutoff <= newest)
    return sorted(cutoffs)


def missing_cutoffs(home: Home, cutoff: datetime) -> list[datetime]:
    """``cutoff``, and up to it what training would miss: Mondays never built, and whole cutoffs that are outdated.

    No Monday after the events' end is missed: nothing is known of it yet.

    Raises
    ------
    InputError
        When there are no events, or too many Mondays are missing for a log that was meant.
    """
    days, built = _event_days(home), set(built_cutoffs(home))
    weekly = cutoffs_between(days[0] + _FIRST_WINDOW_DAYS * DAY, _end_of(days, cutoff))
    mondays = {monday for monday in weekly if monday not in built}
    _refuse_too_many(mondays, days)
    outdated = {moment for moment in outdated_cutoffs(home) if moment <= cutoff}
    return sorted({cutoff} | mondays | outdated)


def _event_days(home: Home) -> list[datetime]:
    days = sorted(as_cutoff(day.removeprefix("day=")) for day in home.stores.events.manifest().partitions)
    if not days:
        raise InputError("There are no events. Run `bellwether ingest --events …` first.")
    return days


def _end_of(days: Sequence[datetime], newest: datetime) -> datetime:
    """The midnight that ends the newest event day, and ``newest`` where events go on; what comes later is no event."""
    return min(newest, max((day for day in days if day <= newest), default=newest) + DAY)


def _nothing_between(
    begin: datetime, end: datetime, days: Sequence[datetime], *, has_first: bool, has_last: bool
) -> str:
    """Why there is no cutoff, and the option that helps, with a day that works."""
    if has_last:
        return (
            f"No cutoff lies between {begin:%Y-%m-%d} and {end:%Y-%m-%d}. "
            "Give an earlier --from or a later --to, or ingest more days."
        )
    if has_first:
        return (
            f"No cutoff lies between {begin:%Y-%m-%d} and {end:%Y-%m-%d}, where the events end. Give "
            f"--from {end:%Y-%m-%d} or an earlier one, or --to for cutoffs after the events."
        )
    return (
        f"By default the first cutoff is four weeks after the first event, {days[0]:%Y-%m-%d}, and the events end at "
        f"{end:%Y-%m-%d}. Ingest more days, or give --from {end:%Y-%m-%d} to build with less history."
    )


def _refuse_too_many(cutoffs: Collection[datetime], days: Sequence[datetime]) -> None:
    if len(cutoffs) > _MOST:
        raise InputError(
            f"The log seems to start on {days[0]:%Y-%m-%d}, which would make {len(cutoffs):,} cutoffs. Give the first "
            f"with --from; the days after the longest gap in the log begin on {_after_longest_gap(days):%Y-%m-%d}."
        )


def _after_longest_gap(days: Sequence[datetime]) -> datetime:
    return max(pairwise([days[0], *days]), key=lambda pair: pair[1] - pair[0])[1]
