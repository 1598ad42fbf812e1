"""Tells functions that look at their arguments alone from those that ask a clock, chance, the session or a file."""

import re
from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from functools import lru_cache
from typing import NamedTuple

import duckdb

from features.engine.errors import EngineError
from features.engine.syntax import columns_of, functions_of, parsed, session

__all__ = ["is_value_of_the_session", "refusal"]


_CHANGES = "gives the same row another value at another time or elsewhere"
_INTERNAL = "is of the engine's own"
_CLOCKS = ("age", "current_localtime", "current_localtimestamp")
"""What the engine calls consistent though it asks the clock; ``age`` of one time does."""
_CONSTANTS = ("pi", "map", "list_value", "list_pack", "struct_pack")
"""What takes no argument, or may, and asks for nothing."""
_FAILS = "error"
"""Never the same as another value: it has none."""
_BY_TEXT = ("aggregate", "list_aggregate", "list_aggr", "array_aggregate", "array_aggr")
_BY_NAME: Mapping[str, str] = {
    **dict.fromkeys(_CLOCKS, _CHANGES),
    "hash": f"{_CHANGES}: with another version of the engine; md5() does not",
    "index_key": "reads a table",
    **dict.fromkeys(_BY_TEXT, "calls a function that a text names; list_sum(), list_max() and the like say which"),
    **dict.fromkeys(
        ("json_serialize_plan", "json_serialize_sql", "json_deserialize_sql"), "reads a query, which is no value"
    ),
}
_IDENTIFIER = re.compile(r"[a-z_]\w*", re.ASCII)


class _Overload(NamedTuple):
    kind: str
    schema: str
    stability: str | None
    parameters: tuple[str, ...]
    has_more: bool
    macro: str | None


def refusal(name: str) -> str | None:
    """Why a value of this function is no value of one row; None where it is, or where there is no such function.

    Every function the engine knows is judged: by its stability, and by its name where that says too little.

    >>> refusal("current_localtimestamp")
    'gives the same row another value at another time or elsewhere'
    >>> refusal("lower")
    """
    return _refusal(name.lower(), ())


@lru_cache(maxsize=256)
def is_value_of_the_session(name: str) -> bool:
    """Whether a name without a column behind it has a value all the same, as ``current_date`` or ``user``."""
    if not _IDENTIFIER.fullmatch(name.lower()) or name.lower() in ("true", "false", "null"):
        return False
    with closing(session()) as connection, suppress(duckdb.Error):
        connection.execute(f"SELECT ({name})").fetchall()
        return True
    return False


@lru_cache(maxsize=2048)
def _refusal(name: str, inside: tuple[str, ...]) -> str | None:
    overloads = () if name == _FAILS else _functions().get(name, ())
    changes = any(overload.stability not in ("CONSISTENT", None) for overload in overloads)
    if overloads and name not in _CONSTANTS:
        changes |= not any(overload.parameters or overload.has_more for overload in overloads)
    if changes or name in _BY_NAME:
        return _BY_NAME.get(name, _CHANGES)
    if name.startswith("__internal") or any(overload.schema == "pg_catalog" for overload in overloads):
        return _INTERNAL
    macros = [overload for overload in overloads if overload.macro]
    return next((reason for macro in macros if (reason := _refusal_of_macro(macro, (*inside, name)))), None)


def _refusal_of_macro(overload: _Overload, inside: tuple[str, ...]) -> str | None:
    try:
        tree = parsed(overload.macro or "NULL")
        names = [name for name, *_ in columns_of(tree) if name not in overload.parameters]
    except EngineError:
        return _INTERNAL
    if any(map(is_value_of_the_session, names)):
        return _CHANGES
    called = [name for name in functions_of(tree) if name not in (*inside, *_BY_TEXT)]  # its text stands in the macro
    return next((reason for name in called if (reason := _refusal(name, inside))), None)


@lru_cache(maxsize=1)
def _functions() -> Mapping[str, Iterable[_Overload]]:
    """The functions of one row that the engine has, by their names in lower case."""
    with closing(session()) as connection:
        rows = connection.execute(
            "SELECT lower(function_name), function_type, schema_name, stability, parameters, varargs IS NOT NULL, "
            "macro_definition FROM duckdb_functions() WHERE function_type IN ('scalar', 'macro')"
        ).fetchall()
    functions: dict[str, list[_Overload]] = {}
    for name, kind, schema, stability, parameters, has_more, macro in rows:
        functions.setdefault(name, []).append(
            _Overload(kind, schema, stability, tuple(parameters), has_more, macro if kind == "macro" else None)
        )
    return functions
