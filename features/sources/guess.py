"""A first mapping, guessed from the columns of a file."""

import csv
import gzip
import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.schema import EVENTS
from features.sources.files import find_files, group_files

__all__ = ["guessed_mapping"]

_NAMES: Mapping[str, tuple[str, ...]] = {
    "event_id": ("request_id", "call_id", "id", "uuid"),
    "account_id": (
        "account",
        "customer_id",
        "customer",
        "tenant_id",
        "tenant",
        "org_id",
        "organization_id",
        "client_id",
    ),
    "event_time": ("timestamp", "time", "ts", "requested_at", "request_time", "datetime", "date", "occurred_at"),
    "ingested_at": ("received_at", "loaded_at", "processed_at"),
    "endpoint": ("route", "path", "request_path", "uri", "url", "resource"),
    "method": ("http_method", "request_method", "verb"),
    "status": ("status_code", "http_status", "response_code", "response_status", "code"),
    "latency_ms": ("duration_ms", "response_time_ms", "latency", "duration", "response_time", "elapsed", "took"),
    "token": ("api_key", "key_id", "token_id", "access_token"),
    "user_id": ("user", "uid", "username"),
    "sdk": ("sdk_name", "client", "library"),
    "sdk_version": ("client_version", "library_version"),
    "synthetic": ("is_synthetic", "is_probe", "probe"),
}
_UNITS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (0.0, "s"))


def guessed_mapping(path: Path) -> str:
    """TOML of ``[sources.events.columns]`` for a file of API calls, with a line for every column it has to be told of.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    files = group_files(find_files([path]))[0]
    row = _first_row(files.paths[0], files.columns, files.delimiter)
    types = pq.read_schema(files.paths[0]) if files.delimiter is None else None
    lines = [f"# Guessed from the columns of {files.paths[0].name}; check every line.", "[sources.events.columns]"]
    taken = set(files.columns) & set(EVENTS.schema.names)
    for name in EVENTS.schema.names:
        source = (
            name if name in files.columns else next((c for c in _like(name, files.columns) if c not in taken), None)
        )
        if source is None:
            needed = " (required)" if name in EVENTS.required else ""
            lines.append(f"# {name}{needed}: no column looks like it")
            continue
        taken.add(source)
        more = _details(name, source, row.get(source), None if types is None else types.field(source).type)
        if source != name or more:
            given = [] if source == name else [f"from = {_quoted(source)}"]
            lines.append(f"{name} = {{ {', '.join([*given, *more])} }}")
    unused = [column for column in files.columns if column not in taken]
    lines += [f"# not read: {', '.join(unused)}"] if unused else []
    return "\n".join(lines) + "\n"


def _like(name: str, columns: tuple[str, ...]) -> list[str]:
    folded = {re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_"): column for column in columns}
    return [folded[known] for known in (name, *_NAMES[name]) if known in folded]


def _details(name: str, source: str, value: object, kind: pa.DataType | None) -> list[str]:
    if name == "latency_ms" and re.search(r"(_s|_sec|_seconds)$", source.lower()):
        return ['unit = "s"']
    if name not in ("event_time", "ingested_at"):
        return []
    number = _number(value)
    if number is not None:
        return [f'unit = "{next(unit for least, unit in _UNITS if abs(number) >= least)}"']
    if kind is not None and pa.types.is_timestamp(kind):
        return [] if kind.tz else ['time_zone = "UTC"']
    text = str(value or "")
    return [] if re.search(r"(Z|UTC|[+-]\d{2}:?\d{2})$", text) else ['time_zone = "UTC"']


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _first_row(path: Path, columns: tuple[str, ...], delimiter: str | None) -> dict[str, object]:
    if delimiter is None:
        with pq.ParquetFile(path) as file:
            batch = next(file.iter_batches(batch_size=1), None)
        rows = batch.to_pylist() if batch is not None else []
        return dict(rows[0]) if rows else {}
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file, delimiter=delimiter)
        next(lines, None)
        return dict(zip(columns, next(lines, []), strict=False))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
