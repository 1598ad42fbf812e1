"""Takes staged accounts, subscription events and touchpoints into the raw store."""

from dataclasses import dataclass
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow.parquet as pq

from features.engine import Engine
from features.manifest import ManifestStore, StoreWriter
from features.schema import ACCOUNTS, SUBSCRIPTIONS, RawTable
from features.staging import Staged
from features.versions import resolve_versions

__all__ = ["StoredRecords", "store_records"]


@dataclass(frozen=True)
class StoredRecords:
    """What changed in one table of the raw store: rows that are new, and versions that lost."""

    new: int
    conflicts: Path


def store_records(engine: Engine, staged: Staged, store: ManifestStore, writer: StoreWriter) -> StoredRecords:
    """Merge the good staged rows into their table.

    Exact repeats are one row. Accounts are versioned by ``known_at``: of two versions known at the same moment the
    smallest hash stays, the other goes to quarantine. Subscription events keep the smallest position they ever had.
    """
    table = staged.table
    columns = table.schema.names
    paths = store.files(table.name, table.name)
    stored = engine.read_parquet(paths, schema=table.schema)
    before = sum(pq.read_metadata(path).num_rows for path in paths)
    arriving = staged.rows.filter(lambda t: t.reason.isnull())
    if table is SUBSCRIPTIONS:
        arriving = arriving.mutate(source_order=arriving.source_row)
    if table is ACCOUNTS:
        arriving = _without_known(arriving, stored)
    rows = arriving.select(*columns, "source_file", "source_row", stored=ibis.literal(False)).union(
        stored.select(
            *columns, source_file=ibis.null("string"), source_row=ibis.null("int64"), stored=ibis.literal(True)
        )
    )
    first = "source_order" if table is SUBSCRIPTIONS else None
    content = [name for name in columns if name != first]
    key = ("account_id", "known_at") if table is ACCOUNTS else tuple(content)
    versions = engine.cache(resolve_versions(rows, key=key, content=content, first=first))
    kept = versions.filter(versions.place == 0).select(columns).order_by(*content)
    lost = writer.scratch / f"conflicts-{table.name}.parquet"
    engine.write_parquet(_refused(versions.filter(versions.place > 0), table), lost)
    path = writer.scratch / f"{table.name}.parquet"
    whole = engine.to_arrow(kept).cast(table.schema).combine_chunks()
    pq.write_table(whole, path, compression="zstd")
    engine.drop(versions)
    writer.replace(table.name, {table.name: path})
    return StoredRecords(whole.num_rows - before, lost)


def _without_known(arriving: ir.Table, stored: ir.Table) -> ir.Table:
    """Account rows whose moment of learning is only the clock's say nothing new when the store holds their content."""
    attributes = [name for name in ACCOUNTS.schema.names if name != "known_at"]
    same = [arriving[name].identical_to(stored[name]) for name in attributes]
    known = arriving.filter(arriving.by_clock).semi_join(stored, same)
    return arriving.filter(~arriving.by_clock).union(arriving.filter(arriving.by_clock).difference(known))


def _refused(losers: ir.Table, table: RawTable) -> ir.Table:
    columns = table.schema.names
    given = ibis.struct({name: losers[name].cast("string") for name in columns}).cast("json").cast("string")
    return losers.select(
        reason=ibis.literal("conflict"),
        source_file=losers.source_file.fill_null("the raw store"),
        source_row=losers.source_row,
        given=given,
    )
