"""What the records of the raw store say at a cutoff, as a fingerprint: what is learned today changes no past cutoff."""

import json
from bisect import bisect_right
from collections.abc import Iterable
from datetime import datetime
from functools import cache
from pathlib import Path

import ibis
import ibis.expr.types as ir

from features.engine.prepared import Prepared, named, prepare
from features.fingerprint import digest
from features.home.home import Home
from features.schema import ACCOUNTS, SUBSCRIPTIONS, TOUCHPOINTS, RawTable
from features.storage.store import Manifest
from features.windows import cutoff_day, known_from, visible_from

__all__ = ["RECORD_TABLES", "first_seen", "keep_seen", "seen"]


RECORD_TABLES = (ACCOUNTS, SUBSCRIPTIONS, TOUCHPOINTS)
"""The raw tables that features are made of beside the rollups."""

_VERSION = 2  # raise it when the way of taking fingerprints changes: cutoffs are then built again
_SHORT = 16  # hexadecimal digits that tell two states of a table apart

_Days = list[list[int]]  # [first cutoff's day, number of rows, what their hashes make together], ascending


def seen(home: Home, records: Manifest, cutoffs: Iterable[datetime], *, folder: Path) -> dict[datetime, dict[str, str]]:
    """Of each cutoff and raw table the fingerprint of the rows the cutoff sees.

    A row is seen from the first midnight ``c`` with ``occurred_at < c`` and ``known_at < c + grace`` on. What
    :func:`keep_seen` left in ``folder`` spares reading the tables.

    Raises
    ------
    EngineError
        When a file of the raw store cannot be read.
    """
    found: dict[datetime, dict[str, str]] = {cutoff: {} for cutoff in cutoffs}
    for name, days in _days(home, records, folder).items():
        firsts = [day for day, _, _ in days]
        for cutoff, prints in found.items():
            before = days[: bisect_right(firsts, cutoff_day(cutoff))]
            together = 0
            for _, _, hashes in before:
                together ^= hashes
            prints[name] = digest([_VERSION, sum(rows for _, rows, _ in before), together])[:_SHORT]
    return found


def keep_seen(home: Home, records: Manifest, *, folder: Path) -> None:
    """Read the tables that changed, and leave in ``folder`` what :func:`seen` makes fingerprints of.

    Raises
    ------
    EngineError
        When a file of the raw store cannot be read.
    OSError
        When the folder cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, days in _days(home, records, folder).items():
        content = {"made_from": _made_from(home, records, name), "content": digest(days), "days": days}
        (folder / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")  # half of it would not be believed


def _days(home: Home, records: Manifest, folder: Path) -> dict[str, _Days]:
    kept = {table.name: _kept(folder / f"{table.name}.json", home, records, table.name) for table in RECORD_TABLES}
    missing = [table for table in RECORD_TABLES if kept[table.name] is None]
    counted = _counted(home, records, missing) if missing else {}
    return {name: counted[name] if days is None else days for name, days in kept.items()}


def _kept(path: Path, home: Home, records: Manifest, name: str) -> _Days | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        is_right = content["made_from"] == _made_from(home, records, name)
        days: _Days = content["days"]
        return days if is_right and content["content"] == digest(days) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _made_from(home: Home, records: Manifest, name: str) -> str:
    return digest([_VERSION, home.settings.grace_hours, records.fingerprint(name)])


def _counted(home: Home, records: Manifest, tables: list[RawTable]) -> dict[str, _Days]:
    store = home.stores.raw
    files = {table: store.files(table.name, table.name, manifest=records) for table in tables}
    found: dict[str, _Days] = {table.name: [] for table in tables}
    if not any(files.values()):
        return found
    engine = home.engine()
    try:
        for table in filter(files.get, tables):
            engine.name_parquet(table.name, files[table], schema=table.schema)
            counted = engine.run_prepared(_prepared(table, home.settings.grace_hours))
            found[table.name] = [[row["first"], row["rows"], row["hashes"]] for row in counted.to_pylist()]
        return found
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
    row = ibis.struct({name: rows[name] for name in table.schema.names})
    marked = rows.select(first=first.fill_null(ibis.date(1970, 1, 1)).epoch_days(), row_hash=row.hash().hash())
    return (
        marked.group_by("first")
        .agg(rows=marked.count(), hashes=marked.row_hash.bit_xor())
        .select("first", "rows", "hashes")
        .order_by("first")
    )
