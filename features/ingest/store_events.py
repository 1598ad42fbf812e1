"""Takes staged events into the event store, some days at a time."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.engine.duckdb_engine import Engine
from features.ingest.collapsed import Collapsed, collapsed_rows
from features.ingest.identity import MADE_ID, name_machines, plain_id, with_machines
from features.ingest.staged import Staged
from features.ingest.versions import as_refused, resolve_versions
from features.progress import Progress, silent
from features.schema import EVENTS
from features.storage.store import ManifestStore, StoreWriter
from features.windows import DAY, as_cutoff, cutoff_day, cutoff_days, cutoff_of_day

__all__ = ["StoredEvents", "in_store_order", "store_events", "write_day"]


_ROWS_PER_BATCH = 1_000_000
_ROWS_PER_GROUP = 131_072
_DAY_MICROSECONDS = 24 * 3600 * 1_000_000
# A dictionary of a column whose values hardly repeat costs time and saves nothing.
_HARDLY_REPEATING = {"event_id", "event_time", "ingested_at", "latency_ms"}
_REPEATING = [name for name in EVENTS.schema.names if name not in _HARDLY_REPEATING]

_Writing = tuple[datetime, Future[Path]]  # an event day, and its file once it is written


@dataclass(frozen=True)
class StoredEvents:
    """What changed in the event store: events that are new, versions that lost, and the days that were touched.

    ``collapsed`` are the rows without an id that were equal to others.
    """

    new: int
    conflicts: tuple[Path, ...]
    days: tuple[date, ...]
    collapsed: Collapsed


def store_events(
    engine: Engine,
    staged: Staged,
    store: ManifestStore,
    writer: StoreWriter,
    *,
    withdrawn: Collection[tuple[str, date]] = (),
    threads: int = 1,
    progress: Progress = silent,
) -> StoredEvents:
    """Merge the good staged rows into their days.

    An event id is unique in its day. Of identical rows the earliest ``ingested_at`` stays; of two versions of one
    event the smallest (``ingested_at``, hash of the row) stays, whichever file came first. An id that was made of the
    row has two versions only when the mapping changed: what is stored stays, and the other is a duplicate. Every
    touched day is written anew, sorted, so that equal events are equal bytes. Stored events whose id and day
    are ``withdrawn`` leave the store.
    """
    good = staged.rows.filter(lambda t: t.reason.isnull())
    per_day = good.group_by(day=cutoff_days(good.event_time)).agg(rows=good.count())
    incoming = {cutoff_of_day(row["day"]): row["rows"] for row in engine.to_arrow(per_day).to_pylist()}
    incoming = {as_cutoff(day): 0 for _, day in withdrawn} | incoming
    existing = {day: store.files(_partition(day)) for day in incoming}
    stored_rows = {day: sum(pq.read_metadata(path).num_rows for path in paths) for day, paths in existing.items()}
    if withdrawn:
        stored_rows = {day: engine.count(_stored(engine, paths, withdrawn)) for day, paths in existing.items()}
    new, done, collapsed = 0, 0, Collapsed()
    conflicts: list[Path] = []
    writing: list[_Writing] = []
    with ThreadPoolExecutor(threads) as pool:
        for days in _batches({day: rows + stored_rows[day] for day, rows in incoming.items()}):
            progress("storing events by day", done, len(incoming))
            paths = [path for day in days for path in existing[day]]
            rows = engine.to_arrow(_merged(engine, good, paths, days, withdrawn))
            rows, places, lost, equal = _resolved(
                engine, rows, staged, writer.scratch / f"conflicts-{done:06d}.parquet"
            )
            conflicts += lost
            collapsed += equal
            new += len(places) - sum(stored_rows[day] for day in days)
            ordered = in_store_order(rows, places)
            # The days of one batch are written while the engine works on the next.
            _finish(writing, writer)
            writing = _start_writing(pool, ordered, writer.scratch)
            for day in {day for day in days if existing[day]} - {day for day, _ in writing}:
                writer.remove(_partition(day))  # all of it was withdrawn
            done += len(days)
        _finish(writing, writer)
    progress("storing events by day", len(incoming), len(incoming))
    return StoredEvents(new, tuple(conflicts), tuple(sorted(day.date() for day in incoming)), collapsed)


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


def _stored(engine: Engine, paths: Sequence[Path], withdrawn: Collection[tuple[str, date]]) -> ir.Table:
    events = engine.read_parquet(paths, schema=EVENTS.schema)
    for event_id, day in sorted(withdrawn):
        events = events.filter(
            (events.event_id != event_id) | (cutoff_days(events.event_time) != cutoff_day(as_cutoff(day)))
        )
    return events


def _merged(
    engine: Engine,
    good: ir.Table,
    stored: Sequence[Path],
    days: Sequence[datetime],
    withdrawn: Collection[tuple[str, date]],
) -> ir.Table:
    """What arrives for these days and what the store holds of them, one row each."""
    columns = EVENTS.schema.names
    arriving = good.filter(good.event_time >= days[0], good.event_time < days[-1] + DAY)
    arriving = arriving.select(*columns, "source_file", "source_row", "by_clock", stored=False)
    if stored:
        stored_events = _stored(engine, stored, withdrawn)
        nowhere = {"source_file": ibis.null("int32"), "source_row": ibis.null("int64"), "by_clock": ibis.literal(False)}
        arriving = arriving.union(stored_events.select(*columns, **nowhere, stored=ibis.literal(True)))
    return arriving.mutate(day=cutoff_days(arriving.event_time), mark=plain_id(arriving.event_id).hash())


def _resolved(
    engine: Engine, rows: pa.Table, staged: Staged, path: Path
) -> tuple[pa.Table, npt.NDArray[np.int64], list[Path], Collapsed]:
    """Events, and the places of those that stay; versions that lost go to ``path`` as quarantine rows, if any did."""
    columns = EVENTS.schema.names
    # Most ids come once: a hash finds the others, a few too many, before whole rows are compared.
    marks = rows.column("mark").to_numpy()
    ordered = np.sort(marks)
    repeated = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
    if not len(repeated):
        return rows.select(columns), np.arange(len(rows)), [], Collapsed()
    is_repeated = repeated[np.minimum(np.searchsorted(repeated, marks), len(repeated) - 1)] == marks
    several_rows = rows.take(pa.array(np.flatnonzero(is_repeated)))
    several = engine.name_rows("events_several", several_rows)
    ids = several_rows.column("event_id")
    collapsed = collapsed_rows(engine, several, ids)
    if name_machines(ids):
        several = with_machines(several)
    content = [name for name in columns if name != "ingested_at"]
    key = ("event_id", "day")
    versions = engine.cache(
        resolve_versions(several, key=key, content=[*content, "day"], first="ingested_at", made_id=MADE_ID)
    )
    losers = versions.filter(versions.place > 0, ~versions.event_id.re_search(MADE_ID))
    lost = [path] if engine.count(losers) else []
    if lost:
        refused = as_refused(losers, columns, learned="ingested_at", store="the event store")
        engine.write_parquet(staged.with_names(refused), path)
    stayed = engine.to_arrow(versions.filter(versions.place == 0).select(columns))
    engine.drop(versions)
    together = pa.concat_tables([rows.select(columns).cast(EVENTS.schema), stayed.cast(EVENTS.schema)])
    return together, np.append(np.flatnonzero(~is_repeated), np.arange(len(rows), len(together))), lost, collapsed


def in_store_order(rows: pa.Table, places: npt.NDArray[np.int64]) -> pa.Table:
    """The kept events by day, account, time and id: the one order of equal events, whatever order they came in."""
    rows = rows.combine_chunks()
    times = rows.column("event_time").cast(pa.int64()).to_numpy()
    accounts = rows.column("account_id").combine_chunks().dictionary_encode()
    names = pc.array_sort_indices(accounts.dictionary).to_numpy()
    rank = np.empty(len(names), dtype=np.int64)
    rank[names] = np.arange(len(names))
    # Four columns become two numbers, mostly even one; ids are compared only where those are equal.
    group = times // _DAY_MICROSECONDS * len(names) + rank[accounts.indices.to_numpy()]
    order = places[_by_group_and_time(group[places], times[places])]
    groups, moments = group[order], times[order]
    same = (groups[1:] == groups[:-1]) & (moments[1:] == moments[:-1])
    if same.any():
        tied = np.flatnonzero(np.append(same, False) | np.insert(same, 0, False))
        ids = rows.column("event_id").take(pa.array(order[tied]))
        ties = pa.table({"group": groups[tied], "time": moments[tied], "id": ids})
        by = pc.sort_indices(ties, sort_keys=[(name, "ascending") for name in ties.column_names])
        order[tied] = order[tied][by.to_numpy()]
    return rows.take(pa.array(order))


def _by_group_and_time(group: npt.NDArray[np.int64], times: npt.NDArray[np.int64]) -> npt.NDArray[np.intp]:
    """The order by group, and by time in a group of one day."""
    if len(group):
        group = group - group.min()
        if int(group.max()) < np.iinfo(np.int64).max // _DAY_MICROSECONDS:
            return np.argsort(group * _DAY_MICROSECONDS + times % _DAY_MICROSECONDS, kind="stable")
    return np.lexsort((times, group))


def _start_writing(pool: Executor, rows: pa.Table, scratch: Path) -> list[_Writing]:
    """Have each day of rows sorted by day written to a file of its own."""
    days = rows.column("event_time").cast(pa.int64()).to_numpy() // _DAY_MICROSECONDS
    starts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist()] if len(days) else []
    ends = [*starts[1:], len(days)]
    return [
        (
            cutoff_of_day(int(days[start])),
            pool.submit(write_day, rows.slice(start, end - start), int(days[start]), scratch),
        )
        for start, end in zip(starts, ends, strict=True)
    ]


def _finish(writing: Sequence[_Writing], writer: StoreWriter) -> None:
    for day, path in writing:
        writer.replace(_partition(day), {"events": path.result()})


def write_day(rows: pa.Table, day: int, scratch: Path) -> Path:
    """Write the file of one event day, given as days since 1970, of rows in the order of the store."""
    path = scratch / f"day-{day}.parquet"
    whole = rows.select(EVENTS.schema.names).cast(EVENTS.schema).combine_chunks()
    pq.write_table(whole, path, compression="zstd", row_group_size=_ROWS_PER_GROUP, use_dictionary=_REPEATING)
    return path
