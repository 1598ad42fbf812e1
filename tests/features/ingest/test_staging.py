"""Files of every kind and damage go in through ``ingest``; each row is stored, a duplicate, or in quarantine."""

import gzip
import json
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.exceptions import InputError, SettingsError
from features.home.home import Home
from features.home.raw_tables import read_events, read_raw
from features.home.secret import pseudonym, secret_key
from features.ingest.ingest import ingest
from features.ingest.quarantine import read_quarantine
from features.settings.load import load_settings
from features.windows import utc

NOW = utc(2026, 2, 1)
TIME = "2026-01-01T10:00:00Z"


@pytest.fixture
def settings(tmp_path):
    return load_settings(home=tmp_path / "home", threads=1)


def put(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"".join((line.encode() if isinstance(line, str) else line) + b"\n" for line in lines))
    return path


def parquet(path, **columns):
    count = max(len(column) for column in columns.values())
    pq.write_table(pa.table({"account_id": ["a"] * count, "event_time": [TIME] * count} | columns), path)
    return path


def mapped(settings, **columns):
    return load_settings(home=settings.home, threads=1, sources={"events": {"columns": columns}})


def read(settings, made, *columns):
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    got = engine.to_arrow(made(engine).select(*columns)).to_pylist()
    engine.close()
    return [row[columns[0]] for row in got] if len(columns) == 1 else got


def events(settings, *columns):
    return read(settings, lambda engine: read_events(engine, Home(settings)), *columns)


def accounts(settings, *columns):
    return read(settings, lambda engine: read_raw(engine, Home(settings), "accounts").order_by("known_at"), *columns)


def refused(settings, table="events"):
    def ordered(engine):
        return read_quarantine(engine, Home(settings), table).order_by("source_file", "source_row")

    return read(settings, ordered, "reason", "source_file", "source_row", "given")


# ---- lines ----


@pytest.mark.parametrize(
    ("name", "lines", "faulty"),
    [
        (
            "e.csv",
            ["account_id,event_time", f"a,{TIME}", "sk_live_1", b"caf\xe9," + TIME.encode(), f"b,{TIME}"],
            (3, 4),
        ),
        (
            "e.ndjson",
            [
                json.dumps({"account_id": name, "event_time": TIME}) if name else '{"sk_live_1'
                for name in ("a", "", "b")
            ],
            (2,),
        ),
    ],
)
def test_broken_lines_go_to_quarantine_by_number_and_the_others_are_stored(tmp_path, settings, name, lines, faulty):
    path = put(tmp_path / name, *lines)
    report = ingest(Home(settings), now=NOW, events=[path])
    table = report.table("events")
    assert events(settings, "account_id") == ["a", "b"]
    assert table.rows_read == table.rows_stored + table.quarantined_total == len(lines) - name.endswith("csv")
    assert [(row["source_file"], row["source_row"]) for row in refused(settings)] == [(str(path), n) for n in faulty]
    assert any(note.startswith(f"events: lines that hold no row: {name} line {faulty[0]} (") for note in report.notes)
    # Nobody knows where in a broken line a secret is.
    assert all(b"sk_live" not in file.read_bytes() for file in settings.home.rglob("*") if file.is_file())


def test_a_broken_line_of_accounts_is_kept_as_it_is(tmp_path, settings):
    ingest(Home(settings), now=NOW, accounts=[put(tmp_path / "a.csv", "account_id,name", "a,Acme", "b")], backfill=True)
    (row,) = refused(settings, "accounts")
    assert json.loads(row["given"]) == {"fault": "1 column instead of 2", "line": "b"}


