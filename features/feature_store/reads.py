"""Feast's reads, compiled once: the next read of the same shape runs the same statement over other rows and files.

Making and compiling the expression of a read takes ten times as long as running it over a small home.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ibis.expr.operations as ops
import pandas as pd
import pyarrow as pa

from features.engine.duckdb_engine import Engine
from features.engine.prepared import Prepared, prepare
from features.exceptions import WorkFailedError
from features.feature_store.fast_import import without_type_checks

with without_type_checks():
    from feast.infra.offline_stores.ibis import IbisRetrievalJob

__all__ = ["Files", "Read", "ReadJob", "compiled_read", "refuse_to_write"]


Files = tuple[Sequence[Path], pa.Schema]
"""The files of a view, and the columns to read of them."""

_MOST_COMPILED = 64


@dataclass(frozen=True)
class Read:
    """A compiled read over tables by name; ``asked`` is the name of the rows asked for, where there are any."""

    prepared: Prepared
    asked: str | None = None
    asked_schema: pa.Schema | None = None


_READS: dict[Hashable, Read] = {}


def compiled_read(shape: Hashable, make: Callable[[], Any]) -> Read:
    """What the job of ``make`` runs, compiled once for each ``shape``: all that it depends on but rows and files."""
    if shape not in _READS:
        table = make().table
        read = Read(prepare(table))
        for rows in table.op().find(ops.InMemoryTable):
            read = Read(read.prepared, rows.name, rows.schema.to_pyarrow())
        if len(_READS) >= _MOST_COMPILED:
            _READS.clear()
        _READS[shape] = read
    return _READS[shape]


class ReadJob(IbisRetrievalJob):  # type: ignore[misc]
    """A compiled read over these files and rows, run when Feast says so; ``stamped`` adds what no file holds."""

    def __init__(
        self,
        engine: Callable[[], AbstractContextManager[Engine]],
        read: Read,
        files: Mapping[str, Files],
        asked: pd.DataFrame | None = None,
        *,
        stamped: Callable[[pa.Table], pa.Table] | None = None,
    ) -> None:
        super().__init__(None, [], False, None, refuse_to_write, None, None, "")
        self._engine, self._read, self._files, self._asked = engine, read, files, asked
        self._stamped = stamped or (lambda rows: rows)

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:  # noqa: ARG002 - the signature is Feast's
        with self._engine() as engine:
            for name, (paths, schema) in self._files.items():
                engine.name_parquet(name, paths, schema=schema)
            with self._rows_lent(engine):
                return self._stamped(engine.run_prepared(self._read.prepared))

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        frame: pd.DataFrame = self._to_arrow_internal(timeout).to_pandas()
        return frame

    def _rows_lent(self, engine: Engine) -> AbstractContextManager[None]:
        if self._asked is None or self._read.asked is None:
            return nullcontext()
        rows = pa.Table.from_pandas(self._asked, preserve_index=False).cast(self._read.asked_schema)
        return engine.lent(self._read.asked, rows)


def refuse_to_write(*_: Any, **__: Any) -> None:
    """Feast's way to write features is not ours."""
    raise WorkFailedError("Feature files are written by `bellwether features build`, not through Feast.")
