"""Logs in W3C's extended format: the columns are those of the newest #Fields line."""

import pytest

from features.exceptions import InputError
from features.home.home import Home
from features.home.raw_tables import read_events
from features.ingest.ingest import ingest
from features.ingest.trial import tried
from features.settings.load import load_settings
from features.sources.mapping.guess import guess
from features.sources.w3c import read_w3c
from features.windows import utc

NOW = utc(2026, 12, 1)
IIS = b"""#Software: Microsoft Internet Information Services 10.0\r
#Version: 1.0\r
#Date: 2026-11-22 10:00:00\r
#Fields: date time cs-method cs-uri-stem cs-username cs(User-Agent) sc-status time-taken\r
2026-11-22 10:00:00 GET /v1/a acme python-requests/2.31 200 15\r
2026-11-22 10:00:01 GET /v1/a beta - 404 31\r
#Date: 2026-11-22 11:00:00\r
#Fields: date time cs-username cs-uri-stem sc-status x-new\r
2026-11-22 11:00:00 gamma /v1/b 200 n\r
"""
EDGE = b"""#Version: 1.0
#Fields: date time x-edge-request-id cs-uri-stem sc-status time-taken cs(X-Account)
2026-11-22\t10:00:00\tr1\t/v1/a\t200\t0.012\tacme
2026-11-22\t10:00:01\tr2\t/v1/a\t200\t0.4\tacme
"""


def read(path, content, *columns, **options):
    path.write_bytes(content)
    seen = set()
    parts = list(read_w3c(path, columns, seen=seen, **options))
    rows = [tuple(row.values()) for part in parts for row in part.table.to_pylist()]
    faults = [(fault.line, fault.reason, fault.what) for part in parts for fault in part.faults]
    return rows, [int(n) for part in parts for n in part.numbers], faults, seen


@pytest.mark.parametrize("block_bytes", [20, 8 << 20])
def test_fields_may_change_in_the_middle(tmp_path, block_bytes):
    columns = ("cs-username", "sc-status", "cs-method", "cs(User-Agent)")
    rows, numbers, faults, seen = read(tmp_path / "u_ex.log", IIS, *columns, block_bytes=block_bytes)
    assert rows == [
        ("acme", "200", "GET", "python-requests/2.31"),
        ("beta", "404", "GET", None),
        ("gamma", "200", None, None),
    ]
    assert (numbers, faults) == ([5, 6, 9], [])
    assert {"time-taken", "x-new"} <= seen


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        (b"a\n", (2, "line_unreadable", "1 field instead of 2")),
        (b"a b c\n", (2, "line_unreadable", "3 fields instead of 2")),
        (b"a \xff\n", (2, "line_not_utf8", "bytes that are not UTF-8")),
        (b"a b", (2, "file_cut_short", "the line has no end: it is still being written, or was cut")),
    ],
)
def test_a_line_that_is_no_row_is_a_fault(tmp_path, line, fault):
    assert read(tmp_path / "x.log", b"#Fields: x y\n" + line, "x")[2] == [fault]


def test_values_may_be_quoted_and_lines_before_any_fields_are_faults(tmp_path):
    rows, _, faults, _ = read(tmp_path / "x.log", b'#Version: 1.0\n1 2\n#Fields: x y\n"a b" c\n5" d\n', "x", "y")
    assert rows == [("a b", "c"), ('5"', "d")]
    assert faults == [(2, "line_unreadable", "no #Fields line before it names the columns")]


@pytest.mark.parametrize(
    ("name", "content", "accounts", "latencies"),
    [
        ("u_ex261122.log", IIS, ["acme", "beta", "gamma"], [15.0, 31.0, None]),
        ("E2ABC.2026-11-22-10.d111abc", EDGE, ["acme", "acme"], [12.0, 400.0]),
    ],
)
def test_such_a_log_is_proposed_and_ingested(tmp_path, name, content, accounts, latencies):
    (tmp_path / name).write_bytes(content)
    mapping, remarks = tried(guess(tmp_path / name), now=NOW)
    text = mapping.text.replace(
        "# account_id (required): no column looks like it", 'account_id = { from = "cs(X-Account)" }'
    )
    assert remarks[0] == f"Tried on {len(accounts)} rows: {len(accounts)} can be read."
    config = tmp_path / "bellwether.toml"
    config.write_text(text)
    home = Home(load_settings(config, home=tmp_path / "home", threads=1))
    for _ in range(2):
        report = ingest(home, now=NOW, events=[tmp_path / name], backfill=True)
        assert report.table("events").quarantined == {}
    engine = home.engine()
    rows = engine.to_arrow(read_events(engine, home).order_by("event_time")).to_pylist()
    engine.close()
    assert [(row["account_id"], row["latency_ms"]) for row in rows] == list(zip(accounts, latencies, strict=True))


def test_a_column_that_no_fields_line_names_is_missing(tmp_path):
    (tmp_path / "x.log").write_bytes(EDGE)
    columns = {"account_id": {"from": "cs-username"}, "event_time": {"from": "date", "time_zone": "UTC"}}
    home = Home(load_settings(home=tmp_path / "home", threads=1, sources={"events": {"columns": columns}}))
    with pytest.raises(InputError, match=r"reads .cs-username., which x\.log does not have"):
        ingest(home, now=NOW, events=[tmp_path / "x.log"], backfill=True)
