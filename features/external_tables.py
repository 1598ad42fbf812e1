"""Takes external feature tables into the home: read, checked, and kept by the first cutoff that may see each row.

What was stored stays: a file that is replaced, cut short or gone takes nothing away from the past, and adds to it only
what says, by ``known_at``, that it was known then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from features.declared import ExternalTable
from features.exceptions import InputError, listed
from features.feature_sets import custom_sets
from features.manifest import Manifest, ManifestStore, StoreWriter, digest
from features.schema import UTC_MICROSECONDS
from features.settings import Settings
from features.specifications.custom import table_rows
from features.windows import first_cutoffs

__all__ = [
    "TableTaken",
    "external_schema",
    "table_files",
    "table_key",
    "table_store",
    "tables_said",
    "tables_seen",
    "take_tables",
    "waiting_tables",
]

_KEYS = ("account_id", "event_timestamp", "known_at")
_FILE = "rows"
_NUMBERS = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_boolean,
    pa.types.is_decimal,
    pa.types.is_null,
)


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
    """

    name: str
    files: int
    new: int
    future: int
    changed: int

    @property
    def notes(self) -> list[str]:
        """What has to be said about it."""
        said = []
        if self.future:
            said.append(
                f"Table {self.name}: {_rows(self.future)} a known_at in the future and not used before it has come. If "
                "that is a surprise, the clock or the zone of who writes the table is wrong."
            )
        if self.changed:
            said.append(
                f"Table {self.name}: {_rows(self.changed)} other values than before under the same event_timestamp and "
                "known_at. What was known does not change: the stored ones stay. Write a correction with the known_at "
                "at which it was made."
            )
        return said


def table_store(settings: Settings) -> ManifestStore:
    """The store of the rows: partitions ``<table>/day=YYYY-MM-DD``, by the first cutoff that may see them."""
    return ManifestStore(settings.home / "tables")


def table_key(table: ExternalTable) -> str:
    """Folder of a table's rows, and the name of their table."""
    return f"table_{table_rows(table)[:16]}"


def external_schema(table: ExternalTable) -> pa.Schema:
    """Columns of the stored rows."""
    times = [("event_timestamp", UTC_MICROSECONDS), ("known_at", UTC_MICROSECONDS)]
    return pa.schema([("account_id", pa.string()), *times, *((name, pa.float64()) for name in sorted(table.columns))])


def table_files(store: ManifestStore, manifest: Manifest, key: str, *, first: date, last: date) -> list[Path]:
    """Files of one table's rows that some cutoff from ``first`` to ``last`` is the first to see."""
    begin, end = f"{key}/day={first.isoformat()}", f"{key}/day={last.isoformat()}"
    return [
        file
        for one in sorted(manifest.partitions)
        if begin <= one <= end
        for file in store.files(one, manifest=manifest)
    ]


def tables_seen(manifest: Manifest, key: str, cutoff: datetime) -> list[str | None]:
    """Fingerprints of the rows of one table that a cutoff may see."""
    begin, end = f"{key}/day=", f"{key}/day={cutoff.date().isoformat()}"
    return [manifest.fingerprint(one) for one in sorted(manifest.partitions) if begin <= one <= end]


def tables_said(settings: Settings) -> list[str]:
    """What had to be said when the tables of the settings were taken last."""
    said = table_store(settings).manifest().notes.get("said", {})
    return [sentence for table in settings.tables.values() for sentence in said.get(table_key(table), [])]


def waiting_tables(settings: Settings) -> list[tuple[str, int]]:
    """Tables of the settings whose files are not as they were taken, or hold rows that wait; and how many files."""
    read = table_store(settings).manifest().notes.get("read", {})
    found = [(name, table, _paths(settings, name, table)) for name, table in settings.tables.items()]
    return [(name, len(paths)) for name, table, paths in found if read.get(table_key(table)) != _state(settings, paths)]


def take_tables(settings: Settings, *, now: datetime) -> list[TableTaken]:
    """Read the files of every external table, of today and of the sets that champions read, and store what is new.

    Raises
    ------
    InputError
        When no file of a table is there, or one cannot be used: the file, the column and the first rows are named.
        The other tables are taken.
    LockHeldError
        When another process is doing so.
    """
    named = {
        table_key(one): (name, one)
        for several in custom_sets(settings).values()
        for name, one in several.tables.items()
    }
    store = table_store(settings)
    if not named:
        return []
    taken, refused = [], []
    with store.writer() as writer:
        there = store.manifest()
        for key, (name, table) in sorted(named.items()):
            try:
                taken.append(_take(settings, writer, there, key, name, table, now=now))
            except InputError as error:  # one bad table must not keep the others out
                refused.append(str(error))
    if refused:
        raise InputError(" ".join(refused))
    return taken


