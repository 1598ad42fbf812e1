"""Reads dates and moments as people write them; whatever is reckoned with them is in :mod:`features.windows`."""

from datetime import UTC, date, datetime, time

from features.exceptions import InputError

__all__ = ["as_cutoff", "require_utc", "utc"]


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
