"""The engine that runs Ibis expressions: the only file that names one."""

import itertools
import json
import re
import threading
import uuid
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import ibis
import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from ibis.backends.sql.datatypes import DuckDBType

from features.exceptions import WorkFailedError

__all__ = [
    "Engine",
    "EngineError",
    "Prepared",
    "at_zone",
    "beside",
    "bit_count",
    "columns_in",
    "duckdb_engine",
    "engine_failures",
    "epoch_microseconds",
    "microseconds_since_epoch",
    "named",
    "prepare",
    "spill_folder",
    "sql_type",
]


_MOODY = """
    SELECT function_name FROM duckdb_functions()
    WHERE stability <> 'CONSISTENT' OR function_name = 'age' OR macro_definition LIKE '%current_%'
"""
"""Functions that look at more than their arguments: age() of one time and some macros ask the clock as well."""


class EngineError(WorkFailedError):
    """The engine refused an expression, or could not read or write a file.

    Attributes
    ----------
    is_about_room
        It lacked memory, disk or permission; nothing is wrong with the data.
    """

    def __init__(self, text: str, *, is_about_room: bool = False) -> None:
        super().__init__(text)
        self.is_about_room = is_about_room


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


@ibis.udf.scalar.builtin(name="bit_count")  # type: ignore[untyped-decorator]
def bit_count(number: int) -> int:  # type: ignore[empty-body]
    """How many bits are set."""


class Engine:
    """Runs pure Ibis expressions and writes their results; made by :func:`duckdb_engine`."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._numbers = itertools.count()

    def read_parquet(self, paths: Sequence[Path], *, schema: pa.Schema) -> ir.Table:
        """A table over exactly these files, whose folder names add no column; empty of ``schema`` without files."""
        if not paths:
            return ibis.memtable(schema.empty_table())
        return self.connection.read_parquet([str(path) for path in paths], hive_partitioning=False)

    def evaluable(self, expression: str, nothing: pa.Table) -> bool:
        """Whether an SQL expression over these columns can be tried row by row, so that a failure is one row's.

        Raises
        ------
        EngineError
            When it does not fit the columns at all.
        """
        # Beside a plain column nothing can be asked that makes one value of many rows.
        place = f"SELECT {_PLACE}, ({{}}\n) AS made FROM {_HANDED_OVER}"  # noqa: S608
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
        made = ", ".join(
            (f"TRY(struct_pack(v := ({text}\n)))" if name in tried else f"({text}\n)") + f" AS {_name(name)}"
            for name, text in expressions.items()
        )
        with engine_failures(), self._handed_over(rows) as connection:
            # S608: the expressions are the user's own settings.
            values = connection.sql(f"SELECT {made} FROM {_HANDED_OVER} ORDER BY {_PLACE}").to_arrow_table()  # noqa: S608
        failed = {name: pc.is_null(values[name]) for name in expressions if name in tried}
        columns = {name: pc.struct_field(values[name], "v") if name in failed else values[name] for name in expressions}
        return pa.table(columns), failed

    @contextmanager
    def _handed_over(self, rows: pa.Table) -> Iterator[Any]:
        connection = self.connection.con
        connection.register(_HANDED_OVER, rows.append_column(_PLACE, pa.array(np.arange(len(rows)))))
        try:
            yield connection
        finally:
            connection.unregister(_HANDED_OVER)

    def write_parquet(self, table: ir.Table, path: Path, **options: Any) -> None:
        """Write a table to one file, in the table's own order."""
        with engine_failures():
            self.connection.to_parquet(table, str(path), **{"compression": "zstd", **options})

    def to_arrow(self, table: ir.Table) -> pa.Table:
        """Run the expression."""
        if _is_over_names(table):
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
        if not _is_over_names(table):
            with engine_failures():
                return self.connection.create_table(name, table, temp=True)
        prepared = prepare(table)
        typed = ", ".join(
            f"CAST({_name(key)} AS {DuckDBType.to_string(kind)}) AS {_name(key)}"
            for key, kind in prepared.schema.items()
        )
        # S608: the text is compiled.
        return self.name_prepared(name, Prepared(f"SELECT {typed} FROM ({prepared.sql})", prepared.schema))  # noqa: S608

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
        typed = ", ".join(f"{_name(key)} {_SQL_TYPES[type(kind)]}" for key, kind in columns.items())
        with engine_failures():
            self.connection.raw_sql(f"CREATE OR REPLACE TEMP TABLE {_name(name)} ({typed})").fetchall()
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

    def add(self, kept: ir.Table, prepared: Prepared) -> int:
        """Run a prepared expression into a table made by :meth:`keep`, column by name; returns how many rows came."""
        names = ", ".join(_name(column) for column in kept.columns)
        with engine_failures():
            query = f"INSERT INTO {_name(kept.get_name())} SELECT {names} FROM ({prepared.sql})"  # noqa: S608
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
            self.connection.raw_sql(f"DROP TABLE {_name(cached.op().name)}").fetchall()

    def close(self) -> None:
        """Free the engine's memory and files."""
        self.connection.disconnect()


def columns_in(expression: str) -> tuple[str, ...]:
    """Names of the columns an SQL expression over one row is made of, each once.

    >>> columns_in('lower(url) || "Query String"')
    ('url', 'Query String')

    Raises
    ------
    EngineError
        When it is no SQL expression, or looks at other rows: a window or a query of its own.
    """
    return tuple(dict.fromkeys(_columns_of(_parsed(expression))))


