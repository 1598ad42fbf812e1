"""Where the raw tables lie, and how everybody reads them."""

from datetime import datetime
from typing import Literal

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from features.engine.duckdb_engine import Engine
from features.home.home import Home
from features.schema import EVENTS, RAW_TABLES, RawTable

__all__ = ["RecordTable", "complete_until", "read_events", "read_raw", "read_records", "rows_stored"]


RecordTable = Literal["accounts", "subscriptions", "touchpoints"]


def read_events(engine: Engine, home: Home) -> ir.Table:
    """Every stored event, one row each; empty where nothing was ingested."""
    store = home.stores.events
    manifest = store.manifest()
    paths = [path for partition in sorted(manifest.partitions) for path in store.files(partition, manifest=manifest)]
    return engine.read_parquet(paths, schema=RAW_TABLES["events"].schema)


def read_raw(engine: Engine, home: Home, name: RecordTable) -> ir.Table:
    """One record table with its canonical columns; empty where none was ingested."""
    table = RAW_TABLES[name]
    return engine.read_parquet(home.stores.raw.files(name, name), schema=table.schema, absent_as_null=table.added)


def read_records(home: Home, table: RawTable) -> pa.Table:
    """The rows of a record table, small enough to hold; empty where none was ingested."""
    parts = [pq.ParquetFile(path).read() for path in home.stores.raw.files(table.name, table.name)]
    rows = pa.concat_tables(parts) if parts else table.schema.empty_table()
    for name in table.added:
        if name not in rows.column_names:
            rows = rows.append_column(name, pa.nulls(rows.num_rows, table.schema.field(name).type))
    return rows.select(table.schema.names).cast(table.schema)


def rows_stored(home: Home, name: str) -> int:
    """How many rows of a raw table are stored, from what its files say of themselves."""
    store = home.stores.events if name == EVENTS.name else home.stores.raw
    manifest = store.manifest()
    files = (file for part in manifest.partitions for file in store.paths(part, name, manifest=manifest))
    return sum(pq.read_metadata(file).num_rows for file in files)


def complete_until(home: Home, name: str) -> datetime | None:
    """The moment up to which a raw table is known to hold everything; None where there is no such table."""
    text = home.stores.raw.manifest().notes.get("complete_until", {}).get(name)
    return None if text is None else datetime.fromisoformat(text)
