"""The engine that runs Ibis expressions: the only file that names one."""

import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.types as ir
import pyarrow as pa

from features.exceptions import WorkFailedError

__all__ = [
    "Engine",
    "EngineError",
    "Prepared",
    "Scan",
    "at_zone",
    "duckdb_engine",
    "engine_failures",
    "epoch_microseconds",
    "microseconds_since_epoch",
    "named",
    "prepare",
    "spill_folder",
]


class EngineError(WorkFailedError):
    """The engine refused an expression, or could not read a file."""


@dataclass(frozen=True)
class Scan:
    """Files as they are, before any mapping.

    Attributes
    ----------
    relation
        The engine's own words for these files.
    columns
        The files' columns, in order.
    """

    relation: str
    columns: tuple[str, ...]


@dataclass(frozen=True)
class Prepared:
    """A compiled expression over named tables; made by :func:`prepare`."""

    sql: str
    schema: ibis.Schema

    def named(self, name: str) -> ir.Table:
        """The table that ``name`` stands for after :meth:`Engine.name_prepared`, for further expressions."""
        return ibis.table(self.schema, name=name)


@ibis.udf.scalar.builtin(name="timezone")  # type: ignore[untyped-decorator]
def at_zone(zone: str, moment: dt.Timestamp(scale=6)) -> dt.Timestamp(timezone="UTC", scale=6):  # type: ignore[valid-type]
    """The moment at which clocks of ``zone`` showed the naive time ``moment``."""


@ibis.udf.scalar.builtin(name="make_timestamp")  # type: ignore[untyped-decorator]
def epoch_microseconds(microseconds: int) -> dt.Timestamp(scale=6):  # type: ignore[valid-type]
    """The naive UTC time that many microseconds after 1970-01-01."""


@ibis.udf.scalar.builtin(name="epoch_us")  # type: ignore[untyped-decorator]
def microseconds_since_epoch(moment: dt.Timestamp(timezone="UTC", scale=6)) -> int:  # type: ignore[valid-type,empty-body]
    """Microseconds from 1970-01-01 to a moment; fifty times as fast as the engine's calendar."""