def _take(
    settings: Settings,
    writer: StoreWriter,
    there: Manifest,
    key: str,
    name: str,
    table: ExternalTable,
    *,
    now: datetime,
) -> TableTaken:
    paths = _paths(settings, name, table)
    state = _state(settings, paths)
    read, said = writer.notes.setdefault("read", {}), writer.notes.setdefault("said", {})
    if read.get(key) == state:
        return TableTaken(name, len(paths), 0, 0, 0)
    schema = external_schema(table)
    rows = pa.concat_tables([_read(path, name, schema) for path in paths])
    is_known = pc.less_equal(rows["known_at"], pa.scalar(now, UTC_MICROSECONDS))
    future = rows.num_rows - (pc.sum(is_known).as_py() or 0)
    rows = _once(rows.filter(is_known), name)
    mine = [one for one in there.partitions if one.startswith(f"{key}/")]
    store = table_store(settings)
    stored = pa.concat_tables(
        [
            schema.empty_table(),
            *(pq.read_table(file, partitioning=None) for one in mine for file in store.files(one, manifest=there)),
        ]
    )
    fresh, changed = _unlike(rows.drop(["file", "row"]), stored)
    together = pa.concat_tables([stored, fresh]).sort_by([(key_, "ascending") for key_ in _KEYS])
    days = first_cutoffs(together["event_timestamp"], together["known_at"], grace_hours=settings.grace_hours)
    for one in mine:
        writer.remove(one)
    for day in pc.unique(days).to_pylist():
        staged = writer.scratch / f"{key}-{day.isoformat()}"
        pq.write_table(together.filter(pc.equal(days, day)).combine_chunks(), staged, compression="zstd")
        writer.replace(f"{key}/day={day.isoformat()}", {_FILE: staged})
    if not future:  # what is not known yet is looked for again
        read[key] = state
    else:
        read.pop(key, None)
    taken = TableTaken(name, len(paths), fresh.num_rows, future, changed)
    said[key] = taken.notes
    return taken


def _state(settings: Settings, paths: Sequence[Path]) -> str:
    """What a table's files are now, without reading them."""
    found = [(path, path.stat()) for path in paths]
    return digest([settings.grace_hours, [(str(path), about.st_size, about.st_mtime_ns) for path, about in found]])


def _paths(settings: Settings, name: str, table: ExternalTable) -> list[Path]:
    place = settings.home / Path(table.path).expanduser()
    if place.is_dir():
        found = sorted(place.glob("*.parquet"))
    else:
        anchor = Path(place.anchor)
        found = sorted(path for path in anchor.glob(str(place.relative_to(anchor))) if path.is_file())
    if not found:
        remedy = f"or mend or remove [tables.{name}] in bellwether.toml."
        if settings.tables.get(name) != table:
            remedy = "or promote a model that does without: a champion reads the table as it was declared before."
        raise InputError(
            f"No file of the external table {name} is there: {place}. Put its Parquet files there, {remedy}"
        )
    return found


def _read(path: Path, name: str, schema: pa.Schema) -> pa.Table:
    """The rows of one file in our types, with where they lie: ``file`` and ``row``, counted from 1."""
    where = f"{path} of the external table {name}"
    try:
        given = pq.read_table(path, partitioning=None)
    except (OSError, pa.ArrowInvalid) as error:
        raise InputError(f"{where} cannot be read as Parquet: {error}. Write it again.") from error
    missing = [column for column in schema.names if column not in given.column_names]
    if missing:
        raise InputError(
            f"{where} has no column {listed(missing)}; it has {listed(given.column_names, limit=20)}. "
            "Write the file with it, or declare the columns there are."
        )
    columns = {field.name: _column(given[field.name], field, where) for field in schema}
    for key in _KEYS:
        _refuse_rows(pc.is_null(columns[key]), f"{where} has no {key}", "Every row needs one.")
    for field in schema:
        if pa.types.is_floating(field.type):
            infinite = pc.fill_null(pc.is_inf(columns[field.name]), False)
            _refuse_rows(infinite, f"{where} has an infinite {field.name}", "Leave it null where it says nothing.")
    return (
        pa.table(columns)
        .append_column("file", pa.array([str(path)] * given.num_rows, pa.string()))
        .append_column("row", pa.array(np.arange(1, given.num_rows + 1)))
    )


