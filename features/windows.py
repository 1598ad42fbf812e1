"""All date arithmetic: cutoffs, observation windows, label windows, and when an event becomes visible."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir

from features.exceptions import InputError

__all__ = [
    "DAY",
    "as_cutoff",
    "cutoff_day",
    "cutoff_of_day",
    "cutoffs_between",
    "days_later",
    "is_buildable",
    "known_before",
    "label_window",
    "newest_cutoff",
    "require_utc",
    "utc",
    "visible_from",
    "window_start",
]

DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)


def utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> datetime:
    """A moment in UTC, for tests and literals."""
    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)


def require_utc(moment: datetime, *, what: str) -> datetime:
    """Return ``moment`` in UTC.

    Raises
    ------
    InputError
        When ``moment`` is naive: a time without a zone is a guess.
    """
    if moment.tzinfo is None:
        raise InputError(f"{what} has no time zone: {moment.isoformat()}. Add an offset, for example +00:00.")
    return moment.astimezone(UTC)


def as_cutoff(value: str | date | datetime) -> datetime:
    """Read a cutoff: a UTC midnight, given as a date or a time.

    Raises
    ------
    InputError
        When the text is no date, or the moment is not a UTC midnight.

    >>> as_cutoff("2026-06-29").isoformat()
    '2026-06-29T00:00:00+00:00'
    """
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value) if "T" in value or " " in value else date.fromisoformat(value)
        except ValueError as error:
            raise InputError(f"{value!r} is not a date. Write it as YYYY-MM-DD.") from error
    if not isinstance(value, datetime):
        return datetime.combine(value, time(), tzinfo=UTC)
    moment = require_utc(value, what="The cutoff")
    if moment.time() != time():
        raise InputError(f"A cutoff is a UTC midnight, not {moment.isoformat()}. Give the date alone.")
    return moment


def cutoff_day(cutoff: datetime) -> int:
    """Days from 1970-01-01 to the cutoff: the never-null field each feature view carries."""
    return (as_cutoff(cutoff).date() - _EPOCH).days


def cutoff_of_day(day: int) -> datetime:
    """The cutoff whose :func:`cutoff_day` is ``day``."""
    return as_cutoff(_EPOCH + day * DAY)


def window_start(cutoff: datetime, window_days: int) -> datetime:
    """First moment of the half-open observation window ``[cutoff - window_days, cutoff)``."""
    return as_cutoff(cutoff) - window_days * DAY


def label_window(cutoff: datetime, *, lead_days: int, horizon_days: int) -> tuple[datetime, datetime]:
    """The half-open interval ``[cutoff + lead, cutoff + lead + horizon)`` a label looks at."""
    begin = as_cutoff(cutoff) + lead_days * DAY
    return begin, begin + horizon_days * DAY


def known_before(cutoff: datetime, *, grace_hours: float) -> datetime:
    """The moment before which a row must be known for the cutoff to see it: ``cutoff + grace``."""
    return as_cutoff(cutoff) + timedelta(hours=grace_hours)


def days_later(moments: Any, days: float) -> Any:
    """A moment, or a pandas column of moments, so many days later (earlier when negative)."""
    return moments + timedelta(days=days)


def is_buildable(cutoff: datetime, *, now: datetime, grace_hours: float) -> bool:
    """Whether everything the cutoff may see has had time to arrive: ``cutoff + grace <= now``."""
    return as_cutoff(cutoff) + timedelta(hours=grace_hours) <= require_utc(now, what="now")


def newest_cutoff(now: datetime, *, grace_hours: float) -> datetime:
    """The newest cutoff that can be built at ``now``: the default as-of."""
    latest = require_utc(now, what="now") - timedelta(hours=grace_hours)
    return as_cutoff(latest.date())


def cutoffs_between(first: datetime, last: datetime, *, every_days: int = 7) -> Iterator[datetime]:
    """Cutoffs in ``[first, last]``, ascending; weekly steps fall on Mondays.

    With ``every_days`` a multiple of seven the series starts at the first Monday at or after
    ``first``; otherwise at ``first`` itself.
    """
    if every_days < 1:
        raise InputError(f"The step between cutoffs is at least one day, not {every_days}.")
    cutoff = as_cutoff(first)
    if every_days % 7 == 0:
        cutoff += (-cutoff.weekday() % 7) * DAY
    while cutoff <= last:
        yield cutoff
        cutoff += every_days * DAY


def visible_from(event_time: ir.TimestampValue, ingested_at: ir.TimestampValue, *, grace_hours: float) -> ir.DateValue:
    """First cutoff that may see an event, as a date column.

    The smallest midnight ``c`` with ``event_time < c`` and ``ingested_at < c + grace``.
    """
    by_time = event_time.truncate("D").date()
    by_arrival = (ingested_at - ibis.interval(seconds=round(grace_hours * 3600))).truncate("D").date()
    return ibis.greatest(by_time, by_arrival) + ibis.interval(days=1)
