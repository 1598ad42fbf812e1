"""What people really have goes in through ``ingest``: access logs and exports, whole, broken, full of secrets."""

import bz2
import gzip
import json
import lzma
import os
import re
import zipfile
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from features.cli import main
from features.engine.duckdb_engine import duckdb_engine
from features.exceptions import InputError, SettingsError, WorkFailedError
from features.home.home import Home
from features.home.raw_tables import read_events, read_raw
from features.home.secret import pseudonym, secret_key
from features.ingest.dry_run import Refusal, dry_run
from features.ingest.ingest import ingest
from features.ingest.quarantine import read_quarantine
from features.settings.load import load_settings
from features.windows import utc

NOW = utc(2026, 2, 1)
LINE = '10.0.0.7 - - [{}] "GET {} HTTP/1.1" 200 5 "-" "curl/8.1" 0.012 "{}"'
LOG = {
    "format": '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" '
    '"$http_user_agent" $request_time "$http_x_account_id"',
    "columns": {
        "account_id": {"from": "http_x_account_id"},
        "event_time": {"from": "time_local"},
        "endpoint": {"from": "uri"},
        "token": {"from": "arg_key"},
        "latency_ms": {"from": "request_time", "unit": "s"},
    },
}
EXPORT = {
    "columns": {
        "event_id": {"from": "_id"},
        "account_id": {"from": "company_id"},
        "event_time": {"from": "request.time"},
        "endpoint": {"from": "request.uri"},
        "method": {"from": "request.verb"},
        "status": {"from": "response.status"},
        "latency_ms": {"from": "duration_ms"},
        "token": {"from": "session_token"},
        "sdk": {"from": "request.headers.X-Client"},
    }
}


@pytest.fixture
def settings(tmp_path):
    def declared(**sources):
        return load_settings(home=tmp_path / "home", threads=1, sources=sources)

    return declared


def put(path, *lines):
    content = ("\n".join(lines) + "\n").encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def line(account="acme", path="/v1/orders/5", time="01/Jan/2026:10:00:00 +0000"):
    return LINE.format(time, path, account)


def call(number=1, **more):
    """One call as an API-analytics product exports it."""
    request = {
        "time": "2026-01-01T10:00:00.250Z",
        "verb": "POST",
        "uri": f"https://ada:pw-secret@api.example.org/v1/orders/{number};sid=sid-secret?api_key=key-secret#frag-secret",
        "headers": {"Authorization": "Bearer auth-secret", "X-Client": "python"},
        "body": {"card": "card-secret"},
        "ip_address": "203.0.113.9",
    }
    response = {"time": "2026-01-01T10:00:00.371Z", "status": 201, "headers": {}, "body": "b64-secret"}
    event = {"_id": f"e{number}", "company_id": "acme", "user_id": "u-secret", "session_token": "session-secret"}
    return {**event, "duration_ms": 121, "request": request, "response": response, **more}


def read(settings, made, *columns):
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    got = engine.to_arrow(made(engine).select(*columns)).to_pylist()
    engine.close()
    return [row[columns[0]] for row in got] if len(columns) == 1 else got


def events(settings, *columns):
    return read(settings, lambda engine: read_events(engine, Home(settings)).order_by("account_id"), *columns)


def refused(settings):
    def ordered(engine):
        return read_quarantine(engine, Home(settings), "events").order_by("source_row")

    return read(settings, ordered, "reason", "source_row")


