"""Reads source files once: mapped, pseudonymised, checked, and held ready for the stores to take in."""

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from features.engine import Engine, EngineError, Scan
from features.exceptions import InputError, listed
from features.progress import Progress, silent
from features.rules import NAIVE_TIME, check_rows, tidy_text
from features.schema import EVENTS, RawTable
from features.secret import pseudonym
from features.settings import Settings, SourceSettings
from features.sources.files import SourceFiles
from features.sources.mapping import MappedFile, check_expressions, check_mapping, map_columns, mappable_columns
from features.templating import Templates

__all__ = ["Staged", "stage"]

_DISTINCT_ROWS = 100_000


@dataclass(frozen=True)
class Staged:
    """Checked rows of one raw table.

    Attributes
    ----------
    rows
        One row per row of the files, good or refused, with the canonical columns, ``source_file``, ``source_row``,
        ``by_clock``, ``reason``, ``given``.
    rows_read
        How many rows the files have.
    brought
        Canonical columns that at least one file brings.
    ignored
        Columns of the files that nothing reads.
    """

    table: RawTable
    rows: ir.Table
    rows_read: int
    files: int
    brought: tuple[str, ...]
    ignored: tuple[str, ...]


def _staged_schema(table: RawTable) -> pa.Schema:
    extra = [("source_file", pa.string()), ("source_row", pa.int64()), ("by_clock", pa.bool_())]
    columns = [table.schema.field(name) for name in mappable_columns(table)]
    return pa.schema([*columns, *(pa.field(*pair) for pair in extra), ("reason", pa.string()), ("given", pa.string())])


