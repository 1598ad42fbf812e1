"""Reads times as sources write them: with an offset, in a declared zone, or as epoch numbers of a declared unit."""

import re
from datetime import UTC, datetime, timedelta

import ibis
import ibis.expr.types as ir

from features.engine.functions import at_zone, clock_at, epoch_microseconds, microseconds_since_epoch
from features.exceptions import InputError
from features.ingest.readings import UTC_TIME, Problem, Reading
from features.sources.mapping.declared import UNITS_PER_SECOND, MappedColumn

__all__ = ["NAIVE", "SKIPPED", "TWICE", "exact_epoch", "moment", "read_time", "usual_time"]


NAIVE = "_naive"  # ends the reason of a row whose time has no zone
TWICE = "_comes_twice"  # ends the mark of a time whose hour the zone's clocks show twice
SKIPPED = "_is_skipped"  # ends the mark of a time that the zone's clocks never show
_NAIVE = r"^\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?$"
_OFFSET = r":\d{2}.*?(Z|z| ?UTC|[+-]\d{2}(:?\d{2})?)$"
_YEARS = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))  # Parquet has no infinite times
_ZEROS = tuple(  # of Go and .NET, of Excel (0, and 1 or 0 by what wrote it), of Excel on a Mac, of Unix
    datetime(*day, tzinfo=UTC)
    for day in ((1, 1, 1), (1899, 12, 30), (1899, 12, 31), (1900, 1, 1), (1904, 1, 1), (1970, 1, 1))
)
_FARTHEST_ZONE = timedelta(hours=14)
_NEWEST_ZERO = _ZEROS[-1] + timedelta(hours=14)
_ZONE_STEP_US = 15 * 60 * 1_000_000
_BLOCK_US = 2 * 60 * 60 * 1_000_000  # divides the farthest zone
_ZERO_BLOCKS = sorted(
    {
        int(zero.timestamp()) * 1_000_000 // _BLOCK_US + block
        for zero in _ZEROS
        for block in range(-_FARTHEST_ZONE // timedelta(hours=2), _FARTHEST_ZONE // timedelta(hours=2))
    }
)
_NO_DATE = re.compile(
    r"(0{1,4}[-/.]0?0[-/.]0?0|1900-01-00|0?[01][/.]0?[01][/.](?:19)?00|30[/.]12[/.]1899|12/30/1899)([T ].*)?|0(\.0+)?"
)
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAY_FIRST = re.compile(r"(\d{1,2})[ /-]([A-Za-z]{3})[a-z]*[ /-](\d{4})[ :T]+(\d{1,2}:\d{2}(?::\d{2})?)(.*)")
_FIRST_REWRITINGS = tuple(
    (re.compile(pattern), written)
    for pattern, written in (
        (r"^\[(.*)\]$", r"\1"),
        (r"^(?:mon|tue|wed|thu|fri|sat|sun|Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,?\s+", ""),
        (r"\s+m=[+-][\d.]+$", ""),  # Go's monotonic clock
        (r"(:\d{2}(?:[.,]\d+)?\s*[+-]\d{2}:?\d{2})\s+(?:[A-Z]{1,5}|[+-]\d{2,4}|\(.*\))$", r"\1"),  # a zone's name
        (
            r"^([A-Za-z]{3})\s+(\d{1,2}),?\s+(\d{1,2}:\d{2}:\d{2}(?:\.\d+)?)((?:\s+[A-Z]{3,4})?)\s+(\d{4})$",
            r"\2 \1 \5 \3\4",
        ),
    )
)
_REWRITINGS = tuple(
    (re.compile(pattern), written)
    for pattern, written in (
        (
            r"^((?:19|20)\d{2})(\d{2})(\d{2})[T ](\d{2})(\d{2})(\d{2})((?:[.,]\d+)?\s*(?:Z|z|[A-Z]{2,3}|[+-].*)?)$",
            r"\1-\2-\3T\4:\5:\6\7",
        ),
        (r"^(\d{4})/(\d{1,2})/(\d{1,2})", r"\1-\2-\3"),
        (r"^(\d{4}-\d{2}-\d{2})t", r"\1T"),
        (r"(:\d{2}),(\d+)", r"\1.\2"),
        (r"\s*(?:GMT|UTC|UT)\s*([+-]\d)", r"\1"),
        (r"\s*(?:GMT|UTC|UT|z)\s*$", "Z"),
        (r"(:\d{2}(?:\.\d+)?)\s+(Z|[+-]\d{2}(?::?\d{2})?)$", r"\1\2"),
    )
)
_ROUNDED = re.compile(r"\d(?:[.,](\d*))?[eE]\+?(\d+)")
_WHOLE = re.compile(r"\d{4}-\d{1,2}-\d{1,2}[T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}(:?\d{2})?)?")


def read_time(given: ir.Value, name: str, column: MappedColumn, *, table: str, title: str) -> Reading:
    """One column of times in UTC; what stands for no time, epoch 0 and the zero dates of Excel, is null.

    Raises
    ------
    InputError
        When a zone or a unit has to be declared before any of them can be read.
    """
    kind = given.type()
    place = f"[sources.{table}.columns.{name}]"
    if kind.is_timestamp() and kind.timezone is not None:
        return _bounded(given.cast(UTC_TIME), name, given)
    if kind.is_timestamp() or kind.is_date():
        if column.time_zone is None:
            raise InputError(
                f"The times of {name} in {title} have no time zone. Say which zone they are in: "
                f'time_zone = "UTC" (or "Europe/Berlin") under {place}. Nothing was stored.'
            )
        local = given.cast("timestamp(6)")
        value, marks = at_zone(column.time_zone, local), _clock_changes(local, name, column)
        return _bounded(value, name, given, local=local, marks=marks)
    if kind.is_numeric() or column.unit is not None:
        if column.unit is None:
            raise InputError(
                f"{name} in {title} holds numbers. Say what they count since 1970-01-01: "
                f'unit = "s" (or ms, us, ns) under {place}. Nothing was stored.'
            )
        return _read_epoch(given, name, column.unit)
    return _read_text(given, name, column)


def moment(value: datetime) -> ir.TimestampScalar:
    """A moment as a value of the engine."""
    return ibis.literal(value, type=UTC_TIME)


def _read_epoch(given: ir.Value, name: str, unit: str) -> Reading:
    plain = given.nullif("") if given.type().is_string() else given
    if plain.type().is_floating():
        plain = plain.isnan().ifelse(ibis.null(plain.type()), plain)
    # Decimal keeps every digit of an epoch in nanoseconds.
    number = plain.try_cast("decimal(38, 9)")
    microseconds = (number * UNITS_PER_SECOND["us"] / UNITS_PER_SECOND[unit]).cast("float64")
    if given.type().is_integer():
        factor, divisor = max(1, 1_000_000 // UNITS_PER_SECOND[unit]), max(1, UNITS_PER_SECOND[unit] // 1_000_000)
        limit = int(_YEARS[1].timestamp()) * UNITS_PER_SECOND[unit]
        whole = (
            given.cast("int64").between(-min(limit, 2**63 - 1), min(limit, 2**63 - 1)).ifelse(given.cast("int64"), None)
        )
        exact = (whole * factor) if divisor == 1 else (whole // divisor)
        return _bounded(at_zone("UTC", epoch_microseconds(exact.cast("int64"))), name, given)
    in_range = microseconds.abs() < _YEARS[1].timestamp() * 1e6
    exact = in_range.ifelse(microseconds, None).round().cast("int64")
    return _bounded(at_zone("UTC", epoch_microseconds(exact)), name, plain)


def _read_text(given: ir.Value, name: str, column: MappedColumn) -> Reading:
    plain = given.cast("string").strip().nullif("")
    with_offset = plain.re_search(_OFFSET)
    # The engine casts "10:00:00 EST" and forgets the zone, so only text that is wholly a naive time is one.
    is_naive = plain.re_search(_NAIVE).ifelse(plain, ibis.null("string"))
    local = with_offset.ifelse(ibis.null("string"), is_naive).try_cast("timestamp(6)")
    naive = ibis.null(UTC_TIME) if column.time_zone is None else at_zone(column.time_zone, local)
    value = with_offset.ifelse(plain.try_cast(UTC_TIME), naive)
    if column.time_zone is not None:
        return _bounded(value, name, plain, local=local, marks=_clock_changes(local, name, column))
    reading = _bounded(value, name, plain)
    problem = Problem(f"{name}{NAIVE}", name, ~with_offset & local.notnull())
    return Reading(reading.value, (problem, *reading.problems), steps=reading.steps)


def usual_time(text: str) -> str | None:
    """A time of RFC 1123, Go, an access log and others in the order of ISO 8601; a zero date is None.

    >>> usual_time("Mon, 01 Jun 2026 10:00:00 GMT")
    '2026-06-01T10:00:00Z'
    """
    time = text.strip().replace("\u2212", "-")
    if _NO_DATE.fullmatch(time):
        return None
    for pattern, written in _FIRST_REWRITINGS:
        time = pattern.sub(written, time)
    day_first = _DAY_FIRST.fullmatch(time)
    if day_first and day_first[2].lower() in _MONTHS:
        month = _MONTHS.index(day_first[2].lower()) + 1
        time = f"{day_first[3]}-{month:02d}-{int(day_first[1]):02d}T{day_first[4]}{day_first[5]}"
    for pattern, written in _REWRITINGS:
        time = pattern.sub(written, time)
    return time if _WHOLE.fullmatch(time) else text


def exact_epoch(text: str, *, unit: str) -> str:
    """An epoch, marked as unreadable where a sheet has left it without its seconds: 1.79533593E+12.

    >>> exact_epoch("1.79533593E+12", unit="ms"), exact_epoch("1.795335934123e+12", unit="ms")
    ('?1.79533593E+12', '1.795335934123e+12')
    """
    match = _ROUNDED.fullmatch(text.strip())
    if match is None:
        return text
    step = 10.0 ** (int(match[2]) - len(match[1] or ""))
    return f"?{text}" if step > UNITS_PER_SECOND[unit] else text


def _clock_changes(local: ir.TimestampValue, name: str, column: MappedColumn) -> tuple[Problem, ...]:
    """Local times in the hour that comes twice in autumn, or in the one that is left out in spring."""
    zone = column.time_zone or "UTC"
    if zone in ("UTC", "Etc/UTC", "GMT"):
        return ()
    near = local.hour().isin([23, 0, 1, 2, 3])  # clocks are changed at night; elsewhere nobody need look
    moment = at_zone(zone, near.ifelse(local, ibis.null("timestamp(6)")))
    hour = ibis.interval(hours=1)
    twice = (clock_at(zone, moment + hour) == local) | (clock_at(zone, moment - hour) == local)
    return (
        Problem(f"{name}{TWICE}", name, twice),
        Problem(f"{name}{SKIPPED}", name, clock_at(zone, moment) != local),
    )


def _bounded(
    value: ir.TimestampValue,
    name: str,
    given: ir.Value,
    *,
    local: ir.TimestampValue | None = None,
    marks: tuple[Problem, ...] = (),
) -> Reading:
    # Nearly no time is so old. Of those that are, the engine reads the value once: it plans each copy of an expression.
    is_recent = value.between(moment(_NEWEST_ZERO), moment(_YEARS[1]))
    old = ibis.array([value]).map(lambda time: _is_old_time(time, local).ifelse(time, ibis.null(UTC_TIME)))[0]
    read = is_recent.ifelse(value, old)
    problem = Problem(f"{name}_unreadable", name, given.notnull() & value.isnull())
    return Reading(read, (problem,), marks, steps=(value, read))


def _is_old_time(value: ir.TimestampValue, local: ir.TimestampValue | None) -> ir.BooleanValue:
    """Whether a time before 1970-01-02 is one, and not 0 of Unix or a spreadsheet, in whatever zone that is written."""
    microseconds = microseconds_since_epoch(value)
    is_zero = (microseconds // _BLOCK_US).isin(_ZERO_BLOCKS) & (microseconds % _ZONE_STEP_US == 0)
    if local is not None:  # before zones had whole quarters of hours
        is_zero |= local.isin([zero.replace(tzinfo=None) for zero in _ZEROS])
    return value.between(moment(_YEARS[0]), moment(_NEWEST_ZERO)) & ~is_zero.fill_null(False)
