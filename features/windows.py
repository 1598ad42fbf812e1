"""All date arithmetic: cutoffs, observation windows, label windows, and when an event becomes visible."""

import functools
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
from ibis.expr.types import ArrayValue

from features.dates import as_cutoff, require_utc, utc
from features.engine.functions import microseconds_since_epoch
from features.exceptions import InputError, counted

__all__ = [
    "DAY",
    "DAY_MICROSECONDS",
    "as_cutoff",
    "cutoff_day",
    "cutoff_days",
    "cutoff_of_day",
    "cutoffs_between",
    "day_of_month",
    "days_ahead",
    "days_later",
    "days_of_ages",
    "first_cutoffs",
    "forecast_days",
    "hour_number",
    "hours_between",
    "is_buildable",
    "known_before",
    "known_from",
    "label_window",
    "month_closed",
    "newest_cutoff",
    "require_utc",
    "utc",
    "visible_from",
    "window_in_words",
]

DAY = timedelta(days=1)
_EPOCH = date(1970, 1, 1)
DAY_MICROSECONDS = 86_400_000_000
_HOUR_MICROSECONDS = 3_600_000_000


def cutoff_day(cutoff: datetime) -> int:
    """Days from 1970-01-01 to the cutoff: the never-null field each feature view carries."""
    return (as_cutoff(cutoff).date() - _EPOCH).days


def cutoff_of_day(day: int) -> datetime:
    """The cutoff whose :func:`cutoff_day` is ``day``."""
    return as_cutoff(_EPOCH + day * DAY)


def days_of_ages(cutoff: datetime, ages: Sequence[range]) -> Iterator[date]:
    """The event days of these ages; 1 is the age of the day that ends at the cutoff."""
    for span in ages:
        for age_days in span:
            yield (as_cutoff(cutoff) - age_days * DAY).date()


def first_cutoffs(happened: pa.ChunkedArray, known: pa.ChunkedArray, *, grace_hours: float) -> pa.ChunkedArray:
    """:func:`visible_from` of rows in memory: the first cutoff that may see each, as a date column."""
    grace = round(grace_hours * 3600) * 1_000_000
    microseconds = [times.cast(pa.timestamp("us", tz="UTC")).cast(pa.int64()) for times in (happened, known)]
    by_time, by_arrival = (
        pc.floor(pc.divide(pc.subtract(moments, late).cast(pa.float64()), float(DAY_MICROSECONDS))).cast(pa.int32())
        for moments, late in zip(microseconds, (0, grace), strict=True)
    )
    return pc.add(pc.max_element_wise(by_time, by_arrival), 1).cast(pa.int32()).cast(pa.date32())


def label_window(cutoff: datetime, *, lead_days: int, horizon_days: int) -> tuple[datetime, datetime]:
    """The half-open interval ``[cutoff + lead, cutoff + lead + horizon)`` a label looks at."""
    begin = as_cutoff(cutoff) + lead_days * DAY
    return begin, begin + horizon_days * DAY


def window_in_words(cutoff: datetime, *, lead_days: int, horizon_days: int) -> str:
    """The days a label of a cutoff looks at, as from that cutoff and by date; the last day is one of them.

    >>> window_in_words(utc(2026, 11, 30), lead_days=7, horizon_days=30)
    'between 7 and 37 days from 2026-11-30 (2026-12-07 to 2027-01-05)'
    >>> window_in_words(utc(2026, 11, 30), lead_days=0, horizon_days=30)
    'within 30 days from 2026-11-30 (2026-11-30 to 2026-12-29)'
    """
    begin, end = label_window(cutoff, lead_days=lead_days, horizon_days=horizon_days)
    days = days_ahead(lead_days=lead_days, horizon_days=horizon_days)
    return f"{days} from {cutoff:%Y-%m-%d} ({begin:%Y-%m-%d} to {end - DAY:%Y-%m-%d})"


def days_ahead(*, lead_days: int, horizon_days: int) -> str:
    """How far ahead a label looks, for a sentence that goes on with "from" and a moment.

    >>> days_ahead(lead_days=7, horizon_days=30), days_ahead(lead_days=0, horizon_days=1)
    ('between 7 and 37 days', 'within 1 day')
    """
    if lead_days == 0:
        return f"within {counted(horizon_days, 'day|days')}"
    return f"between {lead_days} and {lead_days + horizon_days} days"


def known_before(cutoff: datetime, *, grace_hours: float) -> datetime:
    """The moment before which a row must be known for the cutoff to see it: ``cutoff + grace``."""
    return as_cutoff(cutoff) + timedelta(hours=grace_hours)


def days_later(moments: Any, days: float) -> Any:
    """A moment, or a pandas column of moments, so many days later (earlier when negative)."""
    return moments + timedelta(days=days)


def hours_between(earlier: datetime, later: datetime) -> float:
    """Fractional hours from one moment to another."""
    return (later - earlier) / timedelta(hours=1)


