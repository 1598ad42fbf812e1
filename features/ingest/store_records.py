"""Takes staged accounts, subscription events and touchpoints into the raw store."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.engine.duckdb_engine import Engine
from features.ingest.deliveries import without_overruled
from features.ingest.known_since import known_since
from features.ingest.staged import Staged
from features.ingest.versions import as_refused, resolve_versions
from features.schema import ACCOUNTS, SUBSCRIPTIONS, UTC_MICROSECONDS, RawTable
from features.storage.store import ManifestStore, StoreWriter

__all__ = ["StoredRecords", "store_records"]


@dataclass(frozen=True)
class StoredRecords:
    """What changed in one table of the raw store.

    Attributes
    ----------
    new
        Rows that were not stored before.
    corrections
        Those of them that say something else than a stored row did.
    first_heard
        Others of them that do not say when they became known.
    conflicts
        Versions that lost.
    known_until
        Newest ``known_at`` of the new rows that does not lie in the future, with ``backfill`` before its clock; None
        where there is none.
    """

    new: int
    corrections: int
    first_heard: int
    conflicts: Path
    known_until: datetime | None


def store_records(
    engine: Engine, staged: Staged, store: ManifestStore, writer: StoreWriter, *, now: datetime, backfill: bool
) -> StoredRecords:
    """Merge the good staged rows into their table.

    Exact repeats are one row. Accounts are versioned by ``known_at``: of two versions known at the same moment the
    smallest hash stays, the other goes to quarantine. Subscription events keep the smallest position they had when
    they became known. Of what several exports say otherwise the last counts, the others go to quarantine: see
    :mod:`features.ingest.deliveries`. Since when a row is known that does not say it:
    see :mod:`features.ingest.known_since`.
    """
    table = staged.table
    columns = table.schema.names
    paths = store.files(table.name, table.name)
    stored = engine.name_parquet(f"stored_{table.name}", paths, schema=table.schema, absent_as_null=table.added)
    arriving = staged.rows.filter(lambda t: t.reason.isnull())
    if table is SUBSCRIPTIONS:
        arriving = arriving.mutate(source_order=arriving.source_row)
    arriving = arriving.select(*columns, "source_file", "source_row", "by_clock", stored=ibis.literal(False))
    overruled = None
    if table is not ACCOUNTS:
        arriving, overruled = without_overruled(engine, arriving, table)
    dated = known_since(engine, arriving, stored.mutate(stored=ibis.literal(True)), table, now=now, overruled=overruled)
    versions = engine.cache(_versions(dated.rows.union(dated.stored), table))
    rows = versions.filter(versions.place == 0)
    learned_at = engine.to_arrow(rows.filter(~rows.stored).select("known_at"))["known_at"]
    lost = writer.scratch / f"conflicts-{table.name}.parquet"
    learned = "known_at" if table is ACCOUNTS else None
    losers = as_refused(versions.filter(versions.place > 0), columns, learned=learned, store="the raw store")
    losers = losers.union(as_refused(dated.overruled, columns, learned="known_at", store="the raw store"))
    engine.write_parquet(staged.with_names(losers), lost)
    path = writer.scratch / f"{table.name}.parquet"
    ordered = rows.select(columns).order_by(*(name for name in columns if name != "source_order"))
    pq.write_table(engine.to_arrow(ordered).cast(table.schema).combine_chunks(), path, compression="zstd")
    engine.drop(versions)
    writer.replace(table.name, {table.name: path})
    # The clock of a backfill says nothing of how far a history got.
    is_past = (pc.less if backfill else pc.less_equal)(learned_at, pa.scalar(now, UTC_MICROSECONDS))
    known_until = pc.max(learned_at.filter(is_past)).as_py()
    return StoredRecords(len(learned_at), dated.corrections, dated.first_heard, lost, known_until)


def _versions(rows: ir.Table, table: RawTable) -> ir.Table:
    """Rows of one content put together: see :func:`features.ingest.versions.resolve_versions`."""
    first = "source_order" if table is SUBSCRIPTIONS else None
    content = [name for name in table.schema.names if name != first]
    key = ("account_id", "known_at") if table is ACCOUNTS else tuple(content)
    return resolve_versions(rows, key=key, content=content, first=first)
