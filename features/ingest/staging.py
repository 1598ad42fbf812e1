"""Reads source files once: mapped, pseudonymised and checked rows, in a table of the engine until they are stored."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.engine.duckdb_engine import Engine
from features.engine.errors import EngineError
from features.engine.prepared import Prepared, named, prepare
from features.exceptions import DamagedFileError, InputError, counted, listed
from features.home.home import Home
from features.ingest.decimals import FileColumns, files_with_commas, with_decimal_commas
from features.ingest.identity import identified
from features.ingest.pseudonyms import Pseudonyms
from features.ingest.rules import IDENTITY, check_rows, tidy_text
from features.ingest.staged import Staged, refuse_naive
from features.ingest.texts import Marks, usual_texts
from features.progress import Progress, silent
from features.schema import EVENTS, RawTable
from features.settings.fields import SourceSettings
from features.sources.files import SourceFiles, TableFiles
from features.sources.hosts import host_of
from features.sources.mapping.apply import SPOILED, apply_mapping
from features.sources.mapping.cancellations import with_cancellations
from features.sources.mapping.declared import (
    HOST,
    MappedFile,
    check_expressions,
    check_mapping,
    declared_columns,
    map_columns,
    mappable_columns,
)
from features.sources.text.lines import Fault
from features.sources.text.rows import Rows
from features.windows import as_cutoff

__all__ = ["Staged", "stage"]


_GIVEN = "given_rows"
_LINE, _COPY = IDENTITY
_ROWS_AT_A_TIME = 262_144
_NAMED = 6  # faults that are told one by one, and one more to know that there are more


def stage(
    engine: Engine,
    table: RawTable,
    files: TableFiles,
    home: Home,
    *,
    key: bytes,
    now: datetime,
    backfill: bool,
    progress: Progress = silent,
) -> Staged:
    """Read every file of one raw table.

    Raises
    ------
    SettingsError
        When the mapping is wrong.
    InputError
        When a file cannot be read, lacks a required column, holds no readable line or only naive times.
    """
    source = home.settings.sources.get(table.name, SourceSettings())
    if source.decimal is None and home.settings.decimal != "auto":
        source = source.model_copy(update={"decimal": home.settings.decimal})
    check_mapping(table, source)
    hashed = [name for name, mapping in source.columns.items() if mapping.hashed]
    hide = Pseudonyms(table, key=key, path_patterns=source.path_patterns, hashed=hashed)
    paths = tuple(path for group in files.groups for path in group.paths)
    oldest, strict = as_cutoff(home.settings.oldest_event), home.settings.strict_values
    hosts = _hosts_of(paths, source)
    work = _Staging(engine, table, source, hide, paths, files.named, now, backfill, oldest, strict, hosts)
    staged = work.read_all(files, progress)
    commas = files_with_commas(work.marks, work.mapped)
    if commas:
        # Known only now, and all numbers of a file are written alike: it is read again.
        staged = replace(work, commas=commas).read_all(files, progress)
        staged = replace(staged, commas=commas)
    refuse_naive(engine, staged)
    return staged


@dataclass(frozen=True)
class _Reading:
    """What reading has come to so far: rows by file, and why a file of a folder is left out."""

    rows: dict[Path, int]
    damaged: dict[Path, str]
    mapped: list[MappedFile] = field(default_factory=list)
    faults: list[tuple[Path, Fault]] = field(default_factory=list)
    empty: list[Path] = field(default_factory=list)
    open_ends: list[tuple[int, int]] = field(default_factory=list)
    told: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Staging:
    engine: Engine
    table: RawTable
    source: SourceSettings
    hide: Pseudonyms
    paths: tuple[Path, ...]
    named: frozenset[Path]
    now: datetime
    backfill: bool
    oldest: datetime
    strict: bool
    hosts: tuple[str, ...] = ()
    commas: FileColumns = field(default_factory=dict)
    marks: dict[int, Marks] = field(default_factory=dict)
    mapped: dict[int, MappedFile] = field(default_factory=dict)
    ended: Counter[int] = field(default_factory=Counter)

    def read_all(self, files: TableFiles, progress: Progress) -> Staged:
        """Take all files in."""
        staged_rows = self.engine.keep(f"staged_{self.table.name}", schema=_staged_schema(self.table))
        reading = _Reading({}, dict(files.damaged))
        self.ended.clear()
        for number, group in enumerate(files.groups):
            progress(f"reading {self.table.name}", number, len(files.groups))
            reading.mapped.append(self.read(group, staged_rows, reading))
        progress(f"reading {self.table.name}", len(files.groups), len(files.groups))
        left_out = [place for place, path in enumerate(self.paths) if path in reading.damaged]
        if len(left_out) == len(self.paths):
            raise InputError(next(iter(reading.damaged.values())))
        brought = {name for file in reading.mapped for name in file.columns}
        return Staged(
            self.table,
            staged_rows.filter(~staged_rows.source_file.isin(left_out)) if left_out else staged_rows,
            sum(rows for path, rows in reading.rows.items() if path not in reading.damaged),
            self.paths,
            tuple(name for name in mappable_columns(self.table) if name in brought),
            tuple(sorted({name for file in reading.mapped for name in file.ignored})),
            tuple((path, fault) for path, fault in reading.faults if path not in reading.damaged),
            tuple(reading.empty),
            tuple(zip((group.title for group in files.groups), reading.mapped, strict=True)),
            all(group.is_log for group in files.groups),
            seen=self.marks,
            told=reading.told,
            ended=sum(count for place, count in self.ended.items() if place not in left_out),
            unread=files.unread,
            damaged=reading.damaged,
            hosts=self.hosts,
            open_ends=tuple(end for end in reading.open_ends if self.paths[end[0]] not in reading.damaged),
        )

    def read(self, files: SourceFiles, staged_rows: ir.Table, reading: _Reading) -> MappedFile:
        """Take files in; say what the mapping made of their columns."""
        schema = files.asked(mappable_columns(self.table), declared=declared_columns(self.source))
        mapped = map_columns(self.table, self.source, schema.names, title=files.title)
        _refuse_nested(mapped, self.table, schema, title=files.title)
        tried = check_expressions(self.engine, schema, self.table, mapped, title=files.title)
        seen: set[str] = set()
        taking = _TakingIn(self, staged_rows, mapped, title=files.title)
        for path in files.paths:
            place = self.paths.index(path)
            self.mapped[place] = mapped
            taking.read_as(with_decimal_commas(mapped, self.commas[place]) if place in self.commas else mapped)
            try:
                for rows in self._rows_of(path, files, mapped, seen, reading):
                    if len(rows.table):
                        given = self._given(rows, taking.mapped, place, tried, title=path.name)
                        reading.rows[path] += len(given) - len(rows.table)
                        taking.add(given)
                    if rows.open_end is not None:
                        reading.open_ends.append((place, rows.open_end))
                    if rows.faults:
                        self._refuse(rows.faults, place, staged_rows)
            except DamagedFileError as error:
                if path in self.named:
                    raise
                reading.damaged[path] = str(error)
        taking.finish()
        if not files.has_late_columns or files.paths[0] in {*reading.empty, *reading.damaged}:
            return mapped
        names = tuple(name for name in dict.fromkeys((*files.columns, *sorted(seen))) if name in seen)
        remapped = map_columns(self.table, self.source, names, title=files.title)
        # An object of which a part is read is not ignored.
        parts = {name[: name.index(".")] for name in remapped.reads if "." in name}
        return replace(remapped, ignored=tuple(name for name in remapped.ignored if name not in parts))

    def _rows_of(
        self, path: Path, files: SourceFiles, mapped: MappedFile, seen: set[str], reading: _Reading
    ) -> Iterator[Rows]:
        """The rows of one file, counted."""
        good, first = 0, None
        for rows in files.rows(path, mapped.reads, seen=seen):
            good += len(rows.table)
            reading.rows[path] = reading.rows.get(path, 0) + len(rows.table) + len(rows.faults)
            reading.told.update(rows.told)
            first = first or next(iter(rows.faults), None)
            reading.faults.extend((path, fault) for fault in rows.faults[: max(0, _NAMED - len(reading.faults))])
            yield rows
        if first is not None and not good:
            what = f"No line of {path} can be read; line {first.line}: {first.what}."
            raise DamagedFileError(f"{what} Write it again, or give it the ending of its format. Nothing was stored.")
        if not good:
            reading.empty.append(path)

    def _given(self, rows: Rows, mapped: MappedFile, place: int, tried: frozenset[str], *, title: str) -> pa.Table:
        """Rows as the file gives them, with canonical columns."""
        given = apply_mapping(self.engine, rows, mapped, self.table, tried=tried, title=title)
        given = given.append_column("source_file", pa.array(np.full(len(given), place, dtype=np.int32)))
        given = given.append_column("source_row", pa.array(_numbers(rows.numbers)))
        if self.hosts:
            host = pa.repeat(pa.scalar(self.hosts[place]), len(given))
            if HOST in given.column_names:
                host = pc.coalesce(pc.cast(given.column(HOST), pa.string()), host)
                given = given.drop_columns([HOST])
            given = given.append_column(HOST, host)
        if rows.identity is not None:
            given = given.append_column(_LINE, rows.identity.lines).append_column(_COPY, rows.identity.copies)
        given, ended = with_cancellations(given, title=title)
        self.ended[place] += ended
        return usual_texts(given, self.table, mapped.columns, self.marks.setdefault(place, set()))

    def prepared(self, given: pa.Schema, mapped: MappedFile, *, title: str) -> Prepared:
        """What checks given rows and has all columns of the staged ones."""
        tidy = tidy_text(named(_GIVEN, given), self.table)
        rows = check_rows(
            tidy,
            self.table,
            mapped.columns,
            now=self.now,
            backfill=self.backfill,
            oldest=self.oldest,
            strict=self.strict,
            title=title,
        )
        return prepare(identified(rows, self.hide.hide(_LINE)) if self.table is EVENTS else rows)

    def _refuse(self, faults: Sequence[Fault], place: int, staged_rows: ir.Table) -> None:
        hidden = self.hide.hide if self.table.secret else None
        refused = pa.table(
            {
                "source_row": pa.array([fault.line for fault in faults], pa.int64()),
                "reason": pa.array([fault.reason for fault in faults], pa.string()),
                "given": pa.array([fault.given(hidden) for fault in faults], pa.string()),
            }
        )
        rows = named(_GIVEN, refused.schema)
        schema = ibis.Schema.from_pyarrow(_staged_schema(self.table))
        nothing = {name: ibis.null(kind) for name, kind in schema.items() if name not in rows.columns}
        with self.engine.lent(_GIVEN, refused):
            values = {**nothing, "source_file": ibis.literal(place, "int32"), "by_clock": ibis.literal(False)}
            self.engine.add(staged_rows, prepare(rows.mutate(**values)))


class _TakingIn:
    """Gathers rows of one mapping until there are enough of them for the engine."""

    def __init__(self, staging: _Staging, staged_rows: ir.Table, mapped: MappedFile, *, title: str) -> None:
        self._staging = staging
        self._staged_rows = staged_rows
        self.mapped = mapped
        self._title = title
        self._gathered: list[pa.Table] = []
        self._prepared: tuple[pa.Schema, Prepared] | None = None

    def read_as(self, mapped: MappedFile) -> None:
        """From here on rows are of this mapping."""
        if mapped != self.mapped:
            self.finish()
            self.mapped, self._prepared = mapped, None

    def add(self, given: pa.Table) -> None:
        self._gathered.append(given)
        if sum(map(len, self._gathered)) >= _ROWS_AT_A_TIME:
            self.finish()

    def finish(self) -> None:
        if not self._gathered:
            return
        # Together they have one dictionary a column: each distinct value is worked on once.
        given = self._staging.hide(pa.concat_tables(self._gathered).unify_dictionaries())
        self._gathered = []
        if given.column(SPOILED).null_count == len(given):
            given = given.drop_columns([SPOILED])  # which each column is looked for in
        if self._prepared is None or self._prepared[0] != given.schema:
            prepared = self._staging.prepared(given.schema, self.mapped, title=self._title)
            self._prepared = (given.schema, prepared)
        engine = self._staging.engine
        try:
            with engine.lent(_GIVEN, given):
                engine.add(self._staged_rows, self._prepared[1])
        except EngineError as error:
            if error.is_about_room:
                raise
            # The engine's words would repeat the value, which may be a secret.
            raise InputError(
                f"{self._title} cannot be taken in: its values do not fit their columns. Check the types of its "
                f"columns and [sources.{self._staging.table.name}.columns]. Nothing was stored."
            ) from error


def _staged_schema(table: RawTable) -> pa.Schema:
    extra = [("source_file", pa.int32()), ("source_row", pa.int64()), ("by_clock", pa.bool_())]
    columns = [table.schema.field(name) for name in mappable_columns(table)]
    return pa.schema(
        [
            *columns,
            *(pa.field(*pair) for pair in extra),
            *(pa.field(name, pa.string()) for name in ("reason", "marks", "words", "given")),
        ]
    )


def _numbers(places: Sequence[int] | npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    if isinstance(places, range):  # NumPy would ask it for each of its numbers
        return np.arange(places.start, places.stop, dtype=np.int64)
    return np.asarray(places, dtype=np.int64)


def _hosts_of(paths: Sequence[Path], source: SourceSettings) -> tuple[str, ...]:
    """The machine that each file names; none where machines do not tell rows apart."""
    if source.distinct_files is None:
        return ()
    hosts = [host_of(path, source.distinct_files) for path in paths]
    nameless = [path for path, host in zip(paths, hosts, strict=True) if host is None]
    if nameless:
        raise InputError(
            f"{len(nameless):,} of {counted(len(paths), 'file does|files do')} not say in path or name which machine "
            f"it is of: {listed(nameless)}. Put the files of each machine into a folder with its name, or say which "
            'part of the path it is: distinct_files = "{host}/*" or "{host}-access.log" under [sources.events]. '
            "Nothing was stored."
        )
    return tuple(host for host in hosts if host is not None)


def _refuse_nested(mapped: MappedFile, table: RawTable, schema: pa.Schema, *, title: str) -> None:
    """Refuse a Parquet column of lists or structs that is to be one value."""
    for name, column in mapped.columns.items():
        if column.source is not None and pa.types.is_nested(schema.field(column.source).type):
            raise InputError(
                f"{column.source} in {title} holds lists or structs. Pick a part of it with an expression under "
                f"[sources.{table.name}.columns.{name}]. Nothing was stored."
            )
