"""Takes staged accounts, subscription events and touchpoints into the raw store."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from features.engine.duckdb_engine import Engine
from features.ingest.staged import Staged
from features.ingest.versions import as_refused, resolve_versions
from features.schema import ACCOUNTS, SUBSCRIPTIONS
from features.storage.store import ManifestStore, StoreWriter

__all__ = ["StoredRecords", "store_records"]


@dataclass(frozen=True)
class StoredRecords:
    """What changed in one table of the raw store: rows that are new, and versions that lost."""

    new: int
    conflicts: Path


def store_records(
    engine: Engine, staged: Staged, store: ManifestStore, writer: StoreWriter, *, now: datetime
) -> StoredRecords:
    """Merge the good staged rows into their table.

    Exact repeats are one row. Accounts are versioned by ``known_at``: of two versions known at the same moment the
    smallest hash stays, the other goes to quarantine; without ``known_at`` the newest ingest counts. Subscription
    events keep the smallest position they ever had.
    """
    table = staged.table
    columns = table.schema.names
    paths = store.files(table.name, table.name)
    stored = engine.name_parquet(f"stored_{table.name}", paths, schema=table.schema)
    before = sum(pq.read_metadata(path).num_rows for path in paths)
    arriving = staged.rows.filter(lambda t: t.reason.isnull())
    overruled = arriving.filter(ibis.literal(False))
    if table is SUBSCRIPTIONS:
        arriving = arriving.mutate(source_order=arriving.source_row)
    if table is ACCOUNTS:
        arriving, overruled = _dated(engine, arriving, stored, now)
    nowhere = {"source_file": ibis.null("int32"), "source_row": ibis.null("int64"), "by_clock": ibis.literal(False)}
    rows = arriving.select(*columns, *nowhere, stored=ibis.literal(False)).union(
        stored.select(*columns, **nowhere, stored=ibis.literal(True))
    )
    first = "source_order" if table is SUBSCRIPTIONS else None
    content = [name for name in columns if name != first]
    key = ("account_id", "known_at") if table is ACCOUNTS else tuple(content)
    versions = engine.cache(resolve_versions(rows, key=key, content=content, first=first))
    winners = versions.filter(versions.place == 0).select(columns).order_by(*content)
    lost = writer.scratch / f"conflicts-{table.name}.parquet"
    learned = "known_at" if table is ACCOUNTS else None
    losers = as_refused(versions.filter(versions.place > 0), columns, learned=learned, store="the raw store")
    if table is ACCOUNTS:
        losers = losers.union(as_refused(overruled, columns, learned=learned, store="the raw store"))
    engine.write_parquet(staged.with_names(losers), lost)
    path = writer.scratch / f"{table.name}.parquet"
    whole = engine.to_arrow(winners).cast(table.schema).combine_chunks()
    pq.write_table(whole, path, compression="zstd")
    engine.drop(versions)
    writer.replace(table.name, {table.name: path})
    return StoredRecords(whole.num_rows - before, lost)


def _dated(engine: Engine, arriving: ir.Table, stored: ir.Table, now: datetime) -> tuple[ir.Table, ir.Table]:
    """Account rows, snapshots among them dated; and the snapshots that a later row of the same files overrules.

    A file without ``known_at`` is a snapshot: of each account its last row counts, by file and line. An account
    nobody knew is taken as known from ``created_at`` on. A snapshot that says what the newest version says is nothing
    new; one that says something else was learned of now. So a later ingest overrules an earlier one, and no past row
    changes.
    """
    attributes = [name for name in ACCOUNTS.schema.names if name != "known_at"]
    dated = arriving.filter(~arriving.by_clock)
    snapshots = arriving.filter(arriving.by_clock)
    by_account = ibis.window(group_by="account_id", order_by=[ibis.desc("source_file"), ibis.desc("source_row")])
    snapshots = engine.cache(snapshots.mutate(turn=ibis.row_number().over(by_account)))
    last = snapshots.filter(snapshots.turn == 0).drop("turn")
    columns = ACCOUNTS.schema.names
    dated_versions = stored.select(columns).union(dated.select(columns))
    newest_first = [ibis.desc(dated_versions.known_at), *attributes]
    place = ibis.row_number().over(ibis.window(group_by="account_id", order_by=newest_first))
    newest = dated_versions.mutate(place=place).filter(lambda t: t.place == 0).drop("place")
    beside = last.left_join(newest, "account_id", rname="held_{name}")
    unchanged = ibis.and_(*(beside[name].identical_to(beside[f"held_{name}"]) for name in attributes[1:]))
    # A clock that went back does not bring the older version back.
    after = ibis.greatest(
        ibis.literal(now, type="timestamp('UTC', 6)"), beside.held_known_at + ibis.interval(microseconds=1)
    )
    known_at = ibis.cases(
        (beside.held_known_at.isnull(), beside.known_at), (unchanged, beside.held_known_at), else_=after
    )
    told = beside.mutate(known_at=known_at).select(arriving.columns)
    overruled = snapshots.filter(snapshots.turn > 0).drop("turn")
    for known in (last, dated_versions):
        overruled = overruled.anti_join(known, [overruled[name].identical_to(known[name]) for name in attributes])
    return dated.union(told), overruled
