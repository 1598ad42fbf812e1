"""Which cutoffs to build when nobody names them."""

from datetime import datetime

from features.exceptions import InputError
from features.raw import events_store
from features.settings import Settings
from features.windows import DAY, as_cutoff, cutoffs_between, newest_cutoff

__all__ = ["build_cutoffs"]

_FIRST_WINDOW_DAYS = 28


def build_cutoffs(
    settings: Settings, *, now: datetime, first: str | None = None, last: str | None = None, every_days: int = 7
) -> list[datetime]:
    """Cutoffs from ``first`` to ``last``, and always the newest: from the first whole four weeks of events to now.

    Raises
    ------
    InputError
        When there are no events, or no cutoff lies in between.
    """
    days = sorted(events_store(settings).manifest().partitions)
    if not days:
        raise InputError("There are no events. Run `bellwether ingest --events …` first.")
    begin = as_cutoff(first) if first else as_cutoff(days[0].removeprefix("day=")) + _FIRST_WINDOW_DAYS * DAY
    newest = newest_cutoff(now, grace_hours=settings.grace_hours)
    end = as_cutoff(last) if last else newest
    cutoffs = list(cutoffs_between(begin, end, every_days=every_days))
    if last is None and (not cutoffs or cutoffs[-1] < newest) and begin <= newest:
        cutoffs.append(newest)  # what is scored tonight, whatever the weekday
    if not cutoffs:
        raise InputError(
            f"No cutoff lies between {begin:%Y-%m-%d} and {end:%Y-%m-%d}. "
            "Give an earlier --from or a later --to, or ingest more days."
        )
    return cutoffs
