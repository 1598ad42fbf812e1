"""Tells which raw table a file is, by the columns that only that table has."""

from collections.abc import Iterator, Mapping

from features.exceptions import InputError, listed
from features.schema import ACCOUNTS, EVENTS, RAW_TABLES, SUBSCRIPTIONS, TOUCHPOINTS, RawTable
from features.sources.mapping.declared import ENDED
from features.sources.mapping.guess import Guess, Looked, guess_of

__all__ = ["Recognised", "which_table"]

Recognised = tuple[RawTable, tuple[str, ...]]
"""A raw table, and the columns it was known by."""

_TELLING: Mapping[str, tuple[str, ...]] = {
    EVENTS.name: ("endpoint", "method", "status", "latency_ms"),
    ACCOUNTS.name: ("name", "segment", "region", "owner"),
    SUBSCRIPTIONS.name: ("plan", "mrr", "quota_calls_per_month", "term_end", ENDED),
    TOUCHPOINTS.name: ("value",),
}
_TIME_OF = {EVENTS.name: "event_time", SUBSCRIPTIONS.name: "occurred_at", TOUCHPOINTS.name: "occurred_at"}
_BOTH = 2  # telling columns of each of two tables: then the file may be both


def which_table(looked: Looked) -> Recognised:
    """The raw table of a file, and by which of its columns it is known.

    Raises
    ------
    InputError
        When it can be none of them, or several.
    """
    if looked.files.is_log or looked.files.kind == "otlp":
        return EVENTS, ()
    signs = {table.name: tuple(_signs(guess_of(looked, table))) for table in RAW_TABLES.values()}
    likely = sorted((name for name in signs if signs[name]), key=lambda name: -len(signs[name]))
    name = looked.files.paths[0].name
    if not likely:
        raise InputError(
            f"{name} looks like none of the tables {', '.join(RAW_TABLES)}: it has {listed(looked.columns, limit=12)}. "
            f"If it is one, name it: --from events={name}. Nothing was written."
        )
    first, *others = likely
    rivals = [other for other in others if len(signs[other]) >= min(_BOTH, len(signs[first]))]
    if rivals:
        ways = " or ".join(f"{table} (by {', '.join(signs[table])})" for table in (first, *rivals))
        options = " or ".join(f"--from {table}={name}" for table in (first, *rivals))
        raise InputError(f"{name} may be {ways}. Say which: {options}; both, where it is both. Nothing was written.")
    return RAW_TABLES[first], signs[first]


def _signs(guess: Guess) -> Iterator[str]:
    """The columns by which a file is known as a table; none where it lacks what every row of it has."""
    table = guess.table
    mapped = {name for name, line in guess.lines.items() if not line.startswith("#")}
    mapped |= {name for name in guess.looked.columns if name in table.schema.names and name not in guess.lines}
    needed = {"account_id", _TIME_OF.get(table.name, "account_id")}
    if table is not EVENTS and not needed <= mapped:
        return
    telling = [name for name in _TELLING[table.name] if name in mapped]
    kind = guess.lines.get("kind", "")
    if "kind" in mapped and "constant" not in kind:
        telling.append("kind")
    elif table is TOUCHPOINTS:
        telling = ["kind"] if "kind" in mapped else []
    if table is EVENTS and not telling and {"account_id", "event_time"} <= mapped:
        telling = ["event_time"] if "created_at" not in guess.lines.get("event_time", "") else []
    yield from telling
