"""The engine that runs Ibis expressions: the only file that names one."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

__all__ = ["Engine", "duckdb_engine"]


class Engine:
    """Runs pure Ibis expressions and writes their results; made by :func:`duckdb_engine`."""

    def __init__(self, connection: Any) -> None:
        self.connection = connection

    def read_parquet(self, paths: Sequence[Path], *, schema: pa.Schema) -> ir.Table:
        """A table over exactly these files, whose folder names add no column; empty of ``schema`` without files."""
        if not paths:
            return ibis.memtable(schema.empty_table())
        return self.connection.read_parquet([str(path) for path in paths], hive_partitioning=False)

    def write_parquet(self, table: ir.Table, path: Path) -> None:
        """Write a table to one file, in the table's own order."""
        self.connection.to_parquet(table, str(path), compression="zstd")

    def to_arrow(self, table: ir.Table) -> pa.Table:
        """Run the expression."""
        return self.connection.to_pyarrow(table)

    def cache(self, table: ir.Table) -> ir.Table:
        """Run the expression once and keep its rows in the engine."""
        return self.connection.create_table(ibis.util.gen_name("cached"), table, temp=True)

    def close(self) -> None:
        """Free the engine's memory and files."""
        self.connection.disconnect()


def duckdb_engine(*, threads: int, memory_limit: str, spill: Path | None = None) -> Engine:
    """The embedded engine. Times are UTC whatever the machine's zone."""
    options: Mapping[str, Any] = {
        "threads": threads,
        "memory_limit": memory_limit,
        "preserve_insertion_order": False,
        **({"temp_directory": str(spill)} if spill else {}),
    }
    return Engine(ibis.duckdb.connect(**options))