def sql_type(expression: str, columns: pa.Schema) -> str:
    """The SQL type, such as ``BOOLEAN``, of an expression over one row of these columns.

    Raises
    ------
    EngineError
        When it does not fit the columns, looks at other rows, or gives one row different values at different times.
    """
    used = set(_functions_of(_parsed(expression)))
    with engine_failures(), closing(duckdb.connect()) as connection:
        connection.register(_HANDED_OVER, columns.empty_table())
        moody = connection.execute(_MOODY)
        changing = sorted(used.intersection(name for (name,) in moody.fetchall()))
        if changing:
            raise EngineError(f"{changing[0]}() gives the same row another value at another time.")
        # TRY refuses what makes one value of many rows, or many of one.
        tried = f"DESCRIBE SELECT ({expression}\n) AS made, TRY(struct_pack(v := ({expression}\n))) FROM {_HANDED_OVER}"  # noqa: S608
        return str(connection.execute(tried).fetchall()[0][1])


def beside(rows: Prepared, conditions: Mapping[str, str]) -> Prepared:
    """Prepared rows with SQL conditions over them beside, by name: true, or false where one is null or fails."""
    made = [f"coalesce(TRY(({text}\n)), false) AS {_name(name)}" for name, text in conditions.items()]
    sql = f"SELECT {', '.join(['*', *made])} FROM ({rows.sql})"  # noqa: S608 - the conditions are the user's settings
    return Prepared(sql, ibis.schema({**rows.schema, **dict.fromkeys(conditions, "boolean")}))


def _parsed(expression: str) -> Any:
    with engine_failures(), closing(duckdb.connect()) as connection:
        query = f"SELECT ({expression}\n)"
        text = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()[0][0]
    parsed = json.loads(text)
    if parsed["error"]:
        raise EngineError(parsed["error_message"])
    select = parsed["statements"][0]["node"].get("select_list", [])
    if len(parsed["statements"]) != 1 or len(select) != 1:
        raise EngineError("It is more than one expression.")
    return select[0]


def _functions_of(node: Any) -> Iterator[str]:
    """Names of the functions, but for ``age`` of two times, which asks no clock."""
    if isinstance(node, dict):
        if node.get("class") == "FUNCTION":
            name = node["function_name"].lower()
            if name != "age" or len(node.get("arguments", ())) != 2:
                yield name
        for value in node.values():
            yield from _functions_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from _functions_of(value)


def _columns_of(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if node.get("class") in ("WINDOW", "SUBQUERY"):
            raise EngineError("It looks at other rows; an expression sees one row.")
        if node.get("class") == "COLUMN_REF":
            yield node["column_names"][0]
        for value in node.values():
            yield from _columns_of(value)
    elif isinstance(node, list):
        for value in node:
            yield from _columns_of(value)


def named(name: str, schema: pa.Schema) -> ir.Table:
    """The table that ``name`` will stand for once an engine names files or rows so: what expressions are made of."""
    return ibis.table(ibis.Schema.from_pyarrow(schema), name=name)


def prepare(table: ir.Table) -> Prepared:
    """Compile an expression over named tables, to run it many times, in any engine, while the names change meaning.

    An expression over names that equals one of the last is not compiled again.
    """
    return _prepared_once(table.op()) if _is_over_names(table) else _prepared(table)


@lru_cache(maxsize=128)
def _prepared_once(node: ops.Relation) -> Prepared:
    return _prepared(node.to_expr())


def _prepared(table: ir.Table) -> Prepared:
    return Prepared(str(ibis.to_sql(table, dialect="duckdb", pretty=False)), table.schema())


def _is_over_names(table: ir.Table) -> bool:
    """Whether an expression reads neither rows in memory nor an engine's tables, which whoever keeps it keeps alive."""
    return all(isinstance(node, ops.UnboundTable) for node in table.op().find(ops.PhysicalTable))


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


_WRITING = re.compile(r"write|No space|create directory|Disk quota|Permission denied|Read-only", re.IGNORECASE)
_HANDED_OVER, _PLACE = "_bellwether_rows", "_bellwether_place"
_MOST_PARSED = 256


class _Parsed(threading.local):
    """Statements by their text; each thread has its own, since nothing says that two threads may bind one at once."""

    def __init__(self) -> None:
        self.statements: dict[str, duckdb.Statement] = {}


_PARSED = _Parsed()

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
    except duckdb.OutOfMemoryException as error:
        raise EngineError(
            f"The engine has too little memory, or no room to spill: {_plainly(error)} Raise memory_limit, or free "
            "space under the home. Nothing was published.",
            is_about_room=True,
        ) from error
    except duckdb.IOException as error:
        if not _WRITING.search(str(error)):
            raise EngineError(_plainly(error)) from error
        raise EngineError(
            f"A file cannot be written: {_plainly(error)} Free space, mend its permissions or choose another --home. "
            "Nothing was published.",
            is_about_room=True,
        ) from error
    except duckdb.Error as error:
        raise EngineError(_plainly(error)) from error


def _plainly(error: duckdb.Error) -> str:
    """The engine's words in one line; of words inside words only the inner ones."""
    text = " ".join(str(error).split())
    inner = re.search(r'"exception_message":"((?:[^"\\]|\\.)*)"', text)
    return (inner[1].replace('\\"', '"') if inner else text).rstrip(".") + "."


def _text(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _name(value: str) -> str:
    return '"' + value.replace('"', '""') + '"'
