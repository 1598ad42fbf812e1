"""A first mapping, guessed from the columns of a file."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from features.exceptions import InputError
from features.schema import EVENTS
from features.sources.files import SourceFiles, find_files, group_files

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
        "client",
    ),
    "event_time": (
        "timestamp",
        "time",
        "ts",
        "requested_at",
        "submitted_at",
        "created_at",
        "request_time",
        "datetime",
        "date",
        "occurred_at",
    ),
    "ingested_at": ("received_at", "loaded_at", "processed_at"),
    "endpoint": ("route", "path", "request_path", "uri", "url", "resource"),
    "method": ("http_method", "request_method", "verb"),
    "status": ("status_code", "http_status", "response_code", "response_status", "code"),
    "latency_ms": ("latency", "duration", "response_time", "elapsed", "took", "wait"),
    "token": ("api_key", "key_id", "token_id", "access_token"),
    "user_id": ("user", "uid", "username"),
    "sdk": ("sdk_name", "client_library", "library"),
    "sdk_version": ("client_version", "library_version"),
    "synthetic": ("is_synthetic", "is_probe", "probe"),
}
# What a name of a duration may end in, and the unit it says.
_ENDINGS = {"ms": "ms", "millis": "ms", "us": "us", "micros": "us", "ns": "ns", "nanos": "ns"} | dict.fromkeys(
    ("s", "sec", "secs", "seconds"), "s"
)
_UNITS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (0.0, "s"))


def guessed_mapping(path: Path) -> str:
    """TOML of ``[sources.events.columns]`` for a file of API calls, with a line for every column it has to be told of.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    files = group_files(find_files([path]))[0]
    if not files.columns:
        raise InputError(f"{path} is empty: there is nothing to guess from. Give a file with some calls.")
    row, types = _first_row(files)
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
        more, remark = _details(name, source, row.get(source), types.field(source).type)
        if source != name or more:
            given = [] if source == name else [f"from = {_quoted(source)}"]
            lines.append(f"{name} = {{ {', '.join([*given, *more])} }}{remark and f'  # {remark}'}")
    unused = [column for column in files.columns if column not in taken]
    lines += [f"# not read: {_quoted(', '.join(unused))[1:-1]}"] if unused else []
    return "\n".join(lines) + "\n"


def _like(name: str, columns: tuple[str, ...]) -> list[str]:
    folded: dict[str, str] = {}
    for column in columns:
        words = _folded(column)
        folded.setdefault(words, column)
        if name == "latency_ms":
            stem, _, ending = words.rpartition("_")
            folded.setdefault(stem if ending in _ENDINGS else words, column)
    return [folded[known] for known in (name, *_NAMES[name]) if known in folded]


def _folded(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")


def _details(name: str, source: str, value: object, kind: pa.DataType) -> tuple[list[str], str]:
    """What else the mapping has to say of a column, and what its reader should know."""
    if name == "latency_ms":
        ending = _folded(source).rpartition("_")[2]
        if ending not in _ENDINGS:
            return [], 'taken for milliseconds; add unit = "s" if it counts seconds'
        return ([] if _ENDINGS[ending] == "ms" else [f'unit = "{_ENDINGS[ending]}"']), ""
    return _details_of_time(value, kind) if name in ("event_time", "ingested_at") else ([], "")


def _details_of_time(value: object, kind: pa.DataType) -> tuple[list[str], str]:
    number = _number(value)
    if number is not None:
        unit = next(unit for least, unit in _UNITS if abs(number) >= least)
        return [f'unit = "{unit}"'], f"the first row holds {number:.0f}"
    if pa.types.is_timestamp(kind):
        return ([], "") if kind.tz else (['time_zone = "UTC"'], "the times say no zone; is it UTC?")
    if re.search(r"(Z|UTC|[+-]\d{2}:?\d{2})$", str(value or "")):
        return [], ""
    return ['time_zone = "UTC"'], "the times say no zone; is it UTC?"


def _number(value: object) -> float | None:
    try:
        return float(str(value))
    except ValueError:
        return None


def _first_row(files: SourceFiles) -> tuple[dict[str, object], pa.Schema]:
    for rows in files.rows(files.paths[0], files.columns, seen=set()):
        if len(rows.table):
            return dict(rows.table.slice(0, 1).to_pylist()[0]), rows.table.schema
    return {}, files.schema


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
