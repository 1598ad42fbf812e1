"""The quarantine rules of the raw tables: each value gets its canonical type, each row that breaks a rule a reason."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.engine.functions import at_zone, epoch_microseconds, microseconds_since_epoch
from features.exceptions import InputError
from features.ingest.pseudonyms import PATH_KEY
from features.schema import ACCOUNT_ID_PATTERN, ACCOUNTS, EVENTS, SUBSCRIPTIONS, TOUCHPOINTS, RawTable, SubscriptionKind
from features.sources.mapping.apply import PROBLEM
from features.sources.mapping.declared import UNITS_PER_SECOND, MappedColumn, mappable_columns

__all__ = ["CLOCK_TOLERANCE", "EARLIEST", "IDENTITY", "NAIVE", "check_rows", "tidy_text"]


CLOCK_TOLERANCE = timedelta(minutes=5)
IDENTITY = ("_bellwether_line", "_bellwether_copy")  # beside a log's row: its line, and which of identical ones
NAIVE = "_naive"  # ends the reason of a row whose time has no zone
EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)  # before it lie defaults such as 1970-01-01, and epochs of a wrong unit
_UTC_TIME = "timestamp('UTC', 6)"
_NAIVE = r"^\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?)?$"
_OFFSET = r":\d{2}.*?(Z|z| ?UTC|[+-]\d{2}(:?\d{2})?)$"
_YEARS = (datetime(1900, 1, 1, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC))  # Parquet has no infinite times
_LARGEST = {"int16": 2.0**15 - 1, "int64": 2.0**53}

Problems = list[tuple[str, ir.BooleanValue]]


def tidy_text(mapped: ir.Table, table: RawTable) -> ir.Table:
    """The mapped rows with empty text as null; one row per row.

    Records, and the account of an event, are stripped of space; a log has too many texts to look at each for it.
    """
    tidy = {}
    for name in mappable_columns(table):
        if table.schema.field(name).type != pa.string() or name not in mapped.columns:
            continue
        text = mapped[name].cast("string")
        tidy[name] = (text.strip() if table is not EVENTS or name == "account_id" else text).nullif("")
    if "method" in tidy:
        tidy["method"] = tidy["method"].upper()
    return mapped.mutate(tidy) if tidy else mapped


def check_rows(
    tidy: ir.Table, table: RawTable, columns: Mapping[str, MappedColumn], *, now: datetime, backfill: bool, title: str
) -> ir.Table:
    """Every row with canonical columns, its ``reason`` (null when it is good) and, when not, ``given``: what it held.

    ``by_clock`` says that the time we learned of the row was taken from ``now``.

    Raises
    ------
    InputError
        When a column cannot be read before a time zone or a unit is declared.
    """
    values: dict[str, ir.Value] = {}
    problems: Problems = []
    spoiled = [(tidy[PROBLEM].notnull(), tidy[PROBLEM])] if PROBLEM in tidy.columns else []
    for name in mappable_columns(table):
        canonical = table.schema.field(name).type
        if name not in columns:
            values[name] = ibis.null(_ibis_type(canonical))
            continue
        values[name], column_problems = _read(tidy[name], name, canonical, columns[name], table=table.name, title=title)
        problems += column_problems
    # A value that cannot be read is not missing: that reason comes first.
    problems += [(f"{name}_missing", values[name].isnull()) for name in table.required]
    by_clock = ibis.literal(False)
    if table is EVENTS:
        by_clock = values["ingested_at"].isnull() if not backfill else by_clock
        default = values["event_time"] if backfill else _moment(now)
        values["ingested_at"] = ibis.coalesce(values["ingested_at"], default)
    elif table is ACCOUNTS:
        # A file without known_at is a snapshot: see features.ingest.store_records.
        by_clock = values["known_at"].isnull() & (
            ibis.literal("known_at" not in columns) | values["created_at"].isnull()
        )
        values["known_at"] = ibis.coalesce(values["known_at"], values["created_at"], _moment(now))
    problems += _table_problems(table, values, now=now)
    if table in (SUBSCRIPTIONS, TOUCHPOINTS):
        values["known_at"] = ibis.coalesce(values["known_at"], values["occurred_at"])
    reason = ibis.cases(*spoiled, *((condition.fill_null(False), name) for name, condition in problems))
    given = ibis.struct({name: tidy[name].cast("string") for name in columns}).cast("json").cast("string")
    return tidy.select(
        "source_file",
        "source_row",
        *(name for name in (PATH_KEY, *IDENTITY) if name in tidy.columns),
        **values,
        by_clock=by_clock,
        reason=reason,
        given=reason.notnull().ifelse(given, ibis.null("string")),
    )


def _table_problems(table: RawTable, values: Mapping[str, ir.Value], *, now: datetime) -> Problems:
    latest = _moment(now + CLOCK_TOLERANCE)
    problems: Problems = [("account_id_invalid", ~values["account_id"].re_search(f"^{ACCOUNT_ID_PATTERN}$"))]
    if table is EVENTS:
        happened, arrived = (microseconds_since_epoch(values[name]) for name in ("event_time", "ingested_at"))
        tolerance = int(CLOCK_TOLERANCE.total_seconds() * UNITS_PER_SECOND["us"])
        problems += [
            ("event_time_in_future", (values["event_time"] > latest) | (happened - arrived > tolerance)),
            ("event_time_too_old", values["event_time"] < _moment(EARLIEST)),
            ("status_out_of_range", ~values["status"].between(100, 599)),
            ("latency_ms_negative", values["latency_ms"] < 0),
        ]
    if table in (SUBSCRIPTIONS, TOUCHPOINTS):
        problems += [("occurred_at_too_old", values["occurred_at"] < _moment(EARLIEST))]
    if table is ACCOUNTS:
        problems += [("created_at_in_future", values["created_at"] > latest)]
    if table is SUBSCRIPTIONS:
        problems += [
            ("kind_unknown", ~values["kind"].isin([kind.value for kind in SubscriptionKind])),
            ("mrr_negative", values["mrr"] < 0),
            ("quota_calls_per_month_negative", values["quota_calls_per_month"] < 0),
        ]
    if table is TOUCHPOINTS:
        problems += [("occurred_at_in_future", values["occurred_at"] > latest)]
    if "known_at" in values:
        # A planned cancellation may lie in the future; that we know of it cannot.
        problems += [("known_at_in_future", values["known_at"] > latest)]
    return problems


def _read(
    given: ir.Value, name: str, canonical: pa.DataType, column: MappedColumn, *, table: str, title: str
) -> tuple[ir.Value, Problems]:
    """One column's canonical value (null where it cannot be read), and what is wrong where it cannot."""
    if given.type().is_null():
        return ibis.null(_ibis_type(canonical)), []
    if canonical == pa.string():
        return given, []
    if pa.types.is_timestamp(canonical):
        return _read_time(given, name, column, table=table, title=title)
    if pa.types.is_boolean(canonical):
        flag = given.try_cast("boolean")
        return flag, [(f"{name}_unreadable", given.notnull() & flag.isnull())]
    return _read_number(given, name, canonical, column)