class Engine:
    """Runs pure Ibis expressions and writes their results; made by :func:`duckdb_engine`."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def read_parquet(self, paths: Sequence[Path], *, schema: pa.Schema) -> ir.Table:
        """A table over exactly these files, whose folder names add no column; empty of ``schema`` without files."""
        if not paths:
            return ibis.memtable(schema.empty_table())
        return self.connection.read_parquet([str(path) for path in paths], hive_partitioning=False)

    def scan_parquet(self, paths: Sequence[Path]) -> Scan:
        """Parquet files of one schema, as they are; their rows know file and position.

        Raises
        ------
        EngineError
            When one of them is no Parquet file.
        """
        listed = ", ".join(_text(path) for path in paths)
        relation = (
            f"(SELECT *, file_row_number + 1 AS source_row FROM read_parquet([{listed}], "  # noqa: S608
            "hive_partitioning=false, filename='source_file', file_row_number=true))"
        )
        return Scan(relation, self._columns(f"read_parquet([{listed}], hive_partitioning=false)"))

    def scan_csv(self, path: Path, columns: Sequence[str], *, delimiter: str) -> Scan:
        """One CSV file with a header, all columns text; its rows know file and position (from 1, header left out)."""
        types = ", ".join(f"{_text(column)}: 'VARCHAR'" for column in columns)
        relation = (
            f"(SELECT *, {_text(path)} AS source_file, row_number() OVER () AS source_row "  # noqa: S608
            f"FROM read_csv({_text(path)}, auto_detect=false, header=true, delim={_text(delimiter)}, quote='\"', "
            f"escape='\"', columns={{{types}}}, strict_mode=true, null_padding=false))"
        )
        return Scan(relation, tuple(columns))

    def select(self, scan: Scan, expressions: Mapping[str, str]) -> ir.Table:
        """The scanned rows with columns made by SQL expressions, beside ``source_file`` and ``source_row``.

        Raises
        ------
        EngineError
            When an expression does not parse, or names a column that is not there.
        """
        made = ", ".join(f"({expression}\n) AS {_name(name)}" for name, expression in expressions.items())
        query = f"SELECT source_file, source_row, {made} FROM {scan.relation}"  # noqa: S608
        with engine_failures():
            described = self.connection.raw_sql(f"DESCRIBE {query}").fetchall()
            # Ibis knows no nanosecond times with a zone, and the stores hold microseconds.
            kept = ", ".join(
                f"CAST({_name(row[0])} AS {_MICROSECONDS[row[1]]}) AS {_name(row[0])}"
                if row[1] in _MICROSECONDS
                else _name(row[0])
                for row in described
            )
            view = ibis.util.gen_name("mapped")
            self.connection.raw_sql(f"CREATE TEMP VIEW {view} AS SELECT {kept} FROM ({query})").fetchall()  # noqa: S608
            return self.connection.table(view)

    @contextmanager
    def in_order(self) -> Iterator[None]:
        """Keep the rows of files in their order inside the block: what numbering rows of a CSV file needs."""
        self.connection.raw_sql("SET preserve_insertion_order = true").fetchall()
        try:
            yield
        finally:
            self.connection.raw_sql("SET preserve_insertion_order = false").fetchall()

    def write_parquet(self, table: ir.Table, path: Path, **options: Any) -> None:
        """Write a table to one file, in the table's own order."""
        with engine_failures():
            self.connection.to_parquet(table, str(path), **{"compression": "zstd", **options})

    def to_arrow(self, table: ir.Table) -> pa.Table:
        """Run the expression."""
        with engine_failures():
            return self.connection.to_pyarrow(table)

    def batches(self, table: ir.Table, *, rows: int) -> Iterator[pa.RecordBatch]:
        """Run the expression and hand its rows out in order, at most ``rows`` at a time."""
        with engine_failures():
            self.connection._run_pre_execute_hooks(table)  # noqa: SLF001 - compile alone leaves in-memory tables out
            # Ibis 12's own to_pyarrow_batches calls a method that duckdb 2 no longer has; execute() loses the order.
            yield from self.connection.con.sql(self.connection.compile(table)).to_arrow_reader(rows)

    def cache(self, table: ir.Table) -> ir.Table:
        """Run the expression once and keep its rows in the engine."""
        with engine_failures():
            return self.connection.create_table(ibis.util.gen_name("cached"), table, temp=True)

    def name_parquet(self, name: str, paths: Sequence[Path], *, schema: pa.Schema) -> ir.Table:
        """Let ``name`` stand for these files from now on; a prepared expression over it reads them when it runs."""
        columns = ibis.Schema.from_pyarrow(schema)
        listed = ", ".join(_text(path) for path in paths)
        names = ", ".join(_name(column) for column in columns)
        # A table and a view cannot share a name, so no files are a view over nothing.
        nothing = ", ".join(f"CAST(NULL AS {_SQL_TYPES[type(kind)]}) AS {_name(key)}" for key, kind in columns.items())
        source = f"read_parquet([{listed}], hive_partitioning=false)" if paths else f"(SELECT {nothing}) WHERE false"
        query = f"SELECT {names} FROM {source}"  # noqa: S608
        with engine_failures():
            self.connection.raw_sql(f"CREATE OR REPLACE TEMP VIEW {_name(name)} AS {query}").fetchall()
        return ibis.table(columns, name=name)

    def name_rows(self, name: str, rows: pa.Table) -> ir.Table:
        """Let ``name`` stand for these few rows from now on."""
        with engine_failures():
            connection = self.connection.con
            connection.register("handed_over", rows)
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {_name(name)} AS SELECT * FROM handed_over").fetchall()  # noqa: S608
            connection.unregister("handed_over")
        return ibis.table(ibis.Schema.from_pyarrow(rows.schema), name=name)

    def name_prepared(self, name: str, prepared: Prepared) -> ir.Table:
        """Run a prepared expression and let ``name`` stand for its rows from now on."""
        with engine_failures():
            self.connection.raw_sql(f"CREATE OR REPLACE TEMP TABLE {_name(name)} AS {prepared.sql}").fetchall()
        return prepared.named(name)

    def run_prepared(self, prepared: Prepared) -> pa.Table:
        """Run a prepared expression and hand its rows out, in its own order."""
        with engine_failures():
            # Not execute(): its Arrow rows are a second scan over the result, which keeps no order (duckdb 2).
            rows = self.connection.con.sql(prepared.sql).to_arrow_table()
        return rows.cast(prepared.schema.to_pyarrow())

    def keep(self, name: str, *, schema: pa.Schema) -> ir.Table:
        """Make a table of the engine's own, still empty; what does not fit into memory is spilled to disk."""
        columns = ibis.Schema.from_pyarrow(schema)
        typed = ", ".join(f"{_name(key)} {_SQL_TYPES[type(kind)]}" for key, kind in columns.items())
        with engine_failures():
            self.connection.raw_sql(f"CREATE OR REPLACE TEMP TABLE {_name(name)} ({typed})").fetchall()
        return ibis.table(columns, name=name)

    def add(self, kept: ir.Table, rows: ir.Table) -> int:
        """Run the expression into a table made by :meth:`keep`, column by name; returns how many rows came in."""
        with engine_failures():
            self.connection._run_pre_execute_hooks(rows)  # noqa: SLF001 - compile alone leaves in-memory tables out
            query = self.connection.compile(rows.select(kept.columns))
            added = self.connection.raw_sql(f"INSERT INTO {_name(kept.get_name())} {query}").fetchall()
        return int(added[0][0])

    def count(self, table: ir.Table) -> int:
        """Number of rows."""
        return int(self.to_arrow(table.count()).as_py())

    def beside(self) -> "Engine":
        """A second engine on the same memory for another thread, with names of its own."""
        return Engine(ibis.duckdb.from_connection(self.connection.con.cursor()))

    def drop(self, cached: ir.Table) -> None:
        """Forget what :meth:`cache` kept."""
        with engine_failures():
            # Ibis 12's drop_table writes a statement that duckdb 2 cannot parse.
            self.connection.raw_sql(f"DROP TABLE {_name(cached.op().name)}").fetchall()

    def close(self) -> None:
        """Free the engine's memory and files."""
        self.connection.disconnect()

    def _columns(self, relation: str) -> tuple[str, ...]:
        with engine_failures():
            return tuple(row[0] for row in self.connection.raw_sql(f"DESCRIBE SELECT * FROM {relation}").fetchall())  # noqa: S608


