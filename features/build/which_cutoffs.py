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
    home: Home, *, now: datetime, first: str | None = None, last: str | None = None, every_days: int = 7
) -> list[datetime]:
    """Cutoffs from ``first`` to ``last``: by default from the first whole four weeks of events to now.

    Without ``last`` the newest cutoff is one of them, and without both also those whose rows mean something else
    by now. The same day twice is that day, whatever its weekday.

    Raises
    ------
    InputError
        When there are no events, no cutoff lies in between, or nobody named a first day and there are too many.
    """
    days = _event_days(home)
    begin = as_cutoff(first) if first else days[0] + _FIRST_WINDOW_DAYS * DAY
    newest = newest_cutoff(now, grace_hours=home.settings.grace_hours)
    end = as_cutoff(last) if last else newest
    if first and begin == end:
        return [begin]
    cutoffs = set(cutoffs_between(begin, end, every_days=every_days))
    if last is None and begin <= newest:
        cutoffs.add(newest)  # what is scored tonight, whatever the weekday
    if not cutoffs:
        raise InputError(
            f"No cutoff lies between {begin:%Y-%m-%d} and {end:%Y-%m-%d}. "
            "Give an earlier --from or a later --to, or ingest more days."
        )
    if first is None:
        _refuse_too_many(cutoffs, days)
    if first is None and last is None:
        cutoffs.update(cutoff for cutoff in outdated_cutoffs(home) if cutoff <= newest)
    return sorted(cutoffs)


def missing_cutoffs(home: Home, cutoff: datetime) -> list[datetime]:
    """``cutoff``, and up to it what training would miss: Mondays never built, and whole cutoffs that are outdated.

    Raises
    ------
    InputError
        When there are no events, or too many Mondays are missing for a log that was meant.
    """
    days, built = _event_days(home), set(built_cutoffs(home))
    mondays = {monday for monday in cutoffs_between(days[0] + _FIRST_WINDOW_DAYS * DAY, cutoff) if monday not in built}
    _refuse_too_many(mondays, days)
    outdated = {moment for moment in outdated_cutoffs(home) if moment <= cutoff}
    return sorted({cutoff} | mondays | outdated)


def _event_days(home: Home) -> list[datetime]:
    days = sorted(as_cutoff(day.removeprefix("day=")) for day in home.stores.events.manifest().partitions)
    if not days:
        raise InputError("There are no events. Run `bellwether ingest --events …` first.")
    return days


def _refuse_too_many(cutoffs: Collection[datetime], days: Sequence[datetime]) -> None:
    if len(cutoffs) > _MOST:
        raise InputError(
            f"The log seems to start on {days[0]:%Y-%m-%d}, which would make {len(cutoffs):,} cutoffs. Give the first "
            f"with --from; the days after the longest gap in the log begin on {_after_longest_gap(days):%Y-%m-%d}."
        )


def _after_longest_gap(days: Sequence[datetime]) -> datetime:
    return max(pairwise([days[0], *days]), key=lambda pair: pair[1] - pair[0])[1]
