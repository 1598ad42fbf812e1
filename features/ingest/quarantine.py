"""The quarantine store: rows that broke a rule or lost a conflict, kept with the reason."""

import hashlib
from collections.abc import Collection
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from features.engine.duckdb_engine import Engine
from features.home.home import Home
from features.storage.store import StoreWriter

__all__ = ["QUARANTINE", "forget_refused", "keep_refused", "read_quarantine"]


QUARANTINE = pa.schema(
    [("reason", pa.string()), ("source_file", pa.string()), ("source_row", pa.int64()), ("given", pa.string())]
)


def keep_refused(
    engine: Engine, home: Home, writer: StoreWriter, table: str, refused: ir.Table, *, is_log: bool = False
) -> dict[str, int]:
    """Add the refused rows of one ingest that are not there yet; return how many were refused, by reason.

    ``refused`` has the columns of :data:`QUARANTINE`, one row per refused row; ``given`` is the row as JSON, with
    secrets already hashed. A row refused again for the same reason, from the same place, is no new one; a version
    that lost is one version wherever it lies. ``is_log`` says that all rows are lines of access logs, whose files are
    renamed at each rotation: there a row is known by what it holds, and equal ones by their number in a file.
    """
    refused = engine.cache(refused.select(QUARANTINE.names))
    counts = refused.group_by("reason").agg(rows=refused.count()).order_by("reason")
    by_reason = {row["reason"]: row["rows"] for row in engine.to_arrow(counts).to_pylist()}
    if by_reason:
        known = read_quarantine(engine, home, table)
        arriving = _numbered_by_file(refused) if is_log else _several(refused)
        fresh = arriving.anti_join(_several(known, is_log=is_log), ["reason", "given", "lies", "copy"])
        path = writer.scratch / f"refused-{table}.parquet"
        if _write(engine, fresh.select(QUARANTINE.names).order_by(*QUARANTINE.names), path):
            writer.replace(f"{table}/rows={_content(path)}", {"refused": path})
    engine.drop(refused)
    return by_reason


def forget_refused(writer: StoreWriter, table: str, lines: Collection[tuple[int, str]]) -> None:
    """Let go of refused lines, by place and what is kept of them, that were only parts of lines which are whole now."""
    if not lines:
        return
    for partition in [name for name in writer.partitions if name.startswith(f"{table}/")]:
        for file in writer.store.files(partition, manifest=writer.state()):
            rows = pq.read_table(file, schema=QUARANTINE, partitioning=None)
            places = zip(rows["source_row"].to_pylist(), rows["given"].to_pylist(), strict=True)
            rest = rows.filter(pa.array([place not in lines for place in places], pa.bool_()))
            if len(rest) == len(rows):
                continue
            writer.remove(partition)
            if len(rest):
                path = writer.scratch / f"rest-{len(rest)}-{file.name}"
                pq.write_table(rest, path, compression="zstd")
                writer.replace(f"{table}/rows={_content(path)}", {"refused": path})


def _several(rows: ir.Table, *, is_log: bool = False) -> ir.Table:
    """The rows with where each lies, empty where that says nothing, and a number that tells equal ones apart."""
    place = rows.source_file + ibis.literal("\x1f") + rows.source_row.cast("string")
    is_anywhere = (rows.reason == "conflict") | ibis.literal(is_log)
    placed = rows.mutate(lies=is_anywhere.ifelse(ibis.literal(""), place))
    alike = ibis.window(group_by=["reason", "given", "lies"], order_by=["source_file", "source_row"])
    return placed.mutate(copy=ibis.row_number().over(alike))


def _numbered_by_file(rows: ir.Table) -> ir.Table:
    """Lines of logs with the number of each among the equal ones of its file; of equal numbers, one file's.

    A line that a file and its rotation both hold is one line.
    """
    is_line = rows.reason != "conflict"
    placed = rows.mutate(lies=ibis.literal(""), numbered=is_line.ifelse(rows.source_file, ibis.literal("")))
    alike = ibis.window(group_by=["reason", "given", "numbered"], order_by=["source_file", "source_row"])
    counted = placed.mutate(copy=ibis.row_number().over(alike))
    same = ibis.window(group_by=["reason", "given", "copy"], order_by=["source_file", "source_row"])
    counted = counted.mutate(file=ibis.row_number().over(same))
    return counted.filter(counted.file == 0)


def _write(engine: Engine, rows: ir.Table, path: Path) -> int:
    written = 0
    with pq.ParquetWriter(path, QUARANTINE, compression="zstd") as file:
        for batch in engine.batches(rows, rows=100_000):
            file.write_batch(batch.cast(QUARANTINE))
            written += len(batch)
    return written


def read_quarantine(engine: Engine, home: Home, table: str) -> ir.Table:
    """Every refused row of one raw table, one row each."""
    store = home.stores.quarantine
    manifest = store.manifest()
    partitions = sorted(name for name in manifest.partitions if name.startswith(f"{table}/"))
    paths = [path for partition in partitions for path in store.files(partition, manifest=manifest)]
    return engine.name_parquet(f"quarantined_{table}", paths, schema=QUARANTINE)


def _content(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
