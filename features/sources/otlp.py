"""Reads what OpenTelemetry's file exporters write: of the spans and log records in OTLP JSON those that are calls."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from features.exceptions import DamagedFileError
from features.sources.json_files.document import read_json
from features.sources.json_files.rows import ObjectRows, keys_of
from features.sources.json_files.text import Text
from features.sources.text.rows import Rows

__all__ = ["is_otlp", "otlp_columns", "read_otlp"]


_START = re.compile(r'\s*\[?\s*\{\s*"(resourceSpans|resourceLogs|resourceMetrics)"\s*:')
_OUTER = ("resourceSpans", "resourceLogs", "resource", "scopeSpans", "scopeLogs", "instrumentationLibrarySpans")
_SERVER = ("2", "SPAN_KIND_SERVER")
_UNKNOWN = ("", "0", "None", "SPAN_KIND_UNSPECIFIED")
_PASSED_SPANS = "{count} of clients and of inner work passed over: a call is a span of kind SERVER"
_PASSED_LOGS = "{count} without a request passed over: a call has attributes such as http.route, or a path or status"
_INNER = (
    "{count} of kind SERVER with a parent: if services of yours call each other, those are counted too; of other "
    "services let account_id be null by an expression over resource.attributes.service.name"
)
_OF_CALLS = frozenset(("method", "status", "status_code", "path", "route", "endpoint", "uri", "url", "request"))
_HEAD_RECORDS = 1000


def is_otlp(path: Path) -> bool:
    """Whether a JSON file is of OpenTelemetry's protocol.

    Raises
    ------
    DamagedFileError
        When it holds metrics, of which no call can be told.
    """
    start = _START.match(Text(path).head())
    if start is not None and start[1] == "resourceMetrics":
        raise DamagedFileError(
            f"{path} holds OpenTelemetry's metrics, which name no single call. Export traces or logs: a file exporter "
            "in the pipeline of traces of the collector. Nothing was stored."
        )
    return start is not None


def otlp_columns(path: Path) -> tuple[str, ...]:
    """Keys of the first spans and log records, those inside others as ``attributes.http.route``."""
    keys: dict[str, None] = {}
    for rows in read_json(path, _OUTER, seen=set()):
        for _, record in zip(range(_HEAD_RECORDS), _records_of(rows, Counter()), strict=False):
            keys.update(dict.fromkeys(keys_of(record[1])))
        if keys:
            break
    return tuple(keys)


def read_otlp(path: Path, columns: Sequence[str], *, seen: set[str]) -> Iterator[Rows]:
    """The calls among the spans and log records of a file, of each the values of ``columns`` as text.

    A row's number is that of the line its batch begins on. ``durationNanos`` is from a span's start to its end.
    """
    for rows in read_json(path, _OUTER, seen=set()):
        calls, told = ObjectRows(columns, seen), Counter[str]()
        for fault in rows.faults:
            calls.refuse(fault)
        for number, record in _records_of(rows, told):
            calls.add(number, json.dumps(record, ensure_ascii=False).encode())
        yield replace(calls.rows(), told=told)


def _records_of(rows: Rows, told: Counter[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, texts in zip(rows.numbers, rows.table.to_pylist(), strict=True):
        outer = {name: json.loads(text) for name, text in texts.items() if text is not None}
        for group in (*outer.get("resourceSpans", ()), *outer.get("resourceLogs", ()), outer):
            resource = {"attributes": _attributes(group.get("resource", {}).get("attributes"))}
            for scope in (*group.get("scopeSpans", ()), *group.get("instrumentationLibrarySpans", ())):
                for span in scope.get("spans", ()):
                    if _is_call(span, told):
                        yield int(number), {**_span(span), "resource": resource}
            for scope in group.get("scopeLogs", ()):
                for log in scope.get("logRecords", ()):
                    record = _log(log)
                    if _OF_CALLS.isdisjoint(key.lower() for key in record) and not _names_call(record["attributes"]):
                        told[_PASSED_LOGS] += 1
                    else:
                        yield int(number), {**record, "resource": resource}


def _is_call(span: Mapping[str, Any], told: Counter[str]) -> bool:
    kind = str(span.get("kind", ""))
    is_call = kind in _SERVER or (kind in _UNKNOWN and _names_call(_attributes(span.get("attributes"))))
    if not is_call:
        told[_PASSED_SPANS] += 1
    elif str(span.get("parentSpanId") or "").strip("0"):
        told[_INNER] += 1
    return is_call


def _names_call(attributes: Mapping[str, Any]) -> bool:
    return any(name.startswith(("http.", "url.")) or name in _OF_CALLS for name in attributes)


def _span(span: Mapping[str, Any]) -> dict[str, Any]:
    """What a span says of its call; not its events, links and status, which is no HTTP status."""
    begun, ended = (_number(span.get(f"{side}TimeUnixNano")) for side in ("start", "end"))
    names = ("traceId", "spanId", "parentSpanId", "name", "startTimeUnixNano")
    return {
        **{name: span[name] for name in names if span.get(name) is not None},
        **({"durationNanos": ended - begun} if begun and ended else {}),
        "attributes": _attributes(span.get("attributes")),
    }


def _log(log: Mapping[str, Any]) -> dict[str, Any]:
    """What a log record says of its call: its attributes, and what is in a body of keys and values."""
    body = _plain(log.get("body") or {})
    if isinstance(body, str) and body.lstrip().startswith("{"):
        try:
            body = json.loads(body)
        except (ValueError, RecursionError):
            body = None
    time = log.get("timeUnixNano") if _number(log.get("timeUnixNano")) else log.get("observedTimeUnixNano")
    own = {name: log[name] for name in ("traceId", "spanId") if log.get(name)}
    own |= {"timeUnixNano": time, "attributes": _attributes(log.get("attributes"))}
    return {**(body if isinstance(body, dict) else {}), **own}


def _attributes(pairs: Sequence[Mapping[str, Any]] | None) -> dict[str, Any]:
    return {str(pair.get("key")): _plain(pair.get("value") or {}) for pair in pairs or ()}


def _plain(value: Mapping[str, Any]) -> Any:
    """The value inside OTLP's word for its type."""
    if "arrayValue" in value:
        return [_plain(item) for item in (value["arrayValue"] or {}).get("values", ())]
    if "kvlistValue" in value:
        return _attributes((value["kvlistValue"] or {}).get("values", ()))
    return next(iter(value.values()), None)


def _number(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None