def files_with(settings, word):
    return [path for path in settings.home.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def note(report, start):
    (found,) = [text for text in report.notes if text.startswith(start)]
    return found


# ---- access logs ----


def test_an_access_log_is_ingested_by_its_format(tmp_path, settings):
    home = settings(events=LOG)
    path = put(tmp_path / "access.log.1.gz", line(path="/v1/orders/5?key=key-1"), "broken key-secret", line("beta"))
    report = ingest(Home(home), now=NOW, events=[path], backfill=True)
    token = pseudonym(secret_key(home.home), "key-1")
    same = {"endpoint": "/v1/orders/{id}", "event_time": utc(2026, 1, 1, 10), "latency_ms": 12.0}
    assert events(home, "account_id", "token", *same) == [
        {"account_id": "acme", "token": token, **same},
        {"account_id": "beta", "token": None, **same},
    ]
    assert refused(home) == [{"reason": "line_unreadable", "source_row": 2}]
    assert "access.log.1.gz line 2 (it departs from the format" in note(report, "events: lines that hold no row")
    assert note(report, "events: no event_id") == (
        "events: no event_id; identical lines of two files, but not of one, were taken for one event."
    )
    assert files_with(home, "key-secret") == files_with(home, "key-1") == []


def test_identical_lines_are_as_many_calls_however_often_the_log_is_ingested(tmp_path, settings):
    home = settings(events=LOG)
    grown = put(tmp_path / "access.log", line(), line())
    assert ingest(Home(home), now=NOW, events=[grown], backfill=True).table("events").rows_stored == 2
    put(grown, line(), line(), line(), line(path="/v1/orders/5?page=2"))
    rotated = put(tmp_path / "access.log.1", line(), line(), line())
    again = ingest(Home(home), now=NOW, events=[grown, rotated], backfill=True).table("events")
    assert (again.rows_stored, again.duplicates) == (2, 5)
    assert events(home, "account_id") == ["acme"] * 4


def test_a_refused_line_is_one_however_often_its_file_is_renamed(tmp_path, settings):
    home = settings(events=LOG)
    unsigned = [line("-"), line("-")]  # of one second: identical
    log = put(tmp_path / "access.log", "broken", line(), *unsigned)
    ingest(Home(home), now=NOW, events=[log], backfill=True)
    first = refused(home)
    assert [row["reason"] for row in first] == ["line_unreadable", "account_id_missing", "account_id_missing"]
    rotated = log.rename(tmp_path / "access.log.1")
    put(log, line("beta"))
    report = ingest(Home(home), now=NOW, events=[log, rotated], backfill=True).table("events")
    assert report.quarantined == {"account_id_missing": 2, "line_unreadable": 1}
    packed = put(tmp_path / "access.log.2.gz", "broken", line(), *unsigned)
    ingest(Home(home), now=NOW, events=[log, rotated, packed], backfill=True)
    assert refused(home) == first
    put(log, "broken", *unsigned, line("-"))  # a third of that second
    for _ in range(2):
        ingest(Home(home), now=NOW, events=[log, packed], backfill=True)
        assert len(refused(home)) == len(first) + 1


def test_a_log_read_by_another_mapping_or_with_other_ends_brings_nothing_new(tmp_path, settings):
    lines = [line(), line(), line(path="/v1/files/report"), line(path="/v1/files/ada@example.org")]
    log = put(tmp_path / "access.log", *lines)
    assert ingest(Home(settings(events=LOG)), now=NOW, events=[log], backfill=True).table("events").rows_stored == 4
    more = {"sdk": {"from": "http_user_agent"}, "status": {"from": "status"}}
    declared = {**LOG, "columns": LOG["columns"] | more, "path_patterns": ["/v1/files/{file}"]}
    copied = put(tmp_path / "copied.log", *[text + "\r" for text in lines])
    again = ingest(Home(settings(events=declared)), now=NOW, events=[copied], backfill=True).table("events")
    assert (again.rows_stored, again.duplicates, again.quarantined) == (0, 4, {})


def test_patterns_make_no_other_events_of_an_export_without_ids(tmp_path, settings):
    rows = ["acme,2026-01-01T10:00:00Z,/v1/files/a", "acme,2026-01-01T10:00:00Z,/v1/files/b"]
    export = put(tmp_path / "e.csv", "account_id,event_time,endpoint", *rows)
    assert ingest(Home(settings()), now=NOW, events=[export], backfill=True).table("events").rows_stored == 2
    declared = settings(events={"path_patterns": ["/v1/files/{file}"]})
    again = ingest(Home(declared), now=NOW, events=[export], backfill=True).table("events")
    assert (again.rows_stored, again.duplicates, again.quarantined) == (0, 2, {})


def test_an_account_known_by_its_key_is_kept_as_a_hash_everywhere(tmp_path, settings):
    key = {"account_id": {"from": "arg_key", "hashed": True}}
    accounts = {"columns": {"account_id": {"from": "key", "hashed": True}}}
    home = settings(events={**LOG, "columns": LOG["columns"] | key}, accounts=accounts)
    log = put(tmp_path / "access.log", line(path="/v1/a?key=sk-secret"), line(path="/v1/a"))
    crm = put(tmp_path / "crm.csv", "key,name", " sk-secret ,Acme")
    report = ingest(Home(home), now=NOW, events=[log], accounts=[crm], backfill=True)
    hashed = pseudonym(secret_key(home.home), "sk-secret")
    assert events(home, "account_id") == [hashed]
    assert read(home, lambda engine: read_raw(engine, Home(home), "accounts"), "account_id") == [hashed]
    assert note(report, "accounts and events") == "accounts and events: 1 account matched."
    assert files_with(home, "sk-secret") == []


def test_a_folder_of_logs_is_read_without_its_error_log(tmp_path, settings):
    folder = tmp_path / "nginx"
    folder.mkdir()
    for name in ("access.log", "access.log.1", "access.log-20260101.gz", "other_access_log"):
        put(folder / name, line(name.replace("_", "-")))
    others = (
        "error.log",
        "error.log.1",
        "example.com-error.log",
        "ssl_error_log",
        "x_error.log.1",
        "error-20260101.log",
    )
    for name in others:
        put(folder / name, "2026/01/01 10:00:00 [notice] 1#1: start")
    home = settings(events=LOG)
    assert ingest(Home(home), now=NOW, events=[folder], backfill=True).table("events").files == 4


def test_a_json_log_of_nginx_own_variables_is_read_as_its_text_log(tmp_path, settings):
    first = rb'{"time_local":"01/Jan/2026:12:00:00 +0200","request":"GET /v1/orders/5?key=k1 HTTP/1.1","status":"200",'
    second = rb'{"time_local":"01/Jan/2026:10:00:01 +0000","request":"\x16\x03\x01","status":"400",'
    more = rb'"request_time":"0.012","http_user_agent":"\x22curl\x22/8.1","http_x_account_id":"acme"}'
    (tmp_path / "access.log").write_bytes(first + more + b"\n" + second + more + b"\n")
    columns = {**LOG["columns"], "method": {"from": "request_method"}}
    home = settings(events={"format": "json", "columns": columns})
    report = ingest(Home(home), now=NOW, events=[tmp_path / "access.log"], backfill=True)
    assert report.table("events").quarantined == {}
    token = pseudonym(secret_key(home.home), "k1")
    rows = {
        (e["event_time"], e["endpoint"], e["method"], e["token"], e["latency_ms"])
        for e in events(home, "account_id", "event_time", "endpoint", "method", "token", "latency_ms")
    }
    assert rows == {
        (utc(2026, 1, 1, 10), "/v1/orders/{id}", "GET", token, 12.0),
        (utc(2026, 1, 1, 10) + timedelta(seconds=1), None, None, None, 12.0),
    }


def test_a_json_object_called_request_is_no_request_line(tmp_path, settings):
    put(tmp_path / "e.json", json.dumps({"account_id": "a", "event_time": "2026-01-01T10:00:00Z", "request": {"x": 1}}))
    home = settings(events={"columns": {"endpoint": {"from": "uri"}}})
    with pytest.raises(SettingsError, match=r"reads 'uri', which e\.json does not have"):
        ingest(Home(home), now=NOW, events=[tmp_path / "e.json"], backfill=True)


def pack(path, text):
    """A file packed as its ending says."""
    content, ending = text.encode() + b"\n", path.suffix
    if ending == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("access.log", content)
        return
    packed = {".bz2": bz2.compress, ".xz": lzma.compress, ".gz": gzip.compress}
    packed[".zst"] = lambda given: pa.compress(given, "zstd", asbytes=True)
    path.write_bytes(packed.get(ending, bytes)(content))


def test_a_folder_is_read_whole_or_says_what_of_it_is_not(tmp_path, settings):
    folder = tmp_path / "logs"
    folder.mkdir()
    names = ("access.log", "access.log.1.old", "access.log.2026-11-20T00:00:00", "E2ABC.2026-11-20-21.d111abc.gz")
    packed = ("access.log.1.zst", "access.log.2.bz2", "access.log.3.xz", "access.log.4.zip")
    others = ("access.txt", "access.log.lz4", "logs.tar.gz", "error.log")
    for account, name in enumerate((*names, *packed, *others)):
        pack(folder / name, line(f"a{account:02d}"))
    home = settings(events=LOG)
    report = ingest(Home(home), now=NOW, events=[folder], backfill=True)
    assert (report.table("events").files, events(home, "account_id")) == (8, [f"a{n:02d}" for n in range(8)])
    unread = "access.log.lz4, access.txt, error.log, logs.tar.gz"
    assert note(report, "events: 4 files are not read") == f"events: 4 files are not read, by name no data: {unread}."
    globbed = ingest(Home(home), now=NOW, events=[str(folder / "*")], backfill=True)
    assert note(globbed, "events: 3 files are not read")  # who names an error log means it


def damaged_parquet(path):
    rows = {"account_id": [f"x{n}" for n in range(200_000)], "event_time": ["2026-01-01T00:00:00Z"] * 200_000}
    pq.write_table(pa.table(rows), path, row_group_size=150_000)
    content = bytearray(path.read_bytes())
    start = pq.read_metadata(path).row_group(1).column(0).dictionary_page_offset
    content[start : start + 2000] = b"\xff" * 2000
    path.write_bytes(bytes(content))


def damaged_csv(path):
    content = gzip.compress(b"account_id,event_time\n" + b"x,2026-01-01T00:00:00Z\n" * 900_000)
    path.write_bytes(content[:-8] + bytes(8))  # its checksum comes when most of it was read


@pytest.mark.parametrize(
    ("name", "write", "why"),
    [
        ("b.parquet", damaged_parquet, "is damaged"),
        ("b.csv.gz", damaged_csv, "is damaged: it cannot be unpacked. Write it again."),
        ("b.csv.bz2", lambda path: path.write_bytes(b"no bzip2"), "is damaged: it cannot be unpacked. Write it again."),
        ("b.csv", lambda path: path.write_bytes(b"a,a\n1,2\n"), "names a column twice: a. Rename one."),
        ("b.jsonl", lambda path: path.write_bytes(b"no\nobject\n"), "No line of .* can be read"),
        ("b.parquet", lambda path: path.write_bytes(b"PAR1"), "cannot be read as Parquet"),
    ],
)
def test_one_damaged_file_of_a_folder_does_not_keep_the_others_out(tmp_path, settings, name, write, why):
    folder = tmp_path / "calls"
    folder.mkdir()
    for letter in "ac":
        put(folder / f"{letter}.csv", "account_id,event_time", f"{letter},2026-01-01T10:00:00Z")
    write(folder / name)
    home = settings()
    report = ingest(Home(home), now=NOW, events=[folder], backfill=True)
    assert events(home, "account_id") == ["a", "c"]
    assert (report.table("events").files, report.table("events").rows_read, refused(home)) == (2, 2, [])
    assert [path.name for path in report.damaged] == [name]
    assert re.search(why, note(report, f"events: left out {name}: "))
    assert "Nothing was stored" not in " ".join(report.notes)


def test_a_folder_of_damaged_files_alone_stores_nothing(tmp_path, settings):
    for name in ("a.csv.gz", "b.csv.gz"):
        (tmp_path / name).write_bytes(b"no gzip")
    with pytest.raises(InputError, match=r"a.csv.gz is damaged: .* Nothing was stored"):
        ingest(Home(settings()), now=NOW, events=[tmp_path], backfill=True)


def test_an_ingest_that_left_a_damaged_file_out_exits_with_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "in.csv", "account_id,event_time", "a,2026-01-01T10:00:00Z")
    (tmp_path / "bad.csv.zst").write_bytes(b"no zstd")
    result = CliRunner().invoke(main, ["--home", "h", "ingest", "--events", ".", "--backfill"])
    assert isinstance(result.exception, WorkFailedError)
    assert "Left out as damaged: bad.csv.zst" in str(result.exception)