def _column(values: pa.ChunkedArray, field: pa.Field, where: str) -> pa.ChunkedArray:
    """One column in our type: times to the microsecond in UTC, numbers as double with null for what is no number."""
    given = values.type
    if pa.types.is_timestamp(field.type):
        if not pa.types.is_timestamp(given) or given.tz is None:
            raise InputError(
                f"The column {field.name} of {where} holds {given}, not times with a zone. A time without a zone is a "
                "guess: write timestamps in UTC."
            )
        return values.cast(field.type, safe=False)
    if pa.types.is_string(field.type):
        if not (pa.types.is_string(given) or pa.types.is_large_string(given) or pa.types.is_integer(given)):
            raise InputError(f"The column {field.name} of {where} holds {given}, not text. Write account ids as text.")
        return values.cast(field.type)
    if not any(is_number(given) for is_number in _NUMBERS):
        raise InputError(
            f"The column {field.name} of {where} holds {given}, and a feature is a number. Write it as a number, "
            "or leave it out of the table's columns."
        )
    numbers = (values.cast(pa.int8()) if pa.types.is_boolean(given) else values).cast(field.type, safe=False)
    return pc.if_else(pc.is_nan(numbers), pa.scalar(None, field.type), numbers)


def _refuse_rows(wrong: pa.ChunkedArray, what: str, remedy: str) -> None:
    rows = np.flatnonzero(wrong.to_numpy(zero_copy_only=False)) + 1
    if len(rows):
        number = "1 row" if len(rows) == 1 else f"{len(rows)} rows"
        raise InputError(f"{number} of {what}: row {listed(rows)}. {remedy}")


def _once(rows: pa.Table, name: str) -> pa.Table:
    """Each row once.

    Raises
    ------
    InputError
        When two rows of one account and the same times differ.
    """
    values = [column for column in rows.column_names if column not in ("file", "row")]
    first = rows.group_by(values, use_threads=False).aggregate([("file", "first"), ("row", "first")])
    first = first.rename_columns([column.removesuffix("_first") for column in first.column_names])
    counted = first.group_by(list(_KEYS)).aggregate([([], "count_all")])
    twice = counted.filter(pc.greater(counted["count_all"], 1))
    if twice.num_rows:
        account, moment, known = (twice[key][0].as_py() for key in _KEYS)
        both = first.filter(
            pc.and_(
                pc.equal(first["account_id"], account),
                pc.and_(pc.equal(first["event_timestamp"], moment), pc.equal(first["known_at"], known)),
            )
        ).to_pylist()
        places = listed(f"{Path(one['file']).name} row {one['row']}" for one in both)
        raise InputError(
            f"The external table {name} says different things of {twice.num_rows} account and time"
            f"{'' if twice.num_rows == 1 else 's'}: {account} at {moment.isoformat()}, known {known.isoformat()}, in "
            f"{places}. Leave one, or give the correction the known_at at which it was made."
        )
    return first.select(rows.column_names)


def _unlike(rows: pa.Table, stored: pa.Table) -> tuple[pa.Table, int]:
    """The rows whose account and times are not stored, and how many others differ from the stored ones."""
    if not stored.num_rows:
        return rows, 0
    held = stored.select(_KEYS).append_column("held", pa.array(np.ones(stored.num_rows, dtype=bool)))
    joined = rows.join(held, list(_KEYS), join_type="left outer")
    fresh = joined.filter(pc.is_null(joined["held"])).select(rows.column_names)
    again = rows.num_rows - fresh.num_rows
    equal = (
        pa.concat_tables([rows, stored.select(rows.column_names)])
        .group_by(rows.column_names)
        .aggregate([([], "count_all")])
    )
    same = pc.sum(pc.equal(equal["count_all"], 2)).as_py() or 0
    return fresh, again - same


def _rows(count: int) -> str:
    return "1 row has" if count == 1 else f"{count:,} rows have"