@pytest.mark.parametrize("ending", ["csv.gz", "jsonl.gz"])
def test_of_a_gzip_file_cut_short_the_lines_before_are_stored(tmp_path, settings, ending):
    lines = [f"acct-{number * 7919 % 10_007},{TIME}" for number in range(5000)]
    if ending.startswith("json"):
        keys = ("account_id", "event_time")
        lines = [json.dumps(dict(zip(keys, line.split(","), strict=True))) for line in lines]
    else:
        lines.insert(0, "account_id,event_time")
    packed = gzip.compress("\n".join(lines).encode())
    path = tmp_path / f"e.{ending}"
    path.write_bytes(packed[: len(packed) // 2])
    table = ingest(Home(settings), now=NOW, events=[path]).table("events")
    assert table.quarantined == {"file_cut_short": 1}
    assert 100 < table.rows_stored == table.rows_read - 1
    (row,) = refused(settings)
    assert row["source_row"] == table.rows_read + ending.startswith("csv")
    path.write_bytes(packed)
    assert ingest(Home(settings), now=NOW, events=[path]).table("events").rows_stored == 5000 - table.rows_stored


def test_a_text_file_without_one_readable_line_is_refused(tmp_path, settings):
    path = put(tmp_path / "e.jsonl", "[", '{"account_id": "a"},', "]")
    with pytest.raises(
        InputError, match=r"No line of .*e.jsonl can be read; line 1: no JSON object. .*Nothing was sto"
    ):
        ingest(Home(settings), now=NOW, events=[path])


def test_a_file_without_a_row_is_said(tmp_path, settings):
    header = put(tmp_path / "h.csv", "account_id,event_time")
    quiet = put(tmp_path / "q.jsonl")
    report = ingest(Home(settings), now=NOW, events=[header, quiet])
    assert "events: 2 files without a row: h.csv, q.jsonl." in report.notes
    assert report.table("events").rows_read == 0


# ---- JSON Lines ----


def test_nested_values_are_unread_unless_an_expression_picks_them(tmp_path, settings):
    path = put(
        tmp_path / "e.jsonl",
        json.dumps({"account_id": {"id": "a"}, "event_time": TIME, "status": 200}),
        json.dumps({"account_id": "b", "event_time": TIME, "status": [500, 501], "sdk": {"n": 1}}),
        json.dumps({"account_id": "c", "event_time": TIME, "status": "404", "latency_ms": 1.5, "synthetic": True}),
    )
    report = ingest(Home(settings), now=NOW, events=[path])
    assert report.table("events").quarantined == {"account_id_nested": 1}
    assert sorted(events(settings, "account_id", "status", "latency_ms", "synthetic", "sdk"), key=str) == [
        {"account_id": "b", "status": None, "latency_ms": None, "synthetic": False, "sdk": None},
        {"account_id": "c", "status": 404, "latency_ms": 1.5, "synthetic": True, "sdk": None},
    ]
    picked = mapped(
        settings,
        account_id={"expression": "CASE WHEN json_valid(account_id) THEN account_id->>'$.id' ELSE account_id END"},
    )
    assert ingest(Home(picked), now=NOW, events=[path]).table("events").quarantined == {}
    assert sorted(events(settings, "account_id")) == ["a", "b", "c"]


def test_a_key_that_comes_late_is_read(tmp_path, settings):
    rows = [{"account_id": f"a{number}", "event_time": TIME} for number in range(1500)]
    rows[-1] |= {"token": "key-1", "colour": "red"}
    report = ingest(Home(settings), now=NOW, events=[put(tmp_path / "e.jsonl", *map(json.dumps, rows))])
    assert set(events(settings, "token")) == {None, pseudonym(secret_key(settings.home), "key-1")}
    assert any("read by nothing: colour" in note for note in report.notes)
    assert not any("no column for" in note and "token" in note for note in report.notes)
    with pytest.raises(SettingsError, match=r"status\] reads 'code', which e.jsonl does not have. It has account_id"):
        ingest(Home(mapped(settings, status={"from": "code"})), now=NOW, events=[tmp_path / "e.jsonl"])


def test_the_same_events_in_every_format_are_the_same_events(tmp_path, settings):
    rows = [{"account_id": f"a{n}", "event_time": TIME, "endpoint": f"/v1/x/{n}", "status": 200} for n in range(3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "e.parquet")
    put(tmp_path / "e.jsonl", *map(json.dumps, rows))
    put(tmp_path / "e.csv", ",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows))
    report = ingest(Home(settings), now=NOW, events=[tmp_path], backfill=True).table("events")
    assert (report.rows_stored, report.duplicates) == (3, 6)


# ---- columns ----


def test_an_index_column_without_a_name_is_no_trouble(tmp_path, settings):
    path = put(tmp_path / "e.csv", ",account_id,event_time,", f"0,a,{TIME},x")
    report = ingest(Home(settings), now=NOW, events=[path])
    assert events(settings, "account_id") == ["a"]
    assert "events: 2 columns read by nothing: column_1, column_4." in report.notes


def test_headers_that_differ_in_case_are_two_columns(tmp_path, settings):
    path = put(tmp_path / "e.csv", "account_id,event_time,Status,status", f"a,{TIME},500,200")
    ingest(Home(settings), now=NOW, events=[path])
    assert events(settings, "status") == [200]
    ingest(Home(mapped(settings, status={"from": "Status"}, event_id={"constant": "e"})), now=NOW, events=[path])
    assert sorted(events(settings, "status")) == [200, 500]
    with pytest.raises(SettingsError, match=r"over 'STATUS', and e.csv has Status, status: SQL cannot tell them apart"):
        ingest(Home(mapped(settings, status={"expression": "STATUS::int"})), now=NOW, events=[path])


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_columns_may_have_the_names_the_engine_uses(tmp_path, settings, ending):
    names = ("source_file", "source_row", "file_row_number", "filename", "reason", "given", "day", "value")
    if ending == "csv":
        path = put(
            tmp_path / "e.csv",
            f"account_id,event_time,{','.join(names)}",
            f"a,{TIME}{',x' * len(names)}",
            f"a b,{TIME}{',x' * len(names)}",
        )
    else:
        path = parquet(tmp_path / "e.parquet", account_id=["a", "a b"], **{name: ["x", "x"] for name in names})
    own = mapped(settings, sdk={"expression": " || ".join(names)})
    ingest(Home(own), now=NOW, events=[path])
    assert events(settings, "sdk") == ["x" * len(names)]
    (row,) = refused(settings)
    assert (row["source_file"], row["source_row"]) == (str(path), 3 if ending == "csv" else 2)


@pytest.mark.parametrize(
    ("ids", "stored"),
    [
        ([123.0, None, 1.5], ["1.5", "123"]),
        (["123.0", "v1.0", "12.50"], ["12.50", "123", "v1.0"]),
        ([7, 8, 9], ["7", "8", "9"]),
    ],
)
@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_an_id_that_was_read_as_a_double_is_the_number(tmp_path, settings, ids, stored, ending):
    if ending == "parquet":
        path = parquet(tmp_path / "e.parquet", account_id=ids)
    else:
        path = put(tmp_path / "e.csv", "account_id,event_time", *(f"{'' if i is None else i},{TIME}" for i in ids))
    ingest(Home(settings), now=NOW, events=[path])
    assert sorted(events(settings, "account_id")) == stored


# ---- expressions ----


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_invisible_signs_around_an_id_are_no_part_of_it(tmp_path, settings, ending):
    ids = ["a\u00a0", "\u200ba", "\ufeffa\t", "a"]
    rows = [{"account_id": account, "event_time": TIME, "event_id": f"e{n}"} for n, account in enumerate(ids)]
    path = tmp_path / f"e.{ending}"
    if ending == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif ending == "jsonl":
        put(path, *map(json.dumps, rows))
    else:
        put(path, ",".join(rows[0]), *(",".join(row.values()) for row in rows))
    report = ingest(Home(settings), now=NOW, events=[path])
    assert report.table("events").quarantined == {}
    assert events(settings, "account_id") == ["a"] * 4


def test_a_row_on_which_an_optional_expression_fails_is_stored_without_it_and_refused_when_strict(tmp_path, settings):
    codes = ["200"] * 40_000
    codes[39_999] = "sk_live_1"
    path = put(tmp_path / "e.csv", "account_id,event_time,code", *(f"a{n},{TIME},{c}" for n, c in enumerate(codes)))
    columns = {"status": {"expression": "CAST(code AS int) + 1"}}
    strict = load_settings(
        home=tmp_path / "strict", threads=1, strict_values=True, sources={"events": {"columns": columns}}
    )
    assert ingest(Home(strict), now=NOW, events=[path]).table("events").rows_stored == 39_999
    (row,) = refused(strict)
    assert (row["reason"], row["source_row"]) == ("status_expression_failed", 40_001)
    report = ingest(Home(mapped(settings, **columns)), now=NOW, events=[path])
    assert report.table("events").rows_stored == 40_000
    assert set(events(settings, "status")) == {201, None}
    assert any("status is null in 1 row that gave something else (its expression failed 1" in n for n in report.notes)


def test_an_expression_that_fails_nobody_knows_where_is_named(tmp_path, settings):
    path = put(tmp_path / "e.csv", "account_id,event_time,code", f"a,{TIME},x", f"b,{TIME},sk_live_1")
    own = mapped(settings, status={"expression": "CASE WHEN code = 'x' THEN 200 ELSE error(code) END"})
    with pytest.raises(
        InputError, match=r"events.columns.status\] has the expression .*, which fails on some row of e.csv"
    ) as told:
        ingest(Home(own), now=NOW, events=[path])
    assert "sk_live" not in str(told.value)
    assert not Home(settings).stores.events.manifest().partitions


@pytest.mark.parametrize("expression", ["sum(status)", "row_number() over ()", "(select 200)", "status; select 1"])
def test_an_expression_sees_one_row(tmp_path, settings, expression):
    path = put(tmp_path / "e.csv", "account_id,event_time,status", f"a,{TIME},200")
    with pytest.raises(
        SettingsError, match=r"events.columns.status\] has the expression .*, which cannot be used on e.csv"
    ):
        ingest(Home(mapped(settings, status={"expression": expression})), now=NOW, events=[path])


@pytest.mark.parametrize("expression", ["strftime(now(), '%M')", "current_setting('threads')", "user", "uuid()"])
def test_an_expression_gives_the_same_row_the_same_value_always(tmp_path, settings, expression):
    path = put(tmp_path / "e.csv", "account_id,event_time,code", f"a,{TIME},200")
    with pytest.raises(SettingsError, match=r"columns.sdk\] has the expression .* gives the same row another value"):
        ingest(Home(mapped(settings, sdk={"expression": expression})), now=NOW, events=[path])


def test_what_an_expression_reads_is_not_called_unread(tmp_path, settings):
    path = put(tmp_path / "e.csv", "account_id,event_time,code,cod", f"a,{TIME},200,x")
    report = ingest(Home(mapped(settings, status={"expression": "CODE::int"})), now=NOW, events=[path])
    assert "events: 1 column read by nothing: cod." in report.notes


def test_a_column_of_structs_is_to_be_picked_from(tmp_path, settings):
    path = parquet(tmp_path / "e.parquet", sdk=[{"name": "python"}])
    with pytest.raises(InputError, match=r"sdk in e.parquet holds lists or structs. Pick a part .*columns.sdk\]"):
        ingest(Home(settings), now=NOW, events=[path])
    ingest(Home(mapped(settings, sdk={"expression": "sdk.name"})), now=NOW, events=[path])
    assert events(settings, "sdk") == ["python"]


# ---- times ----


def test_the_naive_column_is_the_one_that_is_named(tmp_path, settings):
    path = put(tmp_path / "e.csv", "account_id,event_time,ingested_at", f"a,{TIME},2026-01-01 10:00:00")
    with pytest.raises(
        InputError, match=r"which time zone its ingested_at is. .* under \[sources.events.columns.ingested_at\]"
    ):
        ingest(Home(settings), now=NOW, events=[path])


def test_a_missing_synthetic_is_false_before_rows_are_compared(tmp_path, settings):
    path = put(tmp_path / "e.csv", "account_id,event_time,synthetic", f"a,{TIME},", f"a,{TIME},false")
    report = ingest(Home(settings), now=NOW, events=[path]).table("events")
    assert (report.rows_stored, report.duplicates) == (1, 1)


def test_a_clock_that_went_back_loses_nothing(tmp_path, settings):
    path = put(tmp_path / "e.csv", "account_id,event_time", f"a,{TIME}", "a,2026-01-31T23:00:00Z")
    ingest(Home(settings), now=NOW, events=[path])
    more = put(tmp_path / "f.csv", "account_id,event_time", "b,2026-01-10T00:00:00Z", "b,2026-01-31T23:00:00Z")
    back = ingest(Home(settings), now=utc(2026, 1, 15), events=[path, more]).table("events")
    # To a clock of the 15th a call of the 31st has not happened; it stays where it was stored before.
    assert (back.rows_stored, back.quarantined) == (1, {"event_time_in_future": 2})
    assert sorted(events(settings, "account_id")) == ["a", "a", "b"]
    assert ingest(Home(settings), now=NOW, events=[more]).table("events").rows_stored == 1
    # What was learned earlier by the later clock is known as early as any clock said.
    assert sorted(events(settings, "ingested_at")) == [utc(2026, 1, 15)] * 2 + [NOW] * 2


# ---- quarantine ----


def test_a_bad_row_is_kept_once_however_often_and_however_it_is_read(tmp_path, settings, monkeypatch):
    lines = [f"e1,a,{TIME},200", f"e1,a,{TIME},500", f"e2,a b,{TIME},200", "e3,a,never,200"]
    path = put(tmp_path / "in/e.csv", "event_id,account_id,event_time,status", *lines, "broken")
    ingest(Home(settings), now=NOW, events=[path])
    first = refused(settings)
    assert len(first) == 4
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path / "in")
    other = put(tmp_path / "other.csv", "event_id,account_id,event_time,status", f"e4,a c,{TIME},200")
    for number, spelled in enumerate(("in/e.csv", "link/e.csv", tmp_path / "in/../in/e.csv"), 1):
        report = ingest(Home(settings), now=NOW + timedelta(hours=number), events=[spelled])
        assert report.table("events").quarantined_total == 4
    assert refused(settings) == first
    ingest(Home(settings), now=NOW, events=[path, other])
    assert len(refused(settings)) == 5


def test_a_day_file_rewritten_upstream_is_a_conflict_that_changes_nothing(tmp_path, settings):
    header = "event_id,account_id,event_time,ingested_at,status"
    path = put(tmp_path / "2026-01-01.csv", header, f"e1,a,{TIME},{TIME},200", f"e2,a,{TIME},{TIME},200")
    ingest(Home(settings), now=NOW, events=[path])
    later = "2026-01-02T10:00:00Z"
    put(path, header, f"e1,a,{TIME},{later},500", f"e2,a,{TIME},{TIME},200", f"e3,a,{TIME},{later},200")
    for new in (1, 0):
        table = ingest(Home(settings), now=NOW, events=[path]).table("events")
        assert (table.rows_stored, table.duplicates, table.quarantined) == (new, 2 - new, {"conflict": 1})
    assert events(settings, "status") == [200, 200, 200]
    (row,) = refused(settings)
    assert (row["source_row"], json.loads(row["given"])["status"]) == (2, "500")


# ---- accounts ----


def snapshot(path, *lines, header="account_id,owner,created_at"):
    return put(path, header, *lines)


def test_the_newest_snapshot_counts_and_changes_no_past(tmp_path, settings):
    ann = snapshot(tmp_path / "1.csv", "a,Ann,2025-01-01T00:00:00Z")
    bob = snapshot(tmp_path / "2.csv", "a,Bob,2025-01-01T00:00:00Z")
    for now, file in ((1, ann), (2, bob), (3, bob), (4, ann)):
        report = ingest(Home(settings), now=utc(2026, 2, now), accounts=[file], backfill=now == 1)
        assert report.table("accounts").rows_stored == (now != 3)
    assert accounts(settings, "owner", "known_at") == [
        {"owner": "Ann", "known_at": utc(2025, 1, 1)},
        {"owner": "Bob", "known_at": utc(2026, 2, 2)},
        {"owner": "Ann", "known_at": utc(2026, 2, 4)},
    ]
    assert any("no known_at; where a row is new, it was taken from the clock" in note for note in report.notes)


def test_of_snapshots_given_together_the_last_counts_each_time(tmp_path, settings):
    files = [snapshot(tmp_path / f"{n}.csv", f"a,{who},2025-01-01T00:00:00Z") for n, who in enumerate(("Ann", "Bob"))]
    for day in (1, 2):
        table = ingest(Home(settings), now=utc(2026, 2, day), accounts=files, backfill=True).table("accounts")
        assert table.quarantined == {"conflict": 1}
    assert accounts(settings, "owner", "known_at") == [{"owner": "Bob", "known_at": utc(2025, 1, 1)}]
    assert len(refused(settings, "accounts")) == 1


def test_a_snapshot_by_a_clock_that_went_back_still_counts(tmp_path, settings):
    ingest(Home(settings), now=NOW, accounts=[snapshot(tmp_path / "1.csv", "a,Ann,")], backfill=True)
    ingest(Home(settings), now=utc(2026, 1, 1), accounts=[snapshot(tmp_path / "2.csv", "a,Bob,")])
    assert accounts(settings, "owner") == ["Ann", "Bob"]


def test_snapshots_and_dated_versions_together_change_nothing_the_second_time(tmp_path, settings):
    dated = snapshot(tmp_path / "1.csv", f"a,Ann,,{TIME}", header="account_id,owner,created_at,known_at")
    plain = snapshot(tmp_path / "2.csv", "a,Bob,")
    for day in (1, 2):
        ingest(Home(settings), now=utc(2026, 2, day), accounts=[dated, plain], backfill=True)
    assert accounts(settings, "owner", "known_at") == [
        {"owner": "Ann", "known_at": utc(2026, 1, 1, 10)},
        {"owner": "Bob", "known_at": utc(2026, 2, 1)},
    ]