def test_a_log_of_json_lines_is_read_as_such(tmp_path, settings):
    declared = {"format": "json", "columns": {"account_id": {"from": "acct"}, "event_time": {"from": "t"}}}
    home = settings(events=declared)
    path = put(tmp_path / "access.log", '{"acct": "acme", "t": "2026-01-01T10:00:00Z"}')
    ingest(Home(home), now=NOW, events=[path], backfill=True)
    assert events(home, "account_id") == ["acme"]


def test_identical_lines_of_a_json_log_are_as_many_calls(tmp_path, settings):
    columns = {"account_id": {"from": "acct"}, "event_time": {"from": "t"}}
    home = settings(events={"format": "json", "columns": columns})
    lines = ['{"acct": "acme", "t": "2026-01-01T10:00:00Z"}'] * 2
    path = put(tmp_path / "access.log", *lines)
    report = ingest(Home(home), now=NOW, events=[path], backfill=True)
    assert report.table("events").rows_stored == 2
    assert "lines of two files, but not of one" in note(report, "events: no event_id")
    more = settings(events={"format": "json", "columns": columns | {"sdk": {"from": "acct"}}})
    rotated = put(tmp_path / "access.jsonl", *[text + "\r" for text in lines], lines[0])
    again = ingest(Home(more), now=NOW, events=[rotated], backfill=True).table("events")
    assert (again.rows_stored, again.duplicates) == (1, 2)