def stage(
    engine: Engine,
    table: RawTable,
    groups: Sequence[SourceFiles],
    settings: Settings,
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
        When a file cannot be read, lacks a required column or holds only naive times.
    """
    source = settings.sources.get(table.name, SourceSettings())
    check_mapping(table, source)
    rows_read, mapped_files = 0, []
    staged_rows = engine.keep(f"staged_{table.name}", schema=_staged_schema(table))
    for number, files in enumerate(groups):
        progress(f"reading {table.name}", number, len(groups))
        scan = _opened(engine, files)
        mapped = map_columns(table, source, scan.columns, title=files.title)
        check_expressions(engine, scan, table, source, mapped, title=files.title)
        given = tidy_text(
            engine.select(scan, {name: column.expression for name, column in mapped.columns.items()}), table
        )
        try:
            with engine.in_order() if files.delimiter else nullcontext():
                hidden = _pseudonymised(engine, given, table, source, key=key)
                rows = check_rows(hidden, table, mapped.columns, now=now, backfill=backfill, title=files.title)
                rows = _identified(rows) if table is EVENTS else rows
                rows_read += engine.add(staged_rows, rows)
        except EngineError as error:
            raise _unreadable(files, error) from error
        mapped_files.append(mapped)
    progress(f"reading {table.name}", len(groups), len(groups))
    staged = _summary(table, staged_rows, rows_read, groups, mapped_files)
    _refuse_naive(engine, staged)
    return staged


def _opened(engine: Engine, files: SourceFiles) -> Scan:
    try:
        return files.scan(engine)
    except EngineError as error:
        raise _unreadable(files, error) from error


def _summary(
    table: RawTable, rows: ir.Table, rows_read: int, groups: Sequence[SourceFiles], mapped: Sequence[MappedFile]
) -> Staged:
    brought = {name for file in mapped for name in file.columns}
    ignored = sorted({name for file in mapped for name in file.ignored})
    return Staged(
        table,
        rows,
        rows_read,
        sum(len(files.paths) for files in groups),
        tuple(name for name in mappable_columns(table) if name in brought),
        tuple(ignored),
    )


def _pseudonymised(engine: Engine, given: ir.Table, table: RawTable, source: SourceSettings, *, key: bytes) -> ir.Table:
    """The rows with secrets replaced by keyed hashes and paths by templates, worked out once per distinct value."""
    # Values are looked up in the rows as they came: behind a join each look-up would run the joins before it.
    came = given
    for name in table.secret:
        if name in came.columns:
            hashes = _looked_up(engine, came, name, {"hidden": lambda value: pseudonym(key, value)})
            given = given.left_join(hashes, given[name] == hashes.value).drop(name, "value").rename({name: "hidden"})
    if table is EVENTS and "endpoint" in came.columns:
        template = Templates(source.path_patterns)

        def path_key(path: str) -> str:
            # Two paths of one template are two events; a path may name a person, so it is not kept.
            return path if template(path) == path else pseudonym(key, path)

        routes = _looked_up(engine, came, "endpoint", {"hidden": template, "path_key": path_key})
        given = given.left_join(routes, given.endpoint == routes.value).drop("endpoint", "value")
        given = given.rename(endpoint="hidden")
    return given


def _looked_up(engine: Engine, given: ir.Table, name: str, made: Mapping[str, Callable[[str], str]]) -> ir.Table:
    """Distinct values of a column beside what is made of them; one row per distinct value.

    Plain values stay in memory: what a killed ingest leaves on disk must not name anyone.
    """
    schema = pa.schema([("value", pa.string()), *((column, pa.string()) for column in made)])
    distinct = given.select(value=given[name]).filter(lambda t: t.value.notnull()).distinct()
    values = [value for batch in engine.batches(distinct, rows=_DISTINCT_ROWS) for value in batch[0].to_pylist()]
    columns = [values, *([make(value) for value in values] for make in made.values())]
    rows = pa.table([pa.array(column, pa.string()) for column in columns], schema=schema)
    return engine.name_rows(f"distinct_{name}", rows)


def _identified(rows: ir.Table) -> ir.Table:
    """Rows without an event id get one, made of all they hold but ``ingested_at``: identical rows are one event."""
    columns = ["account_id", "event_time", "path_key", "method", "status", "latency_ms"]
    columns += ["token", "user_id", "sdk", "sdk_version", "synthetic"]
    held = [rows[name].cast("string").fill_null("") for name in columns if name in rows.columns]
    identity = ibis.literal("row-") + ibis.literal("\x1f").join(held).hexdigest("md5")
    return rows.mutate(event_id=ibis.coalesce(rows.event_id, identity), synthetic=rows.synthetic.fill_null(False))


def _refuse_naive(engine: Engine, staged: Staged) -> None:
    rows = staged.rows
    by_file = rows.group_by("source_file").agg(rows=rows.count(), naive=(rows.reason == NAIVE_TIME).sum())
    naive = engine.to_arrow(by_file.filter(by_file.rows == by_file.naive).order_by("source_file")).to_pydict()
    if naive["source_file"]:
        times = [name for name in staged.brought if pa.types.is_timestamp(staged.table.schema.field(name).type)]
        place = f"[sources.{staged.table.name}.columns.{times[0]}]"
        names = [Path(name).name for name in naive["source_file"]]
        raise InputError(
            f"No row of {listed(names)} says in which time zone its times are. Say it for all of them: "
            f'time_zone = "UTC" (or "Europe/Berlin") under {place}, or write an offset behind each time. '
            "Nothing was stored."
        )


def _unreadable(files: SourceFiles, error: EngineError) -> InputError:
    """The error that names the one file of a group that cannot be read, if there is one."""
    if files.delimiter is None:
        for path in files.paths:
            try:
                with pq.ParquetFile(path) as parquet:
                    for _ in parquet.iter_batches():
                        pass
            except (OSError, pa.ArrowException) as damage:
                return InputError(f"{path} is damaged: {damage} Write it again. Nothing was stored.")
    return InputError(
        f"{listed(files.paths, limit=1)} cannot be read: {_fault(str(error))} Mend the file or the mapping. "
        "Nothing was stored."
    )


def _fault(text: str) -> str:
    """What is wrong, in our words: the engine's own text repeats the line, with every secret in it."""
    if text.startswith("Out of Memory"):
        return "The engine has too little memory. Raise memory_limit or free space under the home."
    line = re.match(r"Invalid Input Error: CSV Error on Line: (\d+)", text)
    columns = re.findall(r"Expected Number of Columns: (\d+) Found: (\d+)", text)
    if line and columns:
        expected, found = columns[-1]
        return f"Line {line[1]} has {found} columns instead of {expected}."
    if line:
        return f"Line {line[1]} is no CSV: its quotes or its encoding (UTF-8) are broken."
    return "Its values do not fit the expressions of the mapping, or its text is not UTF-8."
