"""Takes staged events into the event store, some days at a time."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.engine import Engine
from features.manifest import ManifestStore, StoreWriter
from features.progress import Progress, silent
from features.schema import EVENTS
from features.staging import Staged
from features.versions import resolve_versions
from features.windows import DAY, cutoff_days, cutoff_of_day

__all__ = ["StoredEvents", "store_events"]

_ROWS_PER_BATCH = 1_000_000
_ROWS_PER_GROUP = 131_072
_SORTED_BY = ("account_id", "event_time", "event_id")
# A dictionary of a column whose values hardly repeat costs time and saves nothing.
_HARDLY_REPEATING = {"event_id", "event_time", "ingested_at", "latency_ms"}
_REPEATING = [name for name in EVENTS.schema.names if name not in _HARDLY_REPEATING]

_Writing = tuple[datetime, Future[Path]]  # an event day, and its file once it is written


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
    good = staged.rows.filter(lambda t: t.reason.isnull())
    per_day = good.group_by(day=cutoff_days(good.event_time)).agg(rows=good.count())
    incoming = {cutoff_of_day(row["day"]): row["rows"] for row in engine.to_arrow(per_day).to_pylist()}
    existing = {day: store.files(_partition(day)) for day in incoming}
    stored_rows = {day: sum(pq.read_metadata(path).num_rows for path in paths) for day, paths in existing.items()}
    new, done = 0, 0
    conflicts: list[Path] = []
    writing: list[_Writing] = []
    with ThreadPoolExecutor(threads) as pool:
        for days in _batches({day: rows + stored_rows[day] for day, rows in incoming.items()}):
            progress("storing events by day", done, len(incoming))
            paths = [path for day in days for path in existing[day]]
            merged = _merged(engine, good, paths, days)
            kept, lost = _resolved(engine, merged, writer.scratch / f"conflicts-{done:06d}.parquet")
            conflicts += lost
            # The days of one batch are written while the engine works on the next.
            rows = engine.to_arrow(kept.order_by("day", *_SORTED_BY))
            new += rows.num_rows - sum(stored_rows[day] for day in days)
            _finish(writing, writer)
            writing = _start_writing(pool, rows, writer.scratch)
            done += len(days)
        _finish(writing, writer)
    progress("storing events by day", len(incoming), len(incoming))
    return StoredEvents(new, tuple(conflicts), tuple(sorted(day.date() for day in incoming)))


def _partition(day: datetime) -> str:
    return f"day={day.date().isoformat()}"


def _batches(rows: Mapping[datetime, int]) -> Iterator[list[datetime]]:
    """Neighbouring days that are merged together, so that memory is bounded by rows and not by the history."""
    batch: list[datetime] = []
    total = 0
    for day in sorted(rows):
        if batch and total + rows[day] > _ROWS_PER_BATCH:
            yield batch
            batch, total = [], 0
        batch.append(day)
        total += rows[day]
    if batch:
        yield batch


def _merged(engine: Engine, good: ir.Table, stored: Sequence[Path], days: Sequence[datetime]) -> ir.Table:
    """What arrives for these days and what the store holds of them, one row each."""
    columns = EVENTS.schema.names
    arriving = good.filter(good.event_time >= days[0], good.event_time < days[-1] + DAY)
    arriving = arriving.select(*columns, "source_file", "source_row", stored=False)
    if stored:
        held = engine.read_parquet(stored, schema=EVENTS.schema)
        nowhere = {"source_file": ibis.null("string"), "source_row": ibis.null("int64")}
        arriving = arriving.union(held.select(*columns, **nowhere, stored=ibis.literal(True)))
    return arriving.mutate(day=cutoff_days(arriving.event_time), mark=arriving.event_id.hash())


def _resolved(engine: Engine, rows: ir.Table, path: Path) -> tuple[ir.Table, list[Path]]:
    """Rows that stay; versions that lost go to ``path`` as quarantine rows, if there are any."""
    columns = [*EVENTS.schema.names, "day"]
    # Most ids come once: a hash finds the others, a few too many, before whole rows are compared.
    marks = rows.group_by("mark").agg(copies=rows.count())
    repeated = engine.cache(marks.filter(marks.copies > 1).select("mark"))
    if not engine.count(repeated):
        return rows.select(columns), []
    content = [name for name in columns if name != "ingested_at"]
    several = rows.semi_join(repeated, "mark")
    versions = engine.cache(resolve_versions(several, key=("day", "event_id"), content=content, first="ingested_at"))
    losers = versions.filter(versions.place > 0)
    lost = [path] if engine.count(losers) else []
    if lost:
        given = {name: losers[name].cast("string") for name in EVENTS.schema.names}
        refused = losers.select(
            reason=ibis.literal("conflict"),
            source_file=losers.source_file.fill_null("the event store"),
            source_row=losers.source_row,
            given=ibis.struct(given).cast("json").cast("string"),
        )
        engine.write_parquet(refused, path)
    once = rows.anti_join(repeated, "mark").select(columns)
    return once.union(versions.filter(versions.place == 0).select(columns)), lost


def _start_writing(pool: Executor, rows: pa.Table, scratch: Path) -> list[_Writing]:
    """Have each day of rows sorted by day written to a file of its own."""
    days = pc.run_end_encode(rows.column("day").combine_chunks())
    ends = days.run_ends.to_pylist()
    starts = [0, *ends[:-1]]
    return [
        (cutoff_of_day(day), pool.submit(_write_day, rows.slice(start, end - start), day, scratch))
        for day, start, end in zip(days.values.to_pylist(), starts, ends, strict=True)
    ]


def _finish(writing: Sequence[_Writing], writer: StoreWriter) -> None:
    for day, path in writing:
        writer.replace(_partition(day), {"events": path.result()})


def _write_day(rows: pa.Table, day: int, scratch: Path) -> Path:
    path = scratch / f"day-{day}.parquet"
    whole = rows.select(EVENTS.schema.names).cast(EVENTS.schema).combine_chunks()
    pq.write_table(whole, path, compression="zstd", row_group_size=_ROWS_PER_GROUP, use_dictionary=_REPEATING)
    return path
