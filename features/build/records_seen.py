"""Fingerprints of the record rows known at a cutoff: what is learned later leaves those of past cutoffs as they are."""

from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from typing import Any

import ibis
import ibis.expr.types as ir

from features.engine.prepared import Prepared, named, prepare
from features.fingerprint import digest
from features.home.home import Home
from features.schema import ACCOUNTS, SUBSCRIPTIONS, TOUCHPOINTS, RawTable
from features.storage.manifest import Manifest
from features.windows import cutoff_day, known_from, visible_from

__all__ = ["NOTE", "RECORD_TABLES", "first_seen", "noted_days", "records_seen"]


RECORD_TABLES = (ACCOUNTS, SUBSCRIPTIONS, TOUCHPOINTS)
"""The raw tables that features are made of beside the rollups."""

NOTE = "records_seen"
"""Name of the note of the features."""

_VERSION = 2  # raise it when the way of taking fingerprints changes: cutoffs are then built again
_SHORT = 16  # hexadecimal digits that tell two states of a table apart

_Days = list[list[int]]  # [first cutoff's day, number of rows, what their hashes make together], ascending


def records_seen(
    home: Home, cutoffs: Iterable[datetime], *, records: Manifest, features: Manifest
) -> dict[datetime, dict[str, str]]:
    """Of each cutoff and raw table the fingerprint of the rows the cutoff sees.

    A row is seen from the first midnight ``c`` with ``occurred_at < c`` and ``known_at < c + grace`` on. What
    :func:`noted_days` put into the notes of ``features`` spares reading the tables.

    Raises
    ------
    EngineError
        When a file of the raw store cannot be read.
    """
    prints: dict[datetime, dict[str, str]] = {cutoff: {} for cutoff in cutoffs}
    for name, entry in noted_days(home, records=records, features=features).items():
        days: _Days = entry["days"]
        firsts = [day for day, _, _ in days]
        for cutoff, of_table in prints.items():
            before = days[: bisect_right(firsts, cutoff_day(cutoff))]
            together = 0
            for _, _, hashes in before:
                together ^= hashes
            of_table[name] = digest([_VERSION, sum(rows for _, rows, _ in before), together])[:_SHORT]
    return prints


def noted_days(home: Home, *, records: Manifest, features: Manifest) -> dict[str, dict[str, Any]]:
    """Of each record table what a cutoff is the first to see of it, for the note :data:`NOTE` of the features.

    What the note holds of a table that is as it was is taken from there; the others are read.

    Raises
    ------
    EngineError
        When a file of the raw store cannot be read.
    """
    made_from = {
        table.name: digest([_VERSION, home.settings.grace_hours, records.fingerprint(table.name)])
        for table in RECORD_TABLES
    }
    noted = {
        name: entry for name, entry in features.notes.get(NOTE, {}).items() if entry["made_from"] == made_from.get(name)
    }
    missing = [table for table in RECORD_TABLES if table.name not in noted]
    counted = _counted(home, records, missing) if missing else {}
    return {name: noted.get(name) or {"made_from": made_from[name], "days": counted[name]} for name in made_from}


def _counted(home: Home, records: Manifest, tables: list[RawTable]) -> dict[str, _Days]:
    store = home.stores.raw
    files = {table: store.files(table.name, table.name, manifest=records) for table in tables}
    days: dict[str, _Days] = {table.name: [] for table in tables}
    if not any(files.values()):
        return days
    engine = home.engine()
    try:
        for table in filter(files.get, tables):
            engine.name_parquet(table.name, files[table], schema=table.schema, absent_as_null=table.added)
            counted = engine.run_prepared(_prepared(table, home.settings.grace_hours))
            days[table.name] = [[row["first"], row["rows"], row["hashes"]] for row in counted.to_pylist()]
        return days
    finally:
        engine.close()


@cache
def _prepared(table: RawTable, grace_hours: float) -> Prepared:
    return prepare(first_seen(named(table.name, table.schema), table, grace_hours=grace_hours))


def first_seen(rows: ir.Table, table: RawTable, *, grace_hours: float) -> ir.Table:
    """Per first cutoff that sees them, as :func:`features.windows.cutoff_day`: ``rows`` and their ``hashes`` together.

    Rows whose ``known_at`` is null are seen by every cutoff. A table holds no row twice, so no two hashes meet. The
    engine's hash of a row ends in an exclusive or with that of its last column, which two rows that swap it would take
    out of each other: it is hashed once more before rows are taken together.
    """
    known = rows.known_at
    first = (
        visible_from(rows.occurred_at, known, grace_hours=grace_hours)
        if "occurred_at" in rows.columns
        else known_from(known, grace_hours=grace_hours)
    )
    row = ibis.struct({name: rows[name] for name in table.schema.names if name not in table.added}).hash()
    if table.added:  # a row without them is the one it was before they came
        whole = ibis.struct({name: rows[name] for name in table.schema.names}).hash()
        row = ibis.ifelse(ibis.and_(*(rows[name].isnull() for name in table.added)), row, whole)
    marked = rows.select(first=first.fill_null(ibis.date(1970, 1, 1)).epoch_days(), row_hash=row.hash())
    return (
        marked.group_by("first")
        .agg(rows=marked.count(), hashes=marked.row_hash.bit_xor())
        .select("first", "rows", "hashes")
        .order_by("first")
    )
