"""Takes SQL expressions of the settings apart: the functions and columns they name."""

import json
from collections.abc import Iterator
from contextlib import closing
from functools import lru_cache
from typing import Any

import duckdb

from features.engine.errors import EngineError, engine_failures

__all__ = ["columns_of", "functions_of", "parsed", "session"]


_OF_OTHER_ROWS = ("WINDOW", "SUBQUERY")
_OF_ONE_ROW = (
    *("COLUMN_REF", "CONSTANT", "FUNCTION", "COMPARISON", "CONJUNCTION", "OPERATOR"),
    *("CASE", "CAST", "BETWEEN", "COLLATE", "LAMBDA", "LAMBDA_REF", "TYPE"),
)
_SCHEMAS = ("", "main", "system", "pg_catalog")


def session() -> duckdb.DuckDBPyConnection:
    """A connection to an engine without tables, to ask about the language; close it."""
    return _engine().cursor()


@lru_cache(maxsize=1)
def _engine() -> duckdb.DuckDBPyConnection:
    # A function that is not there is not looked for in the network.
    nothing_fetched = {"autoinstall_known_extensions": False, "autoload_known_extensions": False}
    return duckdb.connect(config={"threads": 1, **nothing_fetched})


@lru_cache(maxsize=256)
def parsed(expression: str) -> Any:
    """The expression as the engine's parser reads it.

    Raises
    ------
    EngineError
        When it is no SQL expression, or more than one.
    """
    with engine_failures(), closing(session()) as connection:
        query = f"SELECT ({expression}\n)"
        text = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [query]).fetchall()[0][0]
    tree = json.loads(text)
    if tree["error"]:
        raise EngineError(tree["error_message"])
    select = tree["statements"][0]["node"].get("select_list", [])
    if len(tree["statements"]) != 1 or len(select) != 1:
        raise EngineError("It is more than one expression.")
    return select[0]


def functions_of(tree: Any) -> Iterator[str]:
    """Names of the functions, in lower case, but for ``age`` of two times, which asks no clock."""
    for node in _nodes(tree):
        if node.get("class") == "FUNCTION":
            name = node["function_name"].lower()
            if name != "age" or len(node.get("arguments", ())) != 2:
                yield name


def columns_of(tree: Any) -> Iterator[tuple[str, ...]]:
    """Names of the columns, with what lies in them, and of the parameters of lambdas.

    Raises
    ------
    EngineError
        When it looks at other rows, or at columns it does not name.
    """
    for node in _nodes(tree):
        kind = node.get("class")
        if kind in _OF_OTHER_ROWS:
            raise EngineError("It looks at other rows; an expression sees one row.")
        if kind is not None and kind not in _OF_ONE_ROW:
            raise EngineError("An expression sees one row by the names of its columns: write them out.")
        if kind == "COLUMN_REF":
            yield tuple(node["column_names"])
        elif kind == "FUNCTION" and (column := str(node.get("catalog") or node.get("schema") or "")) not in _SCHEMAS:
            yield (column,)  # before its function, as in url.lower()


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(value)
