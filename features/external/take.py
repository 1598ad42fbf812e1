"""Takes external feature tables into the home: read, checked, and kept by the first cutoff that may see each row.

What was stored stays: a file that is replaced, cut short or gone takes nothing away from the past, and adds to it only
what says, by ``known_at``, that it was known then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.definitions.declared import ExternalTable
from features.exceptions import InputError, counted, listed
from features.external.files import KEYS, find_files, once, read_files
from features.external.rows import external_schema, table_key
from features.fingerprint import digest
from features.home.home import Home
from features.paths import expanded
from features.schema import UTC_MICROSECONDS
from features.storage.manifest import Manifest
from features.storage.store import StoreWriter
from features.windows import first_cutoffs

__all__ = ["TableTaken", "TablesRefusedError", "tables_said", "take_tables", "waiting_tables"]


_FILE = "rows"
_ROWS_HAVE = "row has|rows have"


@dataclass(frozen=True)
class TableTaken:
    """What one run took of an external table.

    Attributes
    ----------
    new
        Rows that were not stored before.
    future
        Rows whose ``known_at`` lies after the clock: nobody can know them yet, so they are left where they are.
    changed
        Rows that say something else than the stored row of the same account and times; the stored one stays.
    ahead
        Rows whose ``event_timestamp`` lies after their ``known_at``, and ``ahead_of`` their accounts, ascending.
    """

    name: str
    files: int
    new: int
    future: int
    changed: int
    ahead: int = 0
    ahead_of: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """Sentences about rows that were not used."""
        sentences = []
        if self.future:
            sentences.append(
                f"Table {self.name}: {counted(self.future, _ROWS_HAVE)} a known_at in the future and not used before "
                "it has come. If that is a surprise, the clock or the zone of who writes the table is wrong."
            )
        if self.changed:
            sentences.append(
                f"Table {self.name}: {counted(self.changed, _ROWS_HAVE)} other values than before under the same "
                "event_timestamp and known_at. What was known does not change: the stored ones stay. Write a "
                "correction with the known_at at which it was made."
            )
        if self.ahead:
            sentences.append(
                f"Table {self.name}: {counted(self.ahead, _ROWS_HAVE)} an event_timestamp after known_at, of "
                f"{listed(self.ahead_of)}: they count from event_timestamp on. If they are no forecasts, the two "
                "are swapped or a zone is wrong: mend the files and give the table another path, since what was taken "
                "stays."
            )
        return sentences


class TablesRefusedError(InputError):
    """Tables that cannot be used; ``taken`` says what was taken of the others."""

    def __init__(self, message: str, taken: Sequence[TableTaken] = ()) -> None:
        super().__init__(message)
        self.taken = tuple(taken)


def tables_said(home: Home) -> list[str]:
    """Sentences about rows that were not used when the tables of the settings were taken last."""
    sentences = home.stores.tables.manifest().notes.get("said", {})
    return [sentence for table in home.settings.tables.values() for sentence in sentences.get(table_key(table), [])]


def waiting_tables(home: Home) -> list[tuple[str, int]]:
    """Tables a build takes whose files are not as they were taken, or hold rows that wait; and how many files."""
    read = home.stores.tables.manifest().notes.get("read", {})
    tables = [(key, name, _paths(home, name, table)) for key, (name, table) in _tables(home).items()]
    return [(name, len(paths)) for key, name, paths in tables if read.get(key) != _state(home, paths)]


def take_tables(home: Home, *, now: datetime) -> list[TableTaken]:
    """Read the files of every external table, of today and of the sets that champions read, and store what is new.

    Raises
    ------
    TablesRefusedError
        When no file of a table is there, or one cannot be used: the file, the column and the first rows are named.
        The other tables are taken.
    LockHeldError
        When another process is doing so.
    """
    named, store = _tables(home), home.stores.tables
    if not named:
        return []
    taken, refused = [], []
    with store.writer() as writer:
        manifest = store.manifest()
        for key, (name, table) in named.items():
            try:
                taken.append(_take(home, writer, manifest, key, name, table, now=now))
            except InputError as error:  # one bad table must not keep the others out
                refused.append(str(error))
    if refused:
        raise TablesRefusedError(" ".join(refused), taken)
    return taken


def _tables(home: Home) -> dict[str, tuple[str, ExternalTable]]:
    """Name and declaration of every table that is taken, of today and of the sets that champions read, by its key."""
    sets = home.feature_sets.values()
    named = {table_key(declared): (name, declared) for several in sets for name, declared in several.tables.items()}
    return {key: named[key] for key in sorted(named)}


def _take(
    home: Home,
    writer: StoreWriter,
    manifest: Manifest,
    key: str,
    name: str,
    table: ExternalTable,
    *,
    now: datetime,
) -> TableTaken:
    paths = _paths(home, name, table)
    state = _state(home, paths)
    read, sentences = writer.notes.setdefault("read", {}), writer.notes.setdefault("said", {})
    if read.get(key) == state:
        return TableTaken(name, len(paths), 0, 0, 0)
    schema = external_schema(table)
    rows = read_files(paths, name, schema)
    is_known = pc.less_equal(rows["known_at"], pa.scalar(now, UTC_MICROSECONDS))
    future = rows.num_rows - (pc.sum(is_known).as_py() or 0)
    rows = once(rows.filter(is_known), name)
    mine = [partition for partition in manifest.partitions if partition.startswith(f"{key}/")]
    store = home.stores.tables
    stored = pa.concat_tables(
        [
            schema.empty_table(),
            *(
                pq.read_table(file, partitioning=None)
                for partition in mine
                for file in store.files(partition, manifest=manifest)
            ),
        ]
    )
    fresh, changed = _unlike(rows, stored)
    together = pa.concat_tables([stored, fresh]).sort_by([(key_, "ascending") for key_ in KEYS])
    days = first_cutoffs(together["event_timestamp"], together["known_at"], grace_hours=home.settings.grace_hours)
    for partition in mine:
        writer.remove(partition)
    for day in pc.unique(days).to_pylist():
        staged = writer.scratch / f"{key}-{day.isoformat()}"
        pq.write_table(together.filter(pc.equal(days, day)).combine_chunks(), staged, compression="zstd")
        writer.replace(f"{key}/day={day.isoformat()}", {_FILE: staged})
    if not future:  # what is not known yet is looked for again
        read[key] = state
    else:
        read.pop(key, None)
    ahead = rows.filter(pc.greater(rows["event_timestamp"], rows["known_at"]))
    accounts = tuple(sorted(pc.unique(ahead["account_id"]).to_pylist()))
    taken = TableTaken(name, len(paths), fresh.num_rows, future, changed, ahead.num_rows, accounts)
    sentences[key] = taken.notes
    return taken


def _paths(home: Home, name: str, table: ExternalTable) -> list[Path]:
    place = home.root / expanded(Path(table.path))
    files = find_files(place)
    if not files:
        today = home.settings.tables.get(name)
        remedy = f"or mend or remove [tables.{name}] in bellwether.toml."
        if today is None or table_key(today) != table_key(table):
            remedy = "or promote a model that does without: a champion reads the table as it was declared before."
        raise InputError(
            f"No file of the external table {name} is there: {place}. Put its Parquet files there, {remedy}"
        )
    return files


def _state(home: Home, paths: Sequence[Path]) -> str:
    """What a table's files are now, without reading them."""
    files = [(path, path.stat()) for path in paths]
    return digest([home.settings.grace_hours, [(str(path), about.st_size, about.st_mtime_ns) for path, about in files]])


def _unlike(rows: pa.Table, stored: pa.Table) -> tuple[pa.Table, int]:
    """The rows whose account and times are not stored, and how many others differ from the stored ones."""
    if not stored.num_rows:
        return rows, 0
    known = stored.select(KEYS).append_column("_is_stored", pa.array(np.ones(stored.num_rows, dtype=bool)))
    joined = rows.join(known, list(KEYS), join_type="left outer")
    fresh = joined.filter(pc.is_null(joined["_is_stored"])).select(rows.column_names)
    again = rows.num_rows - fresh.num_rows
    both = pa.concat_tables([rows, stored.select(rows.column_names)])
    same = both.num_rows - both.group_by(rows.column_names).aggregate([]).num_rows  # neither says a row twice
    return fresh, again - same
