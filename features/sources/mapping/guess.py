"""A first mapping, guessed from the columns of a file."""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from features.exceptions import InputError
from features.schema import EVENTS
from features.settings.fields import SourceSettings
from features.sources.access_logs.request import PARAMETER
from features.sources.files import SourceFiles, find_files, group_files
from features.sources.kinds import is_log
from features.sources.mapping.guess_format import asked_parameters, guessed_format

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
        "company_id",
        "company",
        "client_id",
        "client",
        "remote_user",
    ),
    "event_time": (
        "time_local",
        "time_iso8601",
        "msec",
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
    "latency_ms": ("request_time", "latency", "duration", "response_time", "elapsed", "took", "wait"),
    "token": ("api_key", "apikey", "key_id", "token_id", "access_token", "session_token", "key"),
    "user_id": ("user", "uid", "username"),
    "sdk": ("sdk_name", "client_library", "library"),
    "sdk_version": ("client_version", "library_version"),
    "synthetic": ("is_synthetic", "is_probe", "probe"),
}
# What a name of a duration may end in, and the unit it says.
_ENDINGS = {"ms": "ms", "millis": "ms", "us": "us", "micros": "us", "ns": "ns", "nanos": "ns"} | dict.fromkeys(
    ("s", "sec", "secs", "seconds"), "s"
)
_ROWS_LOOKED_AT = 1000
_OF_AGENT = {"sdk": "^([^/ ]+)", "sdk_version": "^[^/ ]+/([0-9][^ ;)]*)"}
_SIDES = ("request", "response")
_UNITS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (0.0, "s"))


def guessed_mapping(path: Path) -> str:
    """TOML of ``[sources.events.columns]`` for a file of API calls, with a line for every column it has to be told of.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    file = find_files([path]).paths[0]
    declared = guessed_format(file) if is_log(file) else None
    files = group_files([file], SourceSettings(format=declared))[0]
    if not files.columns:
        raise InputError(f"{path} is empty: there is nothing to guess from. Give a file with some calls.")
    columns = files.columns
    if files.log is not None:
        known = {_folded(like) for names in _NAMES.values() for like in names} | set(_NAMES)
        asked = [name for name in asked_parameters(file) if _folded(name.removeprefix(PARAMETER)) in known]
        columns = (*columns, *asked)
    lines = [f"# Guessed from the columns of {files.paths[0].name}; check every line."]
    if declared is not None:
        lines += ["[sources.events]", f"format = {_literal(declared)}", ""]
    return "\n".join([*lines, "[sources.events.columns]", *_lines(files, columns)]) + "\n"


def _lines(files: SourceFiles, columns: tuple[str, ...]) -> Iterator[str]:
    row, types = _first_row(files, columns)
    if files.log is not None:  # what no request has, no account is known by
        columns = tuple(name for name in columns if row.get(name) is not None or name != "remote_user")
    taken = set(columns) & set(EVENTS.schema.names)
    for name in EVENTS.schema.names:
        source = name if name in columns else next((c for c in _like(name, columns) if c not in taken), None)
        if source is None:
            line = _line(name, columns, taken)
            needed = " (required)" if name in EVENTS.required else ""
            yield line or f"# {name}{needed}: no column looks like it"
            continue
        taken.add(source)
        more, remark = _details(name, source, row.get(source), types.field(source).type, is_log=files.log is not None)
        if source != name or more:
            given = [] if source == name else [f"from = {_quoted(source)}"]
            yield f"{name} = {{ {', '.join([*given, *more])} }}{remark and f'  # {remark}'}"
    unused = [column for column in columns if column not in taken and not _is_outer(column, columns)]
    if unused:
        yield f"# not read: {_quoted(', '.join(unused))[1:-1]}"


def _is_outer(column: str, columns: tuple[str, ...]) -> bool:
    """Whether the values inside a column are columns too."""
    return any(other.startswith(f"{column}.") for other in columns)


def _like(name: str, columns: tuple[str, ...]) -> list[str]:
    folded: dict[str, str] = {}
    is_moment = name == "latency_ms"  # the time of a response is no duration
    columns = tuple(c for c in columns if not _is_outer(c, columns) and not (is_moment and c.endswith(".time")))
    for column in columns:
        words = _folded(column)
        folded.setdefault(words, column)
        if name == "latency_ms":
            stem, _, ending = words.rpartition("_")
            folded.setdefault(stem if ending in _ENDINGS else words, column)
    for column in columns:  # request.verb, http_x_account_id and arg_account_id by their last words
        folded.setdefault(_bare(column), column)
    return [folded[known] for known in (name, *_NAMES[name]) if known in folded]


def _bare(column: str) -> str:
    """A column's name without what it lies in."""
    inner = column.removeprefix(PARAMETER) if column.startswith(PARAMETER) else column.rpartition(".")[2]
    return re.sub(r"^(http_)?x_|^http_", "", _folded(inner))


def _line(name: str, columns: tuple[str, ...], taken: Collection[str]) -> str | None:
    """What can be made of other columns where none is it."""
    if name == "account_id":
        keys = [column for column in _like("token", columns) if column not in taken]
        note = "  # known by its key, kept as a keyed hash: map accounts and subscriptions alike"
        return f"account_id = {{ from = {_quoted(keys[0])}, hashed = true }}{note}" if keys else None
    agent = next((column for column in columns if _bare(column) == "user_agent"), None)
    if name in _OF_AGENT and agent is not None:
        expression = f"nullif(regexp_extract({_name(agent)}, '{_OF_AGENT[name]}', 1), '')"
        return f"{name} = {{ expression = {_quoted(expression)} }}"
    begun, ended = (next((column for column in columns if column == f"{side}.time"), None) for side in _SIDES)
    if name == "latency_ms" and begun and ended:
        expression = f"epoch_ms({_name(ended)}::TIMESTAMPTZ) - epoch_ms({_name(begun)}::TIMESTAMPTZ)"
        return f"{name} = {{ expression = {_quoted(expression)} }}"
    return None


def _folded(column: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", column.lower()).strip("_")


def _details(name: str, source: str, value: object, kind: pa.DataType, *, is_log: bool) -> tuple[list[str], str]:
    """What else the mapping has to say of a column, and what its reader should know."""
    if name == "latency_ms" and is_log and source in ("request_time", "upstream_response_time"):
        return ['unit = "s"'], ""
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


def _first_row(files: SourceFiles, columns: tuple[str, ...]) -> tuple[dict[str, object], pa.Schema]:
    """The first value of each column, and their types."""
    for rows in files.rows(files.paths[0], columns, seen=set()):
        if len(rows.table):
            table = rows.table.slice(0, _ROWS_LOOKED_AT)
            first = {name: pc.drop_null(table[name]).slice(0, 1).to_pylist() for name in table.column_names}
            return {name: values[0] if values else None for name, values in first.items()}, table.schema
    return {}, files.asked((), declared=columns)


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _literal(text: str) -> str:
    return _quoted(text) if "'" in text else f"'{text}'"


def _name(column: str) -> str:
    """A column as SQL names it."""
    return '"' + column.replace('"', '""') + '"'