def test_accounts_are_read_from_a_json_log_too(tmp_path, settings):
    home = settings(accounts={"format": "json", "columns": {"account_id": {"from": "acct"}}})
    log = put(tmp_path / "accounts.log", '{"acct": "acme"}', '{"acct": "acme"}')
    assert ingest(Home(home), now=NOW, accounts=[log], backfill=True).table("accounts").rows_stored == 1


@pytest.mark.parametrize(
    ("declared", "content", "error", "text"),
    [
        ({}, line(), SettingsError, r'access.log is a log, .* \[sources.events\]: format = "combined", or the text of'),
        (
            {"format": "fancy"},
            line(),
            SettingsError,
            r"\[sources.events\] format: The log format 'fancy' names no field",
        ),
        (LOG | {"format": "combined"}, line(), SettingsError, r"reads 'http_x_account_id', which access.log does not"),
        (LOG, "x y z", InputError, r"No line of .*access.log can be read; line 1: it departs from the format"),
        ({**LOG, "columns": {"endpoint": {"hashed": True}}}, line(), SettingsError, r"is to be hashed, which only an"),
    ],
)
def test_what_is_wrong_with_a_log_or_its_format_is_said(tmp_path, settings, declared, content, error, text):
    home = settings(events=declared)
    with pytest.raises(error, match=text):
        ingest(Home(home), now=NOW, events=[put(tmp_path / "access.log", content)])


