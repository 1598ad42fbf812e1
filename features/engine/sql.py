"""Takes SQL expressions of the settings apart: their columns and types; and quotes names and values."""

import json
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import duckdb
import ibis.expr.datatypes as dt
import pyarrow as pa

from features.engine.errors import EngineError, engine_failures

__all__ = ["ROWS_TABLE", "ROW_NUMBER", "SQL_TYPES", "columns_in", "literal", "quoted", "sql_type"]


_MOODY = """
    SELECT function_name FROM duckdb_functions()
    WHERE stability <> 'CONSISTENT' OR function_name = 'age' OR macro_definition LIKE '%current_%'
"""
"""Functions that look at more than their arguments: age() of one time and some macros ask the clock as well."""


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
        connection.register(ROWS_TABLE, columns.empty_table())
        moody = connection.execute(_MOODY)
        changing = sorted(used.intersection(name for (name,) in moody.fetchall()))
        if changing:
            raise EngineError(f"{changing[0]}() gives the same row another value at another time.")
        # TRY refuses what makes one value of many rows, or many of one.
        tried = f"DESCRIBE SELECT ({expression}\n) AS made, TRY(struct_pack(v := ({expression}\n))) FROM {ROWS_TABLE}"  # noqa: S608
        return str(connection.execute(tried).fetchall()[0][1])


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