def month_closed(first_day: datetime) -> datetime:
    """The cutoff eight days after the last day of the month that begins at ``first_day``: most late events are in.

    >>> month_closed(utc(2026, 2, 1)).date().isoformat()
    '2026-03-08'
    """
    next_month = as_cutoff((first_day + 31 * DAY).date().replace(day=1))
    return next_month + 7 * DAY


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
    grace = round(grace_hours * 3600) * 1_000_000
    by_time = _day_number(microseconds_since_epoch(event_time))
    by_arrival = _day_number(microseconds_since_epoch(ingested_at) - grace)
    return _date_of_day(ibis.greatest(by_time, by_arrival) + 1)


def known_from(known_at: ir.TimestampValue, *, grace_hours: float) -> ir.DateValue:
    """First cutoff that may see what is known since then: the smallest midnight ``c``, ``known_at < c + grace``."""
    grace = round(grace_hours * 3600) * 1_000_000
    return _date_of_day(_day_number(microseconds_since_epoch(known_at) - grace) + 1)


def event_day(event_time: ir.TimestampValue) -> ir.DateValue:
    """The UTC day an event belongs to."""
    return _date_of_day(_day_number(microseconds_since_epoch(event_time)))


def hour_number(moment: ir.TimestampValue) -> ir.IntegerValue:
    """Whole hours from 1970-01-01 to a moment."""
    return microseconds_since_epoch(moment) // _HOUR_MICROSECONDS


def is_known(known_at: ir.TimestampValue, cutoff: ir.TimestampValue, *, grace_hours: float) -> ir.BooleanValue:
    """Whether what we learned at ``known_at`` had arrived for the cutoff: ``known_at < c + grace``."""
    return known_at < cutoff + ibis.interval(seconds=round(grace_hours * 3600))


def cutoff_days(cutoff: ir.TimestampValue) -> ir.IntegerValue:
    """:func:`cutoff_day` of a column of cutoffs."""
    return _day_number(microseconds_since_epoch(cutoff))


def observation_days(cutoffs: ir.Table, *, ages: Sequence[range]) -> ir.Table:
    """The days of these ages: one row per ``cutoff`` and ``event_day``.

    ``age_days`` is 1 for the day that ends at the cutoff, so the window ``[c - W, c)`` is ``range(1, W + 1)``.
    """
    every = [ibis.range(span.start, span.stop) for span in ages]
    days = cutoffs.select("cutoff", age_days=functools.reduce(ArrayValue.concat, every).unnest().cast("int64"))
    return days.select(
        "cutoff",
        "age_days",
        event_day=_as_date(days.cutoff.date() - days.age_days.as_interval("D")),
        cutoff_date=days.cutoff.date(),
    )


def forecast_days(cutoffs: ir.Table, *, days: int) -> ir.Table:
    """The days that follow each cutoff: one row per ``cutoff`` and ``days_ahead``, from 0, which begins at it.

    ``day_of_month`` is 1 on the first day of a calendar month (UTC).
    """
    ahead = cutoffs.select("cutoff", days_ahead=ibis.range(0, days).unnest().cast("int64"))
    day = _as_date(ahead.cutoff.date() + ahead.days_ahead.as_interval("D"))
    return ahead.select("cutoff", "days_ahead", day_of_month=day.day().cast("int64"))


def day_of_month(cutoff: ir.TimestampValue) -> ir.IntegerValue:
    """Day of the calendar month (UTC) that begins at the cutoff."""
    return cutoff.date().day().cast("int64")


def is_weekend(cutoff: ir.TimestampValue, age_days: ir.IntegerValue) -> ir.BooleanValue:
    """Whether the day of this age is a Saturday or a Sunday, in UTC."""
    monday = 4  # 1970-01-05, as days since 1970-01-01
    return (cutoff_days(cutoff) - age_days - monday) % 7 >= 5


def days_between(earlier: ir.TimestampValue, later: ir.TimestampValue) -> ir.FloatingValue:
    """Fractional days from one moment to another, exact to the microsecond."""
    return (microseconds_since_epoch(later) - microseconds_since_epoch(earlier)) / float(DAY_MICROSECONDS)


def starts_before_window(moment: ir.TimestampValue, cutoff: ir.TimestampValue, *, window_days: int) -> ir.BooleanValue:
    """Whether something that began at ``moment`` was there for the whole window ``[c - W, c)``."""
    return moment <= cutoff - ibis.interval(days=window_days)


def is_in_window(moment: ir.TimestampValue, cutoff: ir.TimestampValue, *, window_days: int) -> ir.BooleanValue:
    """Whether ``moment`` lies in the window ``[c - W, c)``, to the microsecond."""
    return (moment >= cutoff - ibis.interval(days=window_days)) & (moment < cutoff)


def _day_number(microseconds: ir.IntegerValue) -> ir.IntegerValue:
    return microseconds // DAY_MICROSECONDS


def _date_of_day(day: ir.IntegerValue) -> ir.DateValue:
    return _as_date(ibis.date(1970, 1, 1) + day.as_interval("D"))


def _as_date(day: ir.DateValue) -> ir.DateValue:
    # DuckDB's date plus interval is a timestamp, though Ibis types it a date and would drop a plain cast.
    return day.cast("timestamp").cast("date")
