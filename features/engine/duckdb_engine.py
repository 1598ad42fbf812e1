"""The DuckDB engine: runs Ibis expressions over files and over rows in memory, and writes their results."""

import itertools
import os
import tempfile
import threading
import uuid
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from ibis.backends.sql.datatypes import DuckDBType

from features.engine.errors import engine_failures
from features.engine.prepared import Prepared, is_over_names, prepare
from features.engine.sql import ROW_NUMBER, ROWS_TABLE, SQL_TYPES, literal, quoted
from features.interrupts import stop_on_interrupt
from features.paths import written_out

__all__ = ["Engine", "duckdb_engine", "spill_folder"]


class Engine:
    """Runs pure Ibis expressions and writes their results; made by :func:`duckdb_engine`."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._numbers = itertools.count()
        stop_on_interrupt(self)

    def interrupt(self) -> None:
        """Stop what it runs, from another thread."""
        self.connection.con.interrupt()

    def read_parquet(self, paths: Sequence[Path], *, schema: pa.Schema, absent_as_null: Sequence[str] = ()) -> ir.Table:
        """A table over exactly these files, whose folder names add no column; empty of ``schema`` without files.

        Columns of ``absent_as_null`` that the first file does not have are null.
        """
        if not paths:
            return ibis.memtable(schema.empty_table())
        rows = self.connection.read_parquet([written_out(path) for path in paths], hive_partitioning=False)
        types = ibis.Schema.from_pyarrow(schema)
        return rows.mutate(**{name: ibis.null(types[name]) for name in absent_as_null if name not in rows.columns})

    def evaluable(self, expression: str, nothing: pa.Table) -> bool:
        """Whether an SQL expression over these columns can be tried row by row, so that a failure is one row's.

        Raises
        ------
        EngineError
            When it does not fit the columns at all.
        """
        # Beside a plain column nothing can be asked that makes one value of many rows.
        place = f"SELECT {ROW_NUMBER}, ({{}}\n) AS made FROM {ROWS_TABLE}"  # noqa: S608
        with engine_failures(), self._handed_over(nothing) as connection:
            connection.sql(place.format(expression)).fetchall()
            try:
                connection.sql(place.format(f"TRY(struct_pack(v := ({expression}\n)))")).fetchall()
            except duckdb.BinderException:
                return False
        return True

    def evaluate(
        self, rows: pa.Table, expressions: Mapping[str, str], *, tried: Collection[str]
    ) -> tuple[pa.Table, dict[str, pa.Array]]:
        """The values of SQL expressions in the rows' order; for those that are ``tried``, also where they failed.

        Raises
        ------
        EngineError
            When one that cannot be tried fails on any row.
        """
        selected = ", ".join(
            (f"TRY(struct_pack(v := ({text}\n)))" if name in tried else f"({text}\n)") + f" AS {quoted(name)}"
            for name, text in expressions.items()
        )
        with engine_failures(), self._handed_over(rows) as connection:
            # S608: the expressions are the user's own settings.
            values = connection.sql(f"SELECT {selected} FROM {ROWS_TABLE} ORDER BY {ROW_NUMBER}").to_arrow_table()  # noqa: S608
        failed = {name: pc.is_null(values[name]) for name in expressions if name in tried}
        columns = {name: pc.struct_field(values[name], "v") if name in failed else values[name] for name in expressions}
        return pa.table(columns), failed

    @contextmanager
    def _handed_over(self, rows: pa.Table) -> Iterator[Any]:
        connection = self.connection.con
        connection.register(ROWS_TABLE, rows.append_column(ROW_NUMBER, pa.array(np.arange(len(rows)))))
        try:
            yield connection
        finally:
            connection.unregister(ROWS_TABLE)

    def write_parquet(self, table: ir.Table, path: Path) -> None:
        """Write a table to one file, in the table's own order."""
        with engine_failures():
            self.connection._run_pre_execute_hooks(table)  # noqa: SLF001 - compile alone leaves in-memory tables out
            # Ibis 12's own to_parquet quotes a path as Python does.
            copy = f"COPY ({self.connection.compile(table)}) TO {literal(path)} (FORMAT parquet, COMPRESSION zstd)"
            self.connection.raw_sql(copy).fetchall()

    def to_arrow(self, table: ir.Table) -> pa.Table:
        """Run the expression."""
        if is_over_names(table):
            return self.run_prepared(prepare(table))
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
        # The same name in every engine: expressions over what is kept are compiled once too.
        name = f"cached_{next(self._numbers)}"
        if not is_over_names(table):
            with engine_failures():
                return self.connection.create_table(name, table, temp=True)
        prepared = prepare(table)
        typed = ", ".join(
            f"CAST({quoted(key)} AS {DuckDBType.to_string(kind)}) AS {quoted(key)}"
            for key, kind in prepared.schema.items()
        )
        # S608: the text is compiled.
        return self.name_prepared(name, Prepared(f"SELECT {typed} FROM ({prepared.sql})", prepared.schema))  # noqa: S608

    def name_parquet(
        self, name: str, paths: Sequence[Path], *, schema: pa.Schema, absent_as_null: Sequence[str] = ()
    ) -> ir.Table:
        """Let ``name`` stand for these files from now on; a prepared expression over it reads them when it runs.

        Columns of ``absent_as_null`` that the first file does not have are null.
        """
        columns = ibis.Schema.from_pyarrow(schema)
        listed = ", ".join(literal(written_out(path)) for path in paths)
        absent = set(absent_as_null) - set(pq.read_schema(paths[0]).names) if paths and absent_as_null else set()
        names = ", ".join(
            f"CAST(NULL AS {SQL_TYPES[type(kind)]}) AS {quoted(key)}" if key in absent else quoted(key)
            for key, kind in columns.items()
        )
        # A table and a view cannot share a name, so no files are a view over nothing.
        nothing = ", ".join(f"CAST(NULL AS {SQL_TYPES[type(kind)]}) AS {quoted(key)}" for key, kind in columns.items())
        source = f"read_parquet([{listed}], hive_partitioning=false)" if paths else f"(SELECT {nothing}) WHERE false"
        query = f"SELECT {names} FROM {source}"  # noqa: S608
        with engine_failures():
            self.connection.raw_sql(f"CREATE OR REPLACE TEMP VIEW {quoted(name)} AS {query}").fetchall()
        return ibis.table(columns, name=name)

    def name_rows(self, name: str, rows: pa.Table) -> ir.Table:
        """Let ``name`` stand for these few rows from now on."""
        with engine_failures():
            connection = self.connection.con
            connection.register("handed_over", rows)
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS SELECT * FROM handed_over").fetchall()  # noqa: S608
            connection.unregister("handed_over")
        return ibis.table(ibis.Schema.from_pyarrow(rows.schema), name=name)

    def name_prepared(self, name: str, prepared: Prepared) -> ir.Table:
        """Run a prepared expression and let ``name`` stand for its rows from now on."""
        with engine_failures():
            self.connection.raw_sql(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} AS {prepared.sql}").fetchall()
        return prepared.named(name)

    def run_prepared(self, prepared: Prepared) -> pa.Table:
        """Run a prepared expression and hand its rows out, in its own order."""
        with engine_failures():
            # Not execute(): its Arrow rows are a second scan over the result, which keeps no order (duckdb 2). Nor
            # PREPARE and EXECUTE, which plan once instead of twice: their rows come in no order either.
            rows = self.connection.con.sql(self._statement(prepared.sql)).to_arrow_table()
        return rows.cast(prepared.schema.to_pyarrow())

    def _statement(self, sql: str) -> duckdb.Statement:
        """The text parsed, once a thread, to be bound; to be run, the engine parses the text again."""
        known = _PARSED.statements
        if sql not in known:
            if len(known) >= _MOST_PARSED:
                known.clear()
            (known[sql],) = self.connection.con.extract_statements(sql)
        return known[sql]

    def keep(self, name: str, *, schema: pa.Schema) -> ir.Table:
        """Make a table of the engine's own, still empty; what does not fit into memory is spilled to disk."""
        columns = ibis.Schema.from_pyarrow(schema)
        typed = ", ".join(f"{quoted(key)} {SQL_TYPES[type(kind)]}" for key, kind in columns.items())
        with engine_failures():
            self.connection.raw_sql(f"CREATE OR REPLACE TEMP TABLE {quoted(name)} ({typed})").fetchall()
        return ibis.table(columns, name=name)

    @contextmanager
    def lent(self, name: str, rows: pa.Table) -> Iterator[None]:
        """Let ``name`` stand for these rows inside the block, as they lie in memory."""
        with engine_failures():
            self.connection.con.register(name, rows)
        try:
            yield
        finally:
            self.connection.con.unregister(name)

    def add(self, table: ir.Table, prepared: Prepared) -> int:
        """Run a prepared expression into a table made by :meth:`keep`, column by name; returns how many rows came."""
        names = ", ".join(quoted(column) for column in table.columns)
        with engine_failures():
            query = f"INSERT INTO {quoted(table.get_name())} SELECT {names} FROM ({prepared.sql})"  # noqa: S608
            added = self.connection.raw_sql(query).fetchall()
        return int(added[0][0])

    def count(self, table: ir.Table) -> int:
        """Number of rows."""
        return int(self.to_arrow(table.agg(rows=table.count()))["rows"][0].as_py())

    def beside(self) -> "Engine":
        """A second engine on the same memory for another thread, with names of its own."""
        return Engine(ibis.duckdb.from_connection(self.connection.con.cursor()))

    def drop(self, cached: ir.Table) -> None:
        """Forget what :meth:`cache` kept."""
        with engine_failures():
            # Ibis 12's drop_table writes a statement that duckdb 2 cannot parse.
            self.connection.raw_sql(f"DROP TABLE {quoted(cached.op().name)}").fetchall()

    def close(self) -> None:
        """Free the engine's memory and files."""
        self.connection.disconnect()


