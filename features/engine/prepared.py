"""Expressions compiled once, to be run again over whatever tables their names stand for by then."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from features.engine.sql import quoted

__all__ = ["Prepared", "beside", "named", "prepare"]


@dataclass(frozen=True)
class Prepared:
    """A compiled expression over named tables; made by :func:`prepare`."""

    sql: str
    schema: ibis.Schema

    def named(self, name: str) -> ir.Table:
        """The table that ``name`` stands for after :meth:`Engine.name_prepared`, for further expressions."""
        return ibis.table(self.schema, name=name)


def beside(rows: Prepared, conditions: Mapping[str, str]) -> Prepared:
    """Prepared rows with SQL conditions over them beside, by name: true, or false where one is null or fails."""
    flags = [f"coalesce(TRY(({text}\n)), false) AS {quoted(name)}" for name, text in conditions.items()]
    sql = f"SELECT {', '.join(['*', *flags])} FROM ({rows.sql})"  # noqa: S608 - the conditions are the user's settings
    return Prepared(sql, ibis.schema({**rows.schema, **dict.fromkeys(conditions, "boolean")}))


def named(name: str, schema: pa.Schema) -> ir.Table:
    """The table that ``name`` will stand for once an engine names files or rows so: what expressions are made of."""
    return ibis.table(ibis.Schema.from_pyarrow(schema), name=name)


def prepare(table: ir.Table) -> Prepared:
    """Compile an expression over named tables, to run it many times, in any engine, while the names change meaning.

    An expression over names that equals one of the last is not compiled again.
    """
    return _prepared_once(table.op()) if is_over_names(table) else _prepared(table)


@lru_cache(maxsize=128)
def _prepared_once(node: ops.Relation) -> Prepared:
    return _prepared(node.to_expr())


def _prepared(table: ir.Table) -> Prepared:
    return Prepared(str(ibis.to_sql(table, dialect="duckdb", pretty=False)), table.schema())


def is_over_names(table: ir.Table) -> bool:
    """Whether an expression reads neither rows in memory nor an engine's tables, which whoever keeps it keeps alive."""
    return all(isinstance(node, ops.UnboundTable) for node in table.op().find(ops.PhysicalTable))
