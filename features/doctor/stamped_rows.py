"""Mends raw rows that an ingest under a clock that was ahead has stamped with a time that has not come.

Where the file of such a row still lies in the inbox the row is taken out, and the next night takes the file once more,
as if it had never been taken. Any other row is known since the repair: nothing says more.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.home.home import Home
from features.ingest.inbox import TakenFiles, inbox_folder
from features.ingest.late_source import newest_event
from features.ingest.quarantine import QUARANTINE, keep_refused
from features.ingest.rules import CLOCK_TOLERANCE
from features.ingest.store_events import write_day
from features.schema import ACCOUNTS, EVENTS, RAW_TABLES, UTC_MICROSECONDS, RawTable
from features.storage.store import StoreWriter
from features.windows import as_cutoff, cutoff_day

__all__ = ["Ahead", "mend_events", "mend_records", "mend_tables", "tables_known_later"]


_RECORDS = [table for table in RAW_TABLES.values() if table is not EVENTS]


@dataclass(frozen=True)
class Ahead:
    """The loads of a home that say they were made at a time that had not come.

    Attributes
    ----------
    latest
        What is later than this has not come, however much clocks differ.
    loads
        When each such load says it was made, by table.
    again
        Those of them whose files all lie in the inbox as they were taken.
    names
        These files.
    """

    now: datetime
    latest: datetime
    loads: Mapping[str, Sequence[datetime]]
    again: Mapping[str, Sequence[datetime]]
    names: frozenset[str]

    @classmethod
    def of(cls, home: Home, loads: Mapping[str, Sequence[datetime]], *, now: datetime) -> "Ahead":
        """Find out which of the files can be taken once more."""
        taken, inbox = TakenFiles(home), inbox_folder(home)
        again: dict[str, list[datetime]] = {}
        names: set[str] = set()
        for table, moments in loads.items():
            for moment in moments:
                files = taken.stamped(table, moment)
                if files and all(_is_unchanged(inbox / name, content) for name, content in files.items()):
                    again.setdefault(table, []).append(moment)
                    names.update(files)
        return cls(now, now + CLOCK_TOLERANCE, loads, again, frozenset(names))

    def is_taken_again(self, table: str, known: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Whether each row comes back with its file."""
        return _is_any(known, self.again.get(table, ()))

    def is_stamped(self, table: str, known: pa.ChunkedArray) -> npt.NDArray[np.bool_]:
        """Whether each row was stamped by such a load."""
        return _is_any(known, self.loads.get(table, ()))

    def stamped_anew(self, known: pa.ChunkedArray, where: npt.NDArray[np.bool_]) -> pa.ChunkedArray:
        """The times with those of ``where`` at the clock, a microsecond apart for each load, so that order stays."""
        moments = known.cast(pa.int64()).to_numpy().copy()
        of_loads = np.unique(moments[where])
        last = int(self.now.timestamp()) * 1_000_000 + self.now.microsecond
        moments[where] = last - (len(of_loads) - 1) + np.searchsorted(of_loads, moments[where])
        return pa.chunked_array([pa.array(moments).cast(UTC_MICROSECONDS)])


def mend_events(home: Home, ahead: Ahead) -> None:
    """Take out or stamp anew the events of these loads; those dated after the clock go to quarantine."""
    store = home.stores.events
    comes_again = set(ahead.loads.get("events", ())) == set(ahead.again.get("events", ()))
    with store.writer() as days, home.stores.quarantine.writer() as refused:
        dated_later: list[pa.Table] = []
        for partition in sorted(days.partitions):
            files = store.files(partition)
            if not any(_newest_ingest(file) > ahead.now for file in files):
                continue
            rows = pa.concat_tables(pq.read_table(file, partitioning=None) for file in files)
            is_later = pc.greater(rows["event_time"], pa.scalar(ahead.latest, UTC_MICROSECONDS)).to_numpy()
            is_gone = ahead.is_taken_again("events", rows["ingested_at"]) | is_later
            if is_later.any() and not comes_again:
                dated_later.append(rows.filter(pa.array(is_later)))
            where = ahead.is_stamped("events", rows["ingested_at"]) & ~is_gone
            if where.any() or is_gone.any():
                place = rows.schema.get_field_index("ingested_at")
                anew = rows.set_column(place, "ingested_at", ahead.stamped_anew(rows["ingested_at"], where))
                _replace_day(days, partition, anew.filter(pa.array(~is_gone)))
        if dated_later:
            _refuse(home, refused, pa.concat_tables(dated_later))


def mend_records(home: Home, ahead: Ahead) -> None:
    """Take out or stamp anew the records of these loads, and say anew how far each table reaches."""
    store = home.stores.raw
    with store.writer() as writer:
        for table in _RECORDS:
            for file in store.files(table.name, table.name):
                rows = pq.read_table(file, partitioning=None)
                is_gone = ahead.is_taken_again(table.name, rows["known_at"])
                where = ahead.is_stamped(table.name, rows["known_at"]) & ~is_gone
                if table is ACCOUNTS:  # a later version is known a moment after the one it follows
                    later = pc.greater(rows["known_at"], pa.scalar(ahead.latest, UTC_MICROSECONDS)).fill_null(False)
                    where |= later.to_numpy() & ~is_gone
                if where.any() or is_gone.any():
                    place = rows.schema.get_field_index("known_at")
                    anew = rows.set_column(place, "known_at", ahead.stamped_anew(rows["known_at"], where))
                    _replace_records(writer, table, anew.filter(pa.array(~is_gone)))
        _promise_less(home, writer, ahead)


