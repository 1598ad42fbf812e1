"""Takes staged events into the event store, some days at a time."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from features.engine import Engine
from features.manifest import ManifestStore, StoreWriter
from features.progress import Progress, silent
from features.schema import EVENTS
from features.staging import Staged
from features.versions import resolve_versions

__all__ = ["StoredEvents", "store_events"]

_ROWS_PER_BATCH = 1_500_000
_ROWS_PER_GROUP = 131_072
_SORTED_BY = ("account_id", "event_time", "event_id")
# A dictionary of a column whose values hardly repeat costs time and saves nothing.
_HARDLY_REPEATING = {"event_id", "event_time", "ingested_at", "latency_ms"}
_REPEATING = [name for name in EVENTS.schema.names if name not in _HARDLY_REPEATING]


@dataclass(frozen=True)
class StoredEvents:
    """What changed in the event store: events that are new, versions that lost, and the days that were touched."""

    new: int
    conflicts: tuple[Path, ...]
    days: tuple[date, ...]


def store_events(
    engine: Engine,
    staged: Staged,
    store: ManifestStore,
    writer: StoreWriter,
    *,
    threads: int = 1,
    progress: Progress = silent,
) -> StoredEvents:
    """Merge the good staged rows into their days.

    An event id is unique in its day. Of identical rows the earliest ``ingested_at`` stays; of two versions of one
    event the smallest (``ingested_at``, hash of the row) stays, whichever file came first. Every touched day is
    written anew, sorted, so that equal events are equal bytes.
    """
    good = staged.rows(engine).filter(lambda t: t.reason.isnull())
    per_day = good.group_by(day=good.event_time.date()).agg(rows=good.count()).order_by("day")
    incoming = {row["day"]: row["rows"] for row in engine.to_arrow(per_day).to_pylist()}
    existing = {day: store.files(_partition(day)) for day in incoming}
    stored_rows = {day: sum(pq.read_metadata(path).num_rows for path in paths) for day, paths in existing.items()}
    new, conflicts, done = 0, [], 0
    for days in _batches({day: rows + stored_rows[day] for day, rows in incoming.items()}):
        progress("storing events by day", done, len(incoming))
        paths = [path for day in days for path in existing[day]]
        merged = _merged(good, engine.read_parquet(paths, schema=EVENTS.schema), days)
        # Most ids come once: a hash finds the others, a few too many, before whole rows are compared.
        marks = merged.group_by(mark=merged.event_id.hash()).agg(copies=merged.count())
        repeated = engine.cache(marks.filter(marks.copies > 1).select("mark"))
        lost = writer.scratch / f"conflicts-{done:06d}.parquet"
        kept, losers = _resolved(merged, repeated)
        engine.write_parquet(losers, lost)
        written = _write_days(engine, kept, writer, threads=threads)
        engine.drop(repeated)
        new += written - sum(stored_rows[day] for day in days)
        conflicts.append(lost)
        done += len(days)
    progress("storing events by day", len(incoming), len(incoming))
    return StoredEvents(new, tuple(conflicts), tuple(sorted(incoming)))


def _partition(day: date) -> str:
    return f"day={day.isoformat()}"


def _batches(rows: Mapping[date, int]) -> Iterator[list[date]]:
    """Neighbouring days that are merged together, so that memory is bounded by rows and not by the history."""
    batch: list[date] = []
    total = 0
    for day in sorted(rows):
        if batch and total + rows[day] > _ROWS_PER_BATCH:
            yield batch
            batch, total = [], 0
        batch.append(day)
        total += rows[day]
    if batch:
        yield batch


def _merged(good: ir.Table, stored: ir.Table, days: Sequence[date]) -> ir.Table:
    columns = EVENTS.schema.names
    day = good.event_time.date()
    arriving = good.filter(day >= days[0], day <= days[-1]).select(*columns, "source_file", "source_row", stored=False)
    kept = stored.select(
        *columns, source_file=ibis.null("string"), source_row=ibis.null("int64"), stored=ibis.literal(True)
    )
    return arriving.union(kept)


def _resolved(rows: ir.Table, repeated: ir.Table) -> tuple[ir.Table, ir.Table]:
    """Rows that stay, and versions that lost as quarantine rows; ``repeated`` marks the ids that may come twice."""
    marked = rows.mutate(day=rows.event_time.date(), mark=rows.event_id.hash())
    once = marked.anti_join(repeated, "mark")
    content = [name for name in EVENTS.schema.names if name != "ingested_at"]
    versions = resolve_versions(
        marked.semi_join(repeated, "mark"), key=("day", "event_id"), content=[*content, "day"], first="ingested_at"
    )
    columns = EVENTS.schema.names
    kept = once.select(*columns, "day").union(versions.filter(versions.place == 0).select(*columns, "day"))
    losers = versions.filter(versions.place > 0)
    given = ibis.struct({name: losers[name].cast("string") for name in columns}).cast("json").cast("string")
    return kept, losers.select(
        reason=ibis.literal("conflict"),
        source_file=losers.source_file.fill_null("the event store"),
        source_row=losers.source_row,
        given=given,
    )


def _write_days(engine: Engine, kept: ir.Table, writer: StoreWriter, *, threads: int) -> int:
    """Write each day's rows, sorted, to a file of its own; return how many rows there are."""
    rows = 0
    waiting: dict[date, list[pa.Table]] = {}
    written: dict[date, Future[Path]] = {}
    with ThreadPoolExecutor(threads) as pool:
        for batch in engine.batches(kept.order_by("day", *_SORTED_BY), rows=_ROWS_PER_GROUP):
            table = pa.Table.from_batches([batch])
            rows += table.num_rows
            for day, part in _by_day(table):
                # A new day begins: the one before it is whole.
                for whole in [earlier for earlier in waiting if earlier != day]:
                    written[whole] = pool.submit(_write_day, waiting.pop(whole), whole, writer.scratch)
                waiting.setdefault(day, []).append(part)
        for whole, parts in waiting.items():
            written[whole] = pool.submit(_write_day, parts, whole, writer.scratch)
    for day, path in written.items():
        writer.replace(_partition(day), {"events": path.result()})
    return rows


def _by_day(table: pa.Table) -> Iterator[tuple[date, pa.Table]]:
    """The parts of a table sorted by day."""
    runs = table.column("day").combine_chunks()
    encoded = pa.compute.run_end_encode(runs)
    start = 0
    for end, day in zip(encoded.run_ends.to_pylist(), encoded.values.to_pylist(), strict=True):
        yield day, table.slice(start, end - start)
        start = end


def _write_day(parts: Sequence[pa.Table], day: date, scratch: Path) -> Path:
    path = scratch / f"{day.isoformat()}.parquet"
    whole = pa.concat_tables(parts).select(EVENTS.schema.names).cast(EVENTS.schema).combine_chunks()
    pq.write_table(whole, path, compression="zstd", row_group_size=_ROWS_PER_GROUP, use_dictionary=_REPEATING)
    return path