def spill_folder(folder: Path) -> Path:
    """Where one engine puts what does not fit into memory: a name of its own, since two engines would overwrite it.

    Where ``folder`` cannot be written, it lies among the machine's temporary files.
    """
    with suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)  # the engine makes only the last folder of a path
    place = folder if os.access(folder, os.W_OK) else Path(tempfile.gettempdir())
    return place / uuid.uuid4().hex


def duckdb_engine(*, threads: int, memory_limit: str, spill: Path | None = None) -> Engine:
    """The embedded engine; times are UTC whatever the machine's zone.

    It spills into ``spill``, a folder for it alone; without one into ``.tmp`` of the working directory.
    """
    options: Mapping[str, Any] = {
        "threads": threads,
        "memory_limit": memory_limit,
        "preserve_insertion_order": False,
        # Every 16 MiB the engine would pack its tables in memory, which costs more than making them: an ingest of
        # 600,000 rows spent a tenth of its time so. From here on they are packed, lest they spill.
        "checkpoint_threshold": "1GiB",
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


_MOST_PARSED = 256


class _Parsed(threading.local):
    """Statements by their text; each thread has its own, since nothing says that two threads may bind one at once."""

    def __init__(self) -> None:
        self.statements: dict[str, duckdb.Statement] = {}


_PARSED = _Parsed()