# ---- exports ----


def test_an_export_is_ingested_without_bodies_queries_and_secrets(tmp_path, settings):
    home = settings(events=EXPORT)
    bad = call(2, company_id="a b", response={"status": 99, "body": "b64-secret"})
    path = tmp_path / "export.json"
    path.write_text(json.dumps([call(), bad, {"request": "key-secret"}], indent=1)[:-2] + ",\n {broken key-secret\n]")
    report = ingest(Home(home), now=NOW, events=[path], backfill=True)
    (row,) = events(home, "event_id", "endpoint", "method", "status", "latency_ms", "sdk", "event_time", "token")
    assert row == {
        "event_id": "e1",
        "endpoint": "/v1/orders/{id}",
        "method": "POST",
        "status": 201,
        "latency_ms": 121.0,
        "sdk": "python",
        "event_time": utc(2026, 1, 1, 10) + timedelta(milliseconds=250),
        "token": pseudonym(secret_key(home.home), "session-secret"),
    }
    reasons = {"account_id_invalid": 1, "account_id_missing": 1, "line_unreadable": 1}
    assert report.table("events").quarantined == reasons
    assert files_with(home, "secret") == []
    assert "secret" not in " ".join(report.notes)


def test_an_export_that_stops_halfway_is_stored_as_far_as_it_goes(tmp_path, settings):
    home = settings(events=EXPORT)
    path = tmp_path / "export.json"
    whole = json.dumps([call(number) for number in range(9)])
    path.write_text(whole[: len(whole) // 2])
    report = ingest(Home(home), now=NOW, events=[path], backfill=True).table("events")
    assert report.rows_stored == 4
    assert report.quarantined == {"file_cut_short": 1}
    path.write_text(whole)
    assert ingest(Home(home), now=NOW, events=[path], backfill=True).table("events").rows_stored == 5


# ---- clocks ----


def wrote(path, moment):
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    return path


@pytest.mark.parametrize(
    ("times", "written", "said"),
    [
        (
            ["01/Feb/2026:02:00:00 +0000", "01/Feb/2026:00:01:00 +0000"],
            [NOW, NOW],
            "in the future, which is refused; the newest 2 h 00 min after its file was last written. Zones differ",
        ),
        (
            ["01/Jan/2026:10:00:00 +0000", "01/Jan/2026:09:00:00 +0000"],
            [utc(2026, 1, 1, 5), utc(2026, 1, 1, 12)],
            "the newest of a0.log lie up to 5 h 00 min after the file was last written: their clock is ahead",
        ),
        (
            ["01/Jan/2026:10:00:00 +0000", "02/Jan/2026:10:00:00 +0000"],
            [utc(2026, 1, 1, 12, 0, 30), utc(2026, 1, 2, 11, 59, 45)],
            "the newest of each file lies 2 h 00 min before the file was last written. If it was being",
        ),
    ],
)
def test_a_clock_in_the_wrong_zone_is_noticed(tmp_path, settings, times, written, said):
    home = settings(events=LOG)
    paths = [
        wrote(put(tmp_path / f"a{number}.log", line(time=time)), moment)
        for number, (time, moment) in enumerate(zip(times, written, strict=True))
    ]
    report = ingest(Home(home), now=NOW, events=paths)
    (text,) = [text for text in report.notes if "last written" in text]
    assert said in text


@pytest.mark.parametrize(
    ("times", "written"),
    [
        (  # each night, of the day before
            ["01/Jan/2026:23:59:58 +0000", "02/Jan/2026:23:58:40 +0000"],
            [utc(2026, 1, 2, 2, 0, 20), utc(2026, 1, 3, 2, 0, 9)],
        ),
        (
            ["01/Jan/2026:10:55:00 +0000", "02/Jan/2026:10:20:00 +0000"],
            [utc(2026, 1, 1, 12, 55), utc(2026, 1, 2, 12, 20)],
        ),
        (["01/Jan/2026:10:20:00 +0000"], [utc(2026, 1, 1, 12, 20)]),
    ],
    ids=["whole days", "one of two at an hour's end", "one alone"],
)
def test_an_export_of_whole_hours_or_one_file_alone_is_no_sign_of_a_wrong_clock(tmp_path, settings, times, written):
    paths = [
        wrote(put(tmp_path / f"a{number}.log", line(time=time)), moment)
        for number, (time, moment) in enumerate(zip(times, written, strict=True))
    ]
    report = ingest(Home(settings(events=LOG)), now=NOW, events=paths, backfill=True)
    assert [text for text in report.notes if "last written" in text] == []


@pytest.mark.parametrize(
    "written",
    [
        [utc(2026, 1, 1, 10, 1), utc(2026, 1, 1, 10)],  # right
        [utc(2026, 1, 1, 12), utc(2026, 1, 1, 11)],  # copied at some time
        [utc(2026, 1, 1, 12, 10), utc(2026, 1, 1, 12, 10)],
        [utc(2026, 1, 9, 10), utc(2026, 1, 9, 10)],
    ],
)
def test_files_that_were_only_kept_or_copied_are_no_sign_of_a_wrong_clock(tmp_path, settings, written):
    paths = [wrote(put(tmp_path / f"a{number}.log", line()), moment) for number, moment in enumerate(written)]
    report = ingest(Home(settings(events=LOG)), now=NOW, events=paths, backfill=True)
    assert [text for text in report.notes if "last written" in text] == []


# ---- accounts of the log and of the CRM ----


def test_a_crm_export_without_half_of_the_accounts_is_said(tmp_path, settings):
    home = settings(events=LOG)
    log = put(tmp_path / "access.log", *[line(f"a{number}") for number in range(8)])
    ingest(Home(home), now=NOW, events=[log], backfill=True)
    crm = put(tmp_path / "crm.csv", "account_id", "a0", "a1", "x1", "x2")
    report = ingest(Home(home), now=NOW, accounts=[crm], backfill=True)
    assert note(report, "accounts and events") == (
        "accounts and events: 2 accounts matched; 6 unmatched, which call and do not have an account row: a2, a3, a4, "
        "a5, a6 and 1 more; 2 orphaned, which have an account row and no call: x1, x2."
    )
    more = put(tmp_path / "access.log", line("a0"), line("a9"))
    later = ingest(Home(home), now=NOW, events=[more])
    assert note(later, "accounts and events") == (
        "accounts and events: 1 account matched; 1 unmatched, which call and do not have an account row: a9."
    )
    assert [text for text in later.notes if "subscriptions and events" in text] == []


def test_of_two_crm_exports_each_is_compared_with_the_log(tmp_path, settings):
    log = put(tmp_path / "access.log", line("a0"), line("a1"))
    crm = put(tmp_path / "crm.csv", "account_id", "a0")
    changes = ("a1,2026-01-01T00:00:00Z,start", "x1,2026-01-01T00:00:00Z,start")
    contracts = put(tmp_path / "contracts.csv", "account_id,occurred_at,kind", *changes)
    report = ingest(
        Home(settings(events=LOG)), now=NOW, events=[log], accounts=[crm], subscriptions=[contracts], backfill=True
    )
    assert note(report, "accounts and events") == (
        "accounts and events: 1 account matched; 1 unmatched, which call and do not have an account row: a1."
    )
    assert note(report, "subscriptions and events") == (
        "subscriptions and events: 1 account matched; 1 unmatched, which call and do not have a subscription event: "
        "a0; 1 orphaned, which have a subscription event and no call: x1."
    )


# ---- endpoints ----


def test_too_many_endpoints_are_said_with_the_patterns_to_declare(tmp_path, settings, monkeypatch):
    monkeypatch.setattr("features.ingest.remarks.all.MOST_TEMPLATES", 60)
    words = [f"{first}{second}x" for first in "abcdefgh" for second in "abcdefgh"]
    log = put(tmp_path / "access.log", *[line(path=f"/v1/files/{word}?key=key-secret") for word in words])
    report = ingest(Home(settings(events=LOG)), now=NOW, events=[log], backfill=True)
    assert note(report, "events: 64 different endpoints") == (
        "events: 64 different endpoints, more than 60: their paths name things. Declare under [sources.events] "
        'path_patterns = ["/v1/files/{file}"]; what is stored keeps its endpoints.'
    )
    declared = settings(events={**LOG, "path_patterns": ["/v1/files/{file}"]})
    again = ingest(Home(declared), now=NOW, events=[log], backfill=True)
    assert [text for text in again.notes if "different endpoints" in text] == []
    assert again.table("events").rows_stored == 0


# ---- dry runs ----


def test_a_dry_run_shows_what_an_ingest_would_do_and_writes_nothing(tmp_path, settings):
    home = settings(events=LOG)
    words = [f"{first}{second}x" for first in "abcdefgh" for second in "abcdefgh"]
    lines = [line(path=f"/v1/files/{word}?key=key-secret") for word in words]
    log = put(tmp_path / "access.log", line("a b"), *lines, "broken key-secret", line("c d"))
    outcome = dry_run(Home(home), {"events": [log]}, now=NOW, backfill=True)
    (table,) = outcome.tables
    assert (table.rows_read, table.rows_good, len(table.rows)) == (67, 64, 10)
    assert ("access.log", "latency_ms", "request_time (s)") in table.mapping
    assert table.rows[0]["endpoint"] == "/v1/files/aax"
    assert len(table.rows[0]["token"]) == 32
    assert table.refusals == (
        Refusal("account_id_invalid", 2, ("access.log 1", "access.log 67")),
        Refusal("line_unreadable", 1, ("access.log 66",)),
    )
    assert (outcome.templates, [suggestion.pattern for suggestion in outcome.suggestions]) == (64, ["/v1/files/{file}"])
    assert not home.home.exists()
    whole = ingest(Home(home), now=NOW, events=[log], backfill=True).table("events")
    assert (whole.rows_stored, whole.quarantined) == (64, {"account_id_invalid": 2, "line_unreadable": 1})


def test_a_dry_run_is_printed_without_secrets(tmp_path, monkeypatch):
    declared = tmp_path / "b.toml"
    declared.write_text(
        "[sources.events]\nformat = '$time_local|$uri|$arg_key|$http_x_account_id'\n[sources.events.columns]\n"
        'account_id = { from = "http_x_account_id", hashed = true }\nevent_time = { from = "time_local" }\n'
        'endpoint = { from = "uri" }\ntoken = { from = "arg_key" }\n'
    )
    log = put(tmp_path / "access.log", "01/Jan/2026:10:00:00 +0000|/a|key-secret|acme-secret", "key-secret")
    options = ["--home", str(tmp_path / "home"), "--config", str(declared)]
    for output in ("table", "json", "csv"):
        command = [*options, "ingest", "--events", str(log), "--dry-run", "--backfill", "--format", output]
        result = CliRunner().invoke(main, command, catch_exceptions=False)
        assert result.exit_code == 0
        assert "secret" not in result.output.replace("secret.key", "")
        assert ("the line cannot be read" if output == "table" else "line_unreadable") in result.stdout
        assert "Nothing was stored; without --dry-run it will be." in result.stderr
    assert "http_x_account_id (keyed hash)" in result.stdout
    assert not (tmp_path / "home").exists()
