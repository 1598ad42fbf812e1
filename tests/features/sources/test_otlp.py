"""OTLP JSON, as OpenTelemetry's collector writes it to files: server spans and log records of requests are calls."""

import json
import tomllib

import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.exceptions import InputError
from features.home.home import Home
from features.home.raw_tables import read_events
from features.ingest.ingest import ingest
from features.init import write_configuration
from features.settings.load import load_settings
from features.windows import utc

NOW = utc(2026, 12, 1)
START = 1795335934000000000


def attributes(**values):
    words = {str: "stringValue", int: "intValue", bool: "boolValue"}
    pairs = ((key.replace("__", "."), value) for key, value in values.items())
    return [{"key": key, "value": {words[type(value)]: value}} for key, value in pairs]


def span(number, kind=2, **more):
    values = {"http__request__method": "GET", "http__route": "/v1/orders/{id}", "http__response__status_code": 200}
    return {
        "traceId": f"{number:032x}",
        "spanId": f"{number:016x}",
        "name": "GET /v1/orders/{id}",
        "kind": kind,
        "startTimeUnixNano": str(START + number * 10**9),
        "endTimeUnixNano": str(START + number * 10**9 + 12_500_000),
        "attributes": attributes(**{**values, "tenant__id": f"t{number % 2}"}),
        "status": {"code": 2},
    } | more


def traces(*spans):
    resource = {"attributes": attributes(service__name="api", service__instance__id="x1")}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "s"}, "spans": list(spans)}]}]}


def calls_of(tmp_path, file):
    """What ``init`` proposes for a file, and what ``ingest`` makes of it by that."""
    said = write_configuration(tmp_path / "bellwether.toml", now=NOW, sources=[str(file)])
    home = Home(load_settings(tmp_path / "bellwether.toml", home=tmp_path / "home"))
    report = ingest(home, now=NOW, events=[file], backfill=True)
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    columns = ("account_id", "event_time", "endpoint", "method", "status", "latency_ms")
    rows = engine.to_arrow(read_events(engine, home).order_by("event_time").select(*columns)).to_pylist()
    engine.close()
    return [tuple(row.values()) for row in rows], report, "\n".join(said)


CALLS = [
    ("t0", utc(2026, 11, 22, 8, 25, 34), "/v1/orders/{id}", "GET", 200, 12.5),
    ("t1", utc(2026, 11, 22, 8, 25, 35), "/v1/orders/{id}", "GET", 200, 12.5),
    ("t0", utc(2026, 11, 22, 8, 25, 36), "/v1/orders/{id}", "GET", 200, 12.5),
]
BATCHES = [traces(span(0), span(7, kind=3), span(1)), traces(span(8, kind=1), span(2, "SPAN_KIND_SERVER"))]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("traces.jsonl", "\n".join(map(json.dumps, BATCHES)) + "\n"),
        ("traces.json", "\n".join(map(json.dumps, BATCHES)) + "\n"),
        ("traces.json", json.dumps({"resourceSpans": [b["resourceSpans"][0] for b in BATCHES]})),
        ("traces.json", json.dumps({"resourceSpans": [b["resourceSpans"][0] for b in BATCHES]}, indent=2)),
        ("traces.json", json.dumps(BATCHES)),
    ],
)
def test_server_spans_are_calls_and_the_others_are_told(tmp_path, name, content):
    file = tmp_path / name
    file.write_text(content)
    calls, report, said = calls_of(tmp_path, file)
    assert calls == CALLS
    assert (report.table("events").rows_read, report.table("events").quarantined_total) == (3, 0)
    (note,) = [note for note in report.notes if "passed over" in note]
    assert note == "events: 2 records of clients and of inner work passed over: a call is a span of kind SERVER."
    assert "  row 1: event_id 0000000000000000, account_id t0" in said


def test_spans_between_services_are_told_and_a_span_without_end_has_no_latency(tmp_path):
    file = tmp_path / "traces.jsonl"
    spans = (span(0), span(1, endTimeUnixNano="0"), span(2, parentSpanId="00000000000000aa"))
    file.write_text(json.dumps(traces(*spans)) + "\n{broken\n")
    calls, report, _ = calls_of(tmp_path, file)
    assert [call[-1] for call in calls] == [12.5, None, 12.5]
    assert report.table("events").quarantined == {"line_unreadable": 1}
    assert any("1 record of kind SERVER with a parent: if services of yours call" in note for note in report.notes)


def test_log_records_of_requests_are_calls(tmp_path):
    keys = {"tenant_id": "t0", "path": "/v1/a", "method": "GET", "status": 503}
    logs = [
        {"timeUnixNano": str(START), "attributes": attributes(http__route="/v1/a", tenant__id="t0")},
        {"observedTimeUnixNano": str(START + 10**9), "body": {"stringValue": json.dumps(keys)}},
        {"timeUnixNano": "0", "observedTimeUnixNano": str(START + 2 * 10**9), "body": {"stringValue": "started"}},
        {"timeUnixNano": str(START + 3 * 10**9), "body": {"kvlistValue": {"values": attributes(**keys)}}},
    ]
    file = tmp_path / "logs.jsonl"
    file.write_text(json.dumps({"resourceLogs": [{"scopeLogs": [{"logRecords": logs}]}]}) + "\n")
    columns = {"account_id": "tenant_id", "event_time": "timeUnixNano", "endpoint": "path", "status": "status"}
    mapping = {name: {"from": column} for name, column in columns.items()}
    mapping["event_time"]["unit"] = "ns"
    mapping["account_id"] = {"expression": 'coalesce(tenant_id, "attributes.tenant.id")'}
    home = Home(load_settings(home=tmp_path / "home", sources={"events": {"columns": mapping}}))
    report = ingest(home, now=NOW, events=[file], backfill=True)
    assert (report.table("events").rows_read, report.table("events").rows_stored) == (3, 3)
    assert any("1 record without a request passed over" in note for note in report.notes)


def test_traces_without_a_server_are_no_ground_for_a_guess(tmp_path):
    file = tmp_path / "traces.jsonl"
    file.write_text(json.dumps(traces(span(0, kind=3))) + "\n")
    with pytest.raises(InputError, match=r"traces.jsonl holds no span of kind SERVER and no log record of a request"):
        write_configuration(tmp_path / "bellwether.toml", now=NOW, sources=[str(file)])


def test_metrics_are_refused_with_what_to_export(tmp_path):
    file = tmp_path / "metrics.json"
    file.write_text('{"resourceMetrics": [{"scopeMetrics": []}]}\n')
    for source in (str(file), f"events={file}"):
        with pytest.raises(InputError, match=r"OpenTelemetry's metrics, which name no single call. Export traces"):
            write_configuration(tmp_path / "bellwether.toml", now=NOW, sources=[source])


def test_the_proposal_names_the_attributes(tmp_path):
    file = tmp_path / "traces.jsonl"
    file.write_text(json.dumps(traces(span(0), span(1))) + "\n")
    write_configuration(tmp_path / "bellwether.toml", now=NOW, sources=[str(file)])
    columns = tomllib.loads((tmp_path / "bellwether.toml").read_text())["sources"]["events"]["columns"]
    assert columns["event_time"] == {"from": "startTimeUnixNano", "unit": "ns"}
    assert columns["latency_ms"] == {"from": "durationNanos", "unit": "ns"}
    assert columns["account_id"] == {"from": "attributes.tenant.id"}
