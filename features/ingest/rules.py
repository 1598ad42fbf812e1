"""The quarantine rules of the raw tables: each value gets its canonical type, each row that breaks a rule a reason."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.engine.functions import microseconds_since_epoch
from features.ingest.numbers import read_number
from features.ingest.pseudonyms import PATH_KEY
from features.ingest.readings import Problem, Reading, canonical_type
from features.ingest.steps import in_two_steps
from features.ingest.times import moment, read_time
from features.schema import ACCOUNT_ID_PATTERN, ACCOUNTS, EVENTS, SUBSCRIPTIONS, TOUCHPOINTS, RawTable, SubscriptionKind
from features.sources.mapping.apply import IDS, PROBLEM, SPOILED
from features.sources.mapping.declared import HOST, UNITS_PER_SECOND, MappedColumn, mappable_columns

__all__ = ["CLOCK_TOLERANCE", "IDENTITY", "TOTALS", "check_rows", "is_totals", "tidy_text"]


CLOCK_TOLERANCE = timedelta(minutes=5)
IDENTITY = ("_bellwether_line", "_bellwether_copy")  # beside a log's row: its line, and which of identical ones
TOTALS = "line_of_totals"  # what an export writes below its last account
_TOTALS = (
    *("total", "totals", "sum", "grandtotal", "subtotal", "summe", "gesamt", "gesamtsumme"),
    *("gesamtergebnis", "endsumme", "somme", "totale", "totaal", "suma", "totalgeneral", "totalgénéral"),
)


def is_totals(text: ir.StringValue) -> ir.BooleanValue:
    """Whether a text is what an export writes beside its totals, in whatever case: Total, Grand Total, Summe:."""
    return text.lower().re_replace("[\\s:._-]+", "").isin(_TOTALS)


def tidy_text(mapped: ir.Table, table: RawTable) -> ir.Table:
    """The mapped rows with empty text as null; one row per row.

    Records are stripped of space; a log has too many texts to look at each for it, and its ids come stripped.
    """
    tidy = {}
    for name in mappable_columns(table):
        if table.schema.field(name).type != pa.string() or name not in mapped.columns:
            continue
        text = mapped[name].cast("string")
        tidy[name] = (text.strip() if table is not EVENTS else text).nullif("")
    if "method" in tidy:
        tidy["method"] = tidy["method"].upper()
    return mapped.mutate(tidy) if tidy else mapped


_AS_GIVEN = "_bellwether_given_"


def check_rows(
    tidy: ir.Table,
    table: RawTable,
    columns: Mapping[str, MappedColumn],
    *,
    now: datetime,
    backfill: bool,
    oldest: datetime,
    strict: bool,
    title: str,
) -> ir.Table:
    """Every row with canonical columns, its ``reason`` (null when it is good) and, when not, ``given``: what it held.

    An optional value that cannot be read is null and named in ``marks``, a status of words also in ``words``; its row
    is refused where ``strict``, or where null would be an answer. ``given`` is there too where something is told of a
    good row.
    ``by_clock`` says that the row does not say when we learned of it, so that it was taken from ``now``; of a record
    also when it was taken, with ``backfill``, from when it happened.

    Raises
    ------
    InputError
        When a column cannot be read before a time zone or a unit is declared.
    """
    values: dict[str, ir.Value] = {}
    problems: list[Problem] = []
    marks: list[Problem] = []
    steps: list[ir.Value] = []
    for name in mappable_columns(table):
        canonical = table.schema.field(name).type
        if name not in columns:
            values[name] = ibis.null(canonical_type(canonical))
            continue
        reading = _read(tidy[name], name, canonical, columns[name], table=table.name, title=title)
        values[name] = reading.value
        steps += reading.steps
        marks += [*reading.marks, *_stripped(tidy, name)]
        unread = [
            *_spoiled(tidy, name, canonical),
            *reading.problems,
            *_out_of_range(name, reading.value, now=now, oldest=oldest),
        ]
        if strict or name in (*table.required, *table.null_says):
            problems += unread
            continue
        marks += unread
        values[name] = _unless(unread, reading.value)
    # A value that cannot be read is not missing: that reason comes first.
    problems += [Problem(f"{name}_missing", name, values[name].isnull()) for name in table.required]
    by_clock = ibis.literal(False)
    if table is EVENTS:
        by_clock = values["ingested_at"].isnull() if not backfill else by_clock
        default = values["event_time"] if backfill else moment(now)
        values["ingested_at"] = ibis.coalesce(values["ingested_at"], default)
    else:
        # A row delivered again keeps its first time: see features.ingest.known_since.
        by_clock = values["known_at"].isnull()
        happened = values["created_at" if table is ACCOUNTS else "occurred_at"]
        default = ibis.least(ibis.coalesce(happened, moment(now)), moment(now)) if backfill else moment(now)
        values["known_at"] = ibis.coalesce(values["known_at"], default)
    problems += _table_problems(table, values, now=now)
    reason = ibis.cases(
        (tidy[PROBLEM].notnull(), tidy[PROBLEM]),
        *((problem.rows.fill_null(False), problem.reason) for problem in problems),
    )
    beside = (name for name in ("source_file", "source_row", PATH_KEY, HOST, *IDENTITY) if name in tidy.columns)
    whole = {
        **{name: tidy[name] for name in beside},
        **values,
        "by_clock": by_clock,
        "reason": reason,
        "marks": _named(marks),
        "words": _status_words(tidy),
        **{f"{_AS_GIVEN}{name}": tidy[name] for name in columns},
    }
    checked = in_two_steps(tidy, whole, steps)
    # In a step of its own, so that reason and marks are worked out once.
    raw_values = ibis.struct({name: checked[f"{_AS_GIVEN}{name}"].cast("string") for name in columns})
    is_told = checked.reason.notnull() | checked.marks.notnull()
    given = is_told.ifelse(raw_values.cast("json").cast("string"), ibis.null("string"))
    return checked.mutate(given=given).drop(*(f"{_AS_GIVEN}{name}" for name in columns))


def _spoiled(tidy: ir.Table, name: str, canonical: pa.DataType) -> list[Problem]:
    """An optional value that an expression failed to make; an object or a list where text is asked for."""
    if SPOILED not in tidy.columns:
        return []
    failed = f"{name}_expression_failed"
    problems = [Problem(failed, name, tidy[SPOILED].contains(f",{failed},"))]
    if canonical == pa.string():
        nested = f"{name}_nested"
        problems.append(Problem(nested, name, tidy[SPOILED].contains(f",{nested},")))
    return problems


def _stripped(tidy: ir.Table, name: str) -> list[Problem]:
    """An id that had spaces or invisible signs around it."""
    mark = f"{name}_stripped"
    may_be = name in IDS and SPOILED in tidy.columns
    return [Problem(mark, name, tidy[SPOILED].contains(f",{mark},"))] if may_be else []


def _unless(problems: Sequence[Problem], value: ir.Value) -> ir.Value:
    """The value, null where there is any of the problems."""
    for problem in problems:
        value = problem.rows.fill_null(False).ifelse(ibis.null(value.type()), value)
    return value


def _named(marks: Sequence[Problem]) -> ir.StringValue:
    """The reasons that are true of a row, with commas between; null where none is."""
    if not marks:
        return ibis.null("string")
    is_any = ibis.or_(*(mark.rows.fill_null(False) for mark in marks))
    names = [mark.rows.fill_null(False).ifelse(mark.reason, ibis.null("string")) for mark in marks]
    return is_any.ifelse(ibis.literal(",").join(names), ibis.null("string"))


def _status_words(tidy: ir.Table) -> ir.StringValue:
    """The words that a source has in place of a status; null where it has a number."""
    if "status" not in tidy.columns or not tidy.status.type().is_string():
        return ibis.null("string")
    # Long ones, or ones with digits, may be anything, a secret among them.
    return tidy.status.re_search("^[A-Za-z][A-Za-z _-]{0,23}$").ifelse(tidy.status, ibis.null("string"))


def _out_of_range(name: str, value: ir.Value, *, now: datetime, oldest: datetime) -> list[Problem]:
    """What no value of a column can be."""
    if name == "status":
        return [Problem("status_out_of_range", name, ~value.between(100, 599))]
    if name in ("latency_ms", "mrr", "quota_calls_per_month"):
        return [Problem(f"{name}_negative", name, value < 0)]
    problems = []
    if value.type().is_timestamp():
        problems.append(Problem(f"{name}_too_old", name, value < moment(oldest)))
    if name == "created_at":
        problems.append(Problem("created_at_in_future", name, value > moment(now + CLOCK_TOLERANCE)))
    return problems


def _table_problems(table: RawTable, values: Mapping[str, ir.Value], *, now: datetime) -> list[Problem]:
    latest = moment(now + CLOCK_TOLERANCE)
    account = values["account_id"]
    problems = [("account_id_invalid", ~account.re_search(f"^{ACCOUNT_ID_PATTERN}$"))]
    if table is EVENTS:
        happened, arrived = (microseconds_since_epoch(values[name]) for name in ("event_time", "ingested_at"))
        tolerance = int(CLOCK_TOLERANCE.total_seconds() * UNITS_PER_SECOND["us"])
        problems += [
            ("event_time_in_future", (values["event_time"] > latest) | (happened - arrived > tolerance)),
        ]
    if table is ACCOUNTS:
        # An account may be called so; then it has a name or a date.
        is_bare = values["name"].isnull() & values["created_at"].isnull()
        problems += [(TOTALS, is_totals(account) & is_bare)]
    if table is SUBSCRIPTIONS:
        problems += [("kind_unknown", ~values["kind"].isin([kind.value for kind in SubscriptionKind]))]
    if table is TOUCHPOINTS:
        problems += [("occurred_at_in_future", values["occurred_at"] > latest)]
    if "known_at" in values:
        # A planned cancellation may lie in the future; that we know of it cannot.
        problems += [("known_at_in_future", values["known_at"] > latest)]
    return [Problem(reason, reason, rows) for reason, rows in problems]


def _read(
    given: ir.Value, name: str, canonical: pa.DataType, column: MappedColumn, *, table: str, title: str
) -> Reading:
    """One column's canonical value (null where it cannot be read), and what is wrong where it cannot."""
    if given.type().is_null():
        return Reading(ibis.null(canonical_type(canonical)))
    if canonical == pa.string():
        return Reading(given)
    if pa.types.is_timestamp(canonical):
        return read_time(given, name, column, table=table, title=title)
    if pa.types.is_boolean(canonical):
        flag = given.try_cast("boolean")
        return Reading(flag, (Problem(f"{name}_unreadable", name, given.notnull() & flag.isnull()),))
    return read_number(given, name, canonical, column)
