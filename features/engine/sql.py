"""SQL expressions of the settings: their columns and types, and what they may not ask; quotes names and values."""

from collections.abc import Collection
from contextlib import closing

import ibis.expr.datatypes as dt
import pyarrow as pa

from features.engine.errors import EngineError, engine_failures
from features.engine.pure_functions import is_value_of_the_session, refusal
from features.engine.syntax import columns_of, functions_of, parsed, session

__all__ = ["ROWS_TABLE", "ROW_NUMBER", "SQL_TYPES", "columns_in", "literal", "quoted", "refuse_changing", "sql_type"]


def columns_in(expression: str) -> tuple[str, ...]:
    """Names of the columns an SQL expression over one row is made of, each once.

    >>> columns_in('lower(url) || "Query String"')
    ('url', 'Query String')

    Raises
    ------
    EngineError
        When it is no SQL expression, or looks at other rows: a window or a query of its own.
    """
    return tuple(dict.fromkeys(names[0] for names in columns_of(parsed(expression))))


def refuse_changing(expression: str, columns: Collection[str]) -> None:
    """Stop at an expression over these columns that gives one row different values at different times.

    Raises
    ------
    EngineError
        Naming the clock, or whatever else it asks.
    """
    tree = parsed(expression)
    for name in sorted(set(functions_of(tree))):
        if reason := refusal(name):
            raise EngineError(f"{name}() {reason}.")
    named = {column.casefold() for column in columns}
    for name, *inside in columns_of(tree):
        if not inside and name.casefold() not in named and is_value_of_the_session(name):
            raise EngineError(f"{name} gives the same row another value at another time or elsewhere.")


def sql_type(expression: str, columns: pa.Schema) -> str:
    """The SQL type, such as ``BOOLEAN``, of an expression over one row of these columns.

    Raises
    ------
    EngineError
        When it does not fit the columns, looks at other rows, or gives one row different values at different times.
    """
    refuse_changing(expression, columns.names)
    nothing = pa.table([pa.nulls(1, kind) for kind in columns.types], schema=columns)
    with engine_failures(), closing(session()) as connection:
        connection.register(ROWS_TABLE, nothing)
        # TRY refuses what makes one value of many rows, or many of one.
        tried = f"DESCRIBE SELECT ({expression}\n) AS made, TRY(struct_pack(v := ({expression}\n))) FROM {ROWS_TABLE}"  # noqa: S608
        kind = str(connection.execute(tried).fetchall()[0][1])
        # What fails on a row of nulls holds a constant that is none, as a time 'today'.
        connection.execute(f"SELECT ({expression}\n) FROM {ROWS_TABLE}").fetchall()  # noqa: S608
        return kind


ROWS_TABLE, ROW_NUMBER = "_bellwether_rows", "_bellwether_place"

SQL_TYPES = {
    dt.String: "VARCHAR",
    dt.Int16: "SMALLINT",
    dt.Int32: "INTEGER",
    dt.Int64: "BIGINT",
    dt.Float64: "DOUBLE",
    dt.Boolean: "BOOLEAN",
    dt.Date: "DATE",
    dt.Timestamp: "TIMESTAMPTZ",
}


def literal(value: object) -> str:
    """A value as an SQL text."""
    return "'" + str(value).replace("'", "''") + "'"


def quoted(value: str) -> str:
    """A name as an SQL identifier."""
    return '"' + value.replace('"', '""') + '"'