def tables_known_later(home: Home, now: datetime) -> dict[str, int]:
    """How many rows of external tables are known only after ``now``, by the partition they lie in."""
    store = home.stores.tables
    manifest, moment = store.manifest(), pa.scalar(now, UTC_MICROSECONDS)
    later: dict[str, int] = {}
    # No such row may be seen by a cutoff before today.
    for partition in (name for name in manifest.partitions if name.partition("/day=")[2] >= f"{now:%Y-%m-%d}"):
        for file in store.files(partition, manifest=manifest):
            known = pq.read_table(file, columns=["known_at"], partitioning=None)["known_at"]
            rows = pc.sum(pc.greater(known, moment)).as_py() or 0
            later |= {partition: rows} if rows else {}
    return later


def mend_tables(home: Home, ahead: Ahead) -> None:
    """Take out the rows of external tables that are not known yet; their files are looked at again."""
    store, later = home.stores.tables, tables_known_later(home, ahead.now)
    if not later:
        return
    with store.writer() as writer:
        for partition in later:
            (file,) = store.files(partition)
            rows = pq.read_table(file, partitioning=None)
            known = rows.filter(pc.less_equal(rows["known_at"], pa.scalar(ahead.now, UTC_MICROSECONDS)))
            writer.notes.get("read", {}).pop(partition.partition("/")[0], None)
            writer.remove(partition)
            if known.num_rows:
                staged = writer.scratch / partition.replace("/", "-")
                pq.write_table(known, staged, compression="zstd")
                writer.replace(partition, {"rows": staged})


def _replace_day(days: StoreWriter, partition: str, rows: pa.Table) -> None:
    if not rows.num_rows:
        days.remove(partition)
        return
    day = cutoff_day(as_cutoff(partition.removeprefix("day=")))
    days.replace(partition, {"events": write_day(rows, day, days.scratch)})


def _replace_records(writer: StoreWriter, table: RawTable, rows: pa.Table) -> None:
    if not rows.num_rows:
        writer.remove(table.name)
        return
    path = writer.scratch / f"{table.name}.parquet"
    pq.write_table(rows.cast(table.schema).combine_chunks(), path, compression="zstd")
    writer.replace(table.name, {table.name: path})


def _refuse(home: Home, writer: StoreWriter, rows: pa.Table) -> None:
    given = [json.dumps({name: value and str(value) for name, value in row.items()}) for row in rows.to_pylist()]
    count = rows.num_rows
    reasons, places = ["event_time_in_future"] * count, ["the event store"] * count
    table = pa.table([reasons, places, list(range(count)), given], schema=QUARANTINE)
    with closing(home.engine(spill=writer.scratch / "spill")) as engine:
        keep_refused(engine, home, writer, EVENTS.name, engine.name_rows("dated_later", table))


def _promise_less(home: Home, writer: StoreWriter, ahead: Ahead) -> None:
    """How far each table reaches, where it says that of a time that has not come: to the newest row that happened."""
    until: dict[str, str] = dict(writer.notes.get("complete_until", {}))
    for name, text in list(until.items()):
        if datetime.fromisoformat(text) <= ahead.latest:
            continue
        newest = newest_event(home, now=ahead.now) if name == EVENTS.name else _newest_record(writer, name, ahead.now)
        until.pop(name)
        if newest is not None:
            until[name] = newest.isoformat()
    writer.notes["complete_until"] = until


def _newest_record(writer: StoreWriter, name: str, now: datetime) -> datetime | None:
    happened = "created_at" if name == ACCOUNTS.name else "occurred_at"
    times = [
        pq.read_table(writer.store.root / name / file, columns=[happened], partitioning=None)[happened]
        for file in writer.partitions.get(name, {})
    ]
    moments = [moment for column in times for moment in column.to_pylist() if moment is not None and moment <= now]
    return max(moments, default=None)


def _newest_ingest(file: Path) -> datetime:
    """The newest ``ingested_at`` of a file, from what the file says of itself."""
    metadata = pq.read_metadata(file)
    column = metadata.schema.to_arrow_schema().get_field_index("ingested_at")
    groups = [metadata.row_group(group).column(column).statistics for group in range(metadata.num_row_groups)]
    newest: datetime = max(group.max for group in groups)
    return newest


def _is_any(known: pa.ChunkedArray, moments: Sequence[datetime]) -> npt.NDArray[np.bool_]:
    wanted = pa.array(list(moments), UTC_MICROSECONDS)
    flags: npt.NDArray[np.bool_] = pc.is_in(known, value_set=wanted).to_numpy()
    return flags


def _is_unchanged(path: Path, content: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == content
    except OSError:
        return False