def named(name: str, schema: pa.Schema) -> ir.Table:
    """The table that ``name`` will stand for once an engine names files or rows so: what expressions are made of."""
    return ibis.table(ibis.Schema.from_pyarrow(schema), name=name)


def prepare(table: ir.Table) -> Prepared:
    """Compile an expression over named tables, to run it many times, in any engine, while the names change meaning."""
    return Prepared(str(ibis.to_sql(table, dialect="duckdb", pretty=False)), table.schema())


def spill_folder(home: Path) -> Path:
    """Where one engine puts what does not fit into memory: a name of its own, since two engines would overwrite it."""
    folder = home / "spill"
    folder.mkdir(parents=True, exist_ok=True)  # the engine makes only the last folder of a path
    return folder / uuid.uuid4().hex


def duckdb_engine(*, threads: int, memory_limit: str, spill: Path | None = None) -> Engine:
    """The embedded engine; times are UTC whatever the machine's zone.

    It spills into ``spill``, a folder for it alone; without one into ``.tmp`` of the working directory.
    """
    options: Mapping[str, Any] = {
        "threads": threads,
        "memory_limit": memory_limit,
        "preserve_insertion_order": False,
        **({"temp_directory": str(spill)} if spill else {}),
    }
    # Feast resets the warning filters when it is imported, so this one is set anew with each engine.
    warnings.filterwarnings("ignore", message=r"fetch_arrow_table\(\) is deprecated")  # ibis 12 on duckdb 2
    connection = ibis.duckdb.connect(**options)
    # duckdb draws a bar for long queries on stdout, which belongs to data. In a notebook without widgets there is no
    # bar and the setting is refused.
    with suppress(duckdb.InvalidInputException):
        connection.raw_sql("SET enable_progress_bar = false").fetchall()
    return Engine(connection)


_MICROSECONDS = {
    "TIMESTAMPTZ_NS": "TIMESTAMPTZ",
    "TIMESTAMP_NS": "TIMESTAMP",
    "TIMESTAMP WITH TIME ZONE_NS": "TIMESTAMPTZ",
}

_SQL_TYPES = {
    dt.String: "VARCHAR",
    dt.Int16: "SMALLINT",
    dt.Int32: "INTEGER",
    dt.Int64: "BIGINT",
    dt.Float64: "DOUBLE",
    dt.Boolean: "BOOLEAN",
    dt.Date: "DATE",
    dt.Timestamp: "TIMESTAMPTZ",
}


@contextmanager
def engine_failures() -> Iterator[None]:
    """Raise what the engine raises inside the block as an :class:`EngineError`."""
    try:
        yield
    except duckdb.Error as error:
        raise EngineError(" ".join(str(error).split())) from error


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
