"""Rows that were not stored, kept with their reason so that nothing is lost in silence."""

import hashlib
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from features.engine import Engine
from features.manifest import StoreWriter
from features.raw import quarantine_store
from features.settings import Settings

__all__ = ["QUARANTINE", "keep_refused", "read_quarantine"]

QUARANTINE = pa.schema(
    [("reason", pa.string()), ("source_file", pa.string()), ("source_row", pa.int64()), ("given", pa.string())]
)


def keep_refused(engine: Engine, writer: StoreWriter, table: str, refused: ir.Table) -> dict[str, int]:
    """Add the refused rows of one ingest; return how many there are by reason.

    ``refused`` has the columns of :data:`QUARANTINE`, one row per refused row; ``given`` is the row as JSON, with
    secrets already hashed. The same rows again are the same partition again.
    """
    path = writer.scratch / f"refused-{table}.parquet"
    ordered = refused.select(QUARANTINE.names).order_by(*QUARANTINE.names)
    with pq.ParquetWriter(path, QUARANTINE, compression="zstd") as file:
        for batch in engine.batches(ordered, rows=100_000):
            file.write_batch(batch.cast(QUARANTINE))
    counts = engine.read_parquet([path], schema=QUARANTINE)
    counts = counts.group_by("reason").agg(rows=counts.count()).order_by("reason")
    by_reason = {row["reason"]: row["rows"] for row in engine.to_arrow(counts).to_pylist()}
    if by_reason:
        writer.replace(f"{table}/rows={_content(path)}", {"refused": path})
    return by_reason


def read_quarantine(engine: Engine, settings: Settings, table: str) -> ir.Table:
    """Every refused row of one raw table, one row each; a row refused in two different ingests is there twice."""
    store = quarantine_store(settings)
    manifest = store.manifest()
    partitions = sorted(name for name in manifest.partitions if name.startswith(f"{table}/"))
    paths = [path for partition in partitions for path in store.files(partition, manifest=manifest)]
    return engine.read_parquet(paths, schema=QUARANTINE)


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
