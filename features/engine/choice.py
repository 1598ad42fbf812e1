"""The engine that the settings choose for rollup and build, and how much of the work it is given at a time."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, Self

import ibis.expr.types as ir
import pyarrow as pa

from features.engine.duckdb_engine import duckdb_engine
from features.engine.prepared import Prepared, prepare
from features.engine.spark_sql import spark_sql
from features.exceptions import DependencyError

__all__ = [
    "EngineChoice",
    "EngineName",
    "Portion",
    "Prepare",
    "WorkingEngine",
    "chosen_engine",
    "compiled_file",
    "portion",
    "preparing",
    "require_engine",
]


EngineName = Literal["duckdb", "spark"]
"""What the setting ``engine`` may be."""

Prepare = Callable[[ir.Table], Prepared]
"""Compiles an expression over named tables for one engine, to run it many times while the names change meaning."""


@dataclass(frozen=True)
class EngineChoice:
    """Which engine to work with, and what it may use.

    Attributes
    ----------
    memory_limit
        Of the embedded engine, as ``3GB``: beyond it spills to disk.
    spark_master, spark_conf
        The cluster, and further settings of it.
    """

    name: EngineName
    threads: int
    memory_limit: str
    spark_master: str
    spark_conf: Mapping[str, str]


class WorkingEngine(Protocol):
    """What rollup and build ask of an engine; :mod:`features.engine.duckdb_engine` says what each method means."""

    def name_parquet(
        self, name: str, paths: Sequence[Path], *, schema: pa.Schema, absent_as_null: Sequence[str] = ()
    ) -> ir.Table:
        """Let ``name`` stand for these files from now on."""

    def name_rows(self, name: str, rows: pa.Table) -> ir.Table:
        """Let ``name`` stand for these few rows from now on."""

    def name_prepared(self, name: str, prepared: Prepared) -> ir.Table:
        """Let ``name`` stand for the rows of a prepared expression from now on."""

    def run_prepared(self, prepared: Prepared) -> pa.Table:
        """Run a prepared expression and hand its rows out, in its own order."""

    def beside(self) -> Self:
        """A second engine for another thread, with names of its own."""

    def close(self) -> None:
        """Free what the engine holds."""


@dataclass(frozen=True)
class Portion:
    """How much an engine is given at a time: what makes it quick without filling its memory.

    Attributes
    ----------
    event_bytes
        Files of events, of days that are counted together. The embedded engine is quickest with about 100,000 events;
        a cluster takes seconds to begin, so it gets millions.
    rollup_bytes
        Files of rollups in the reach of cutoffs that are built together.
    """

    event_bytes: int
    rollup_bytes: int


_PORTIONS: Mapping[EngineName, Portion] = {
    "duckdb": Portion(event_bytes=4_000_000, rollup_bytes=100_000_000),
    "spark": Portion(event_bytes=250_000_000, rollup_bytes=1_000_000_000),
}


def portion(engine: EngineName) -> Portion:
    """How much this engine is given at a time."""
    return _PORTIONS[engine]


def preparing(engine: EngineName) -> Prepare:
    """How expressions are compiled for this engine."""
    return _prepared_for_spark if engine == "spark" else prepare


def compiled_file(folder: Path, name: str, engine: EngineName) -> Path:
    """Where ``features.storage.compile_cache`` keeps what was compiled for this engine."""
    return folder / (f"{name}.json" if engine == "duckdb" else f"{name}-{engine}.json")


def chosen_engine(choice: EngineChoice, *, spill: Path) -> WorkingEngine:
    """The chosen engine; the embedded one spills into ``spill``.

    Raises
    ------
    DependencyError
        When pyspark or Java is not installed, or the cluster cannot be reached.
    """
    if choice.name == "duckdb":
        return duckdb_engine(threads=choice.threads, memory_limit=choice.memory_limit, spill=spill)
    require_engine(choice)
    from features.engine.spark_engine import spark_engine

    return spark_engine(master=choice.spark_master, conf=choice.spark_conf)


def require_engine(choice: EngineChoice) -> None:
    """See that the chosen engine could be started; starts nothing.

    Raises
    ------
    DependencyError
        As :func:`chosen_engine`.
    """
    if choice.name == "duckdb":
        return
    try:
        from features.engine.spark_engine import require_spark
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("pyspark", "py4j"):
            raise
        raise DependencyError(
            "Engine spark needs pyspark, which is not installed. Run `make spark`, or "
            "`pip install 'pyspark>=4.0.5,<4.1'`; or set engine to duckdb."
        ) from error
    require_spark(choice.spark_master)


def _prepared_for_spark(table: ir.Table) -> Prepared:
    return Prepared(spark_sql(table), table.schema())
