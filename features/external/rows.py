"""Where the stored rows of external tables lie: their folder, their columns, and the files a cutoff may see."""

from datetime import date, datetime
from pathlib import Path

import pyarrow as pa

from features.definitions.declared import ExternalTable
from features.definitions.declared_features import table_rows
from features.schema import UTC_MICROSECONDS
from features.storage.manifest import Manifest
from features.storage.store import ManifestStore

__all__ = ["external_schema", "table_files", "table_key", "tables_seen"]


def table_key(table: ExternalTable) -> str:
    """Folder of a table's rows, and the name of their table."""
    return f"table_{table_rows(table)[:16]}"


def external_schema(table: ExternalTable) -> pa.Schema:
    """Columns of the stored rows."""
    times = [("event_timestamp", UTC_MICROSECONDS), ("known_at", UTC_MICROSECONDS)]
    return pa.schema([("account_id", pa.string()), *times, *((name, pa.float64()) for name in sorted(table.columns))])


def table_files(store: ManifestStore, manifest: Manifest, key: str, *, first: date, last: date) -> list[Path]:
    """Files of one table's rows that some cutoff from ``first`` to ``last`` is the first to see."""
    begin, end = f"{key}/day={first.isoformat()}", f"{key}/day={last.isoformat()}"
    return [
        file
        for partition in sorted(manifest.partitions)
        if begin <= partition <= end
        for file in store.files(partition, manifest=manifest)
    ]


def tables_seen(manifest: Manifest, key: str, cutoff: datetime) -> list[str | None]:
    """Fingerprints of the rows of one table that a cutoff may see."""
    begin, end = f"{key}/day=", f"{key}/day={cutoff.date().isoformat()}"
    return [manifest.fingerprint(partition) for partition in sorted(manifest.partitions) if begin <= partition <= end]