def _read_number(given: ir.Value, name: str, canonical: pa.DataType, column: MappedColumn) -> tuple[ir.Value, Problems]:
    if pa.types.is_integer(canonical) and given.type().is_signed_integer():
        limit = int(_LARGEST[str(canonical)])
        fits = given.between(-limit, limit)
        return fits.ifelse(given, None).cast(str(canonical)), [(f"{name}_unreadable", ~fits)]
    plain = given.nullif("") if given.type().is_string() else given
    number = plain.cast("int64").cast("float64") if given.type().is_boolean() else plain.try_cast("float64")
    unreadable = plain.notnull() & (number.isnull() | number.isnan() | number.isinf())
    if pa.types.is_integer(canonical):
        too_large = number.abs() > _LARGEST[str(canonical)]
        # floor() is a BIGINT on the engine, which fails on what does not fit one.
        bounded = (unreadable | too_large).ifelse(ibis.null("float64"), number)
        problems = [(f"{name}_unreadable", unreadable | too_large | (bounded != bounded.floor()))]
        return bounded.cast(str(canonical)), problems
    if column.unit is not None and name == "latency_ms":
        number = number * (UNITS_PER_SECOND["ms"] / UNITS_PER_SECOND[column.unit])
    return number, [(f"{name}_unreadable", unreadable)]


def _read_time(
    given: ir.Value, name: str, column: MappedColumn, *, table: str, title: str
) -> tuple[ir.Value, Problems]:
    """Times with an offset, naive times of a declared zone, or epoch numbers of a declared unit."""
    kind = given.type()
    place = f"[sources.{table}.columns.{name}]"
    if kind.is_timestamp() and kind.timezone is not None:
        moment = given.cast(_UTC_TIME)
    elif kind.is_timestamp() or kind.is_date():
        if column.time_zone is None:
            raise InputError(
                f"The times of {name} in {title} have no time zone. Say which zone they are in: "
                f'time_zone = "UTC" (or "Europe/Berlin") under {place}. Nothing was stored.'
            )
        moment = at_zone(column.time_zone, given.cast("timestamp(6)"))
    elif kind.is_numeric() or column.unit is not None:
        if column.unit is None:
            raise InputError(
                f"{name} in {title} holds numbers. Say what they count since 1970-01-01: "
                f'unit = "s" (or ms, us, ns) under {place}. Nothing was stored.'
            )
        return _read_epoch(given, name, column.unit)
    else:
        return _read_time_text(given, name, column)
    return _bounded(moment, name, given)


def _read_epoch(given: ir.Value, name: str, unit: str) -> tuple[ir.Value, Problems]:
    plain = given.nullif("") if given.type().is_string() else given
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


def _read_time_text(given: ir.Value, name: str, column: MappedColumn) -> tuple[ir.Value, Problems]:
    plain = given.cast("string").strip().nullif("")
    with_offset = plain.re_search(_OFFSET)
    # The engine casts "10:00:00 EST" and forgets the zone, so only text that is wholly a naive time is one.
    is_naive = plain.re_search(_NAIVE).ifelse(plain, ibis.null("string"))
    local = with_offset.ifelse(ibis.null("string"), is_naive).try_cast("timestamp(6)")
    naive = ibis.null(_UTC_TIME) if column.time_zone is None else at_zone(column.time_zone, local)
    moment = with_offset.ifelse(plain.try_cast(_UTC_TIME), naive)
    value, problems = _bounded(moment, name, plain)
    if column.time_zone is None:
        problems = [(f"{name}{NAIVE}", ~with_offset & local.notnull()), *problems]
    return value, problems


def _bounded(moment: ir.Value, name: str, given: ir.Value) -> tuple[ir.Value, Problems]:
    value = moment.between(_moment(_YEARS[0]), _moment(_YEARS[1])).ifelse(moment, ibis.null(_UTC_TIME))
    return value, [(f"{name}_unreadable", given.notnull() & value.isnull())]


def _moment(value: datetime) -> ir.TimestampScalar:
    return ibis.literal(value, type=_UTC_TIME)


def _ibis_type(canonical: pa.DataType) -> str:
    if pa.types.is_timestamp(canonical):
        return _UTC_TIME
    return {"double": "float64", "bool": "boolean"}.get(str(canonical), str(canonical))
