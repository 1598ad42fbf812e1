"""Spark SQL from Ibis expressions, mended where Ibis 12 writes what Spark refuses or understands in another way."""

import re
from collections.abc import Mapping
from typing import Any

import ibis.expr.datatypes as dt
import ibis.expr.operations as ops
import ibis.expr.types as ir
import sqlglot.expressions as sge
from ibis.backends.sql.compilers.base import SQLGlotCompiler
from ibis.backends.sql.compilers.pyspark import PySparkCompiler
from ibis.common.exceptions import UnsupportedOperationError

__all__ = ["spark_sql"]


_FUNCTIONS: Mapping[str, str] = {"epoch_us": "unix_micros"}
"""What Spark calls the built-in functions that ``features.engine.duckdb_engine`` declares."""

_GROUP = re.compile(r"\\(\d)")


class _Spark(PySparkCompiler):  # type: ignore[misc]  # Ibis is untyped
    """Ibis's compiler for Spark, with the embedded engine's meaning."""

    __slots__ = ()

    # Spark's own rules ask an option that exists only once pyspark is imported, and take NaN for null.
    visit_Field = SQLGlotCompiler.visit_Field  # noqa: N815
    visit_IsNull = SQLGlotCompiler.visit_IsNull  # noqa: N815
    visit_NotNull = SQLGlotCompiler.visit_NotNull  # noqa: N815

    def visit_NonNullLiteral(self, op: ops.Literal, *, value: Any, dtype: dt.DataType) -> Any:  # noqa: N802
        """A fraction is a double: Spark reads ``0.1`` as a decimal and then counts in decimals."""
        if dtype.is_floating():
            return self.cast(repr(float(value)), dt.float64)
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_ScalarUDF(self, op: ops.ScalarUDF, **arguments: Any) -> Any:  # noqa: N802
        """A built-in function, by Spark's name for it."""
        name = self.__sql_name__(op)
        return self.f[_FUNCTIONS.get(name, name)](*arguments.values())

    def visit_Cast(self, op: ops.Cast, *, arg: Any, to: dt.DataType) -> Any:  # noqa: N802
        """Spark unnests only at the top of a column, so the array is cast and not its elements."""
        if isinstance(op.arg, ops.Unnest):
            return self.f.explode(self.cast(arg.this, dt.Array(to)))
        return super().visit_Cast(op, arg=arg, to=to)

    def visit_CountStar(self, op: ops.CountStar, *, arg: Any, where: Any) -> Any:  # noqa: N802
        """Rows for which a condition holds: 0 where it is null for all, for which a sum gives null."""
        if where is None:
            return super().visit_CountStar(op, arg=arg, where=where)
        return self.f.count_if(where)

    def visit_ArrayIndex(self, op: ops.ArrayIndex, *, arg: Any, index: Any) -> Any:  # noqa: N802, ARG002
        """Null outside of the array, where ``element_at`` fails."""
        return self.f.anon.get(arg, self.cast(index, dt.int32))

    def visit_IntervalFromInteger(self, op: ops.IntervalFromInteger, *, arg: Any, unit: Any) -> Any:  # noqa: N802
        """Days as a number: Ibis writes them out as text, which Spark reads again for each row."""
        if unit.short == "D":
            return self.f.anon.make_dt_interval(self.cast(arg, dt.int32))
        return super().visit_IntervalFromInteger(op, arg=arg, unit=unit)

    def visit_RegexReplace(self, op: ops.RegexReplace, *, arg: Any, pattern: Any, replacement: Any) -> Any:  # noqa: N802, ARG002
        r"""Groups of a replacement are ``$1`` in Java, and ``\1`` in Ibis."""
        if not isinstance(op.replacement, ops.Literal):
            raise UnsupportedOperationError("On Spark the replacement of a pattern is a constant.")
        java = _GROUP.sub(r"$\1", op.replacement.value.replace("$", r"\$"))
        return super().visit_RegexReplace(op, arg=arg, pattern=pattern, replacement=sge.convert(java))


def spark_sql(table: ir.Table) -> str:
    """The query of an expression over named tables; pyspark is not needed for it."""
    compiler = _Spark()
    return str(compiler.to_sqlglot(table).sql(dialect=compiler.dialect, copy=False))
