"""What sources write for a number, a time, or nothing: each value is read right, or null and told."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from features.cli import main
from features.engine.duckdb_engine import duckdb_engine
from features.home.home import Home
from features.home.raw_tables import read_events, read_raw
from features.ingest.ingest import ingest
from features.ingest.numbers import plain_number
from features.ingest.times import usual_time
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.sources.mapping.declared import UNITS_PER_SECOND
from features.windows import utc

NOW = utc(2026, 12, 1)
TIME = "2026-06-01T10:00:00Z"


def home_of(tmp_path, **settings):
    return Home(load_settings(home=tmp_path / "home", threads=1, **settings))


def stored(home, table, *columns):
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    made = read_events(engine, home) if table == "events" else read_raw(engine, home, table)
    result = engine.to_arrow(made.order_by("account_id").select(*columns)).to_pylist()
    engine.close()
    return [row[columns[0]] for row in result] if len(columns) == 1 else [tuple(row.values()) for row in result]


def put(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def events_of(tmp_path, values, column, **settings):
    """Ingest one event a value, of accounts a0, a1 and so on; the home and the report."""
    home = home_of(tmp_path, **settings)
    lines = [f'a{place};{TIME};"{value}"' for place, value in enumerate(values)]
    file = put(tmp_path / "e.csv", f"account_id;event_time;{column}", *lines)
    return home, ingest(home, now=NOW, events=[file], backfill=True)


def test_times_of_several_upstreams_are_their_sum(tmp_path):
    given = ["0.010", "0.001, 0.012", "0.100 : 0.200", "-, 60.001", "-", "NaN", "0.5,0.25", "-1"]
    columns = {"latency_ms": {"from": "latency_ms", "unit": "s"}}
    home, report = events_of(tmp_path, given, "latency_ms", sources={"events": {"columns": columns}})
    assert stored(home, "events", "latency_ms") == pytest.approx([10, 13, 300, 60_001, None, None, 750, None])
    assert report.table("events").quarantined == {}
    assert any("latency_ms is null in 1 row that gave something else (negative 1;" in note for note in report.notes)


def test_a_json_line_with_nan_or_a_list_of_times_is_a_call(tmp_path):
    home = home_of(tmp_path)
    lines = [
        f'{{"account_id":"{account}","event_time":"{TIME}","status":500,"latency_ms":{latency}}}'
        for account, latency in [("a", "NaN"), ("b", "[1.5, 2]"), ("c", '["1.5"]'), ("d", '{"p": 1}')]
    ]
    report = ingest(home, now=NOW, events=[put(tmp_path / "e.jsonl", *lines)], backfill=True)
    assert stored(home, "events", "latency_ms") == [None, 3.5, 1.5, None]
    assert report.table("events").rows_stored == 4


def test_a_status_of_words_gets_the_line_that_maps_it(tmp_path):
    home, report = events_of(tmp_path, ["COMPLETED", "FAILED", "PENDING", "200", "000"], "status")
    assert stored(home, "events", "status") == [None, None, None, 200, None]
    (note,) = [note for note in report.notes if "status is null" in note]
    line = (
        r"""status = { expression = "CASE \"status\" WHEN 'COMPLETED' THEN 200 WHEN 'FAILED' THEN 500 """
        r"""WHEN 'PENDING' THEN NULL END" }"""
    )
    assert line in note
    assert "out of range 1" in note


@pytest.mark.parametrize(
    "word", ["-", "NULL", "null", "None", "nan", "undefined", "(null)", "N/A", "#N/A", r"\\N", " NULL ", "<null>"]
)
def test_words_for_nothing_are_no_account_in_any_format(tmp_path, word):
    home = home_of(tmp_path)
    word = word.replace("\\\\", "\\")
    row = {"account_id": word, "event_time": TIME, "user_id": word, "endpoint": word}
    good = {"account_id": "a", "event_time": TIME, "user_id": word, "endpoint": word}
    csv = put(tmp_path / "e.csv", ",".join(row), ",".join(row.values()), ",".join(good.values()))
    jsonl = put(tmp_path / "e.jsonl", json.dumps(row), json.dumps(good))
    pq.write_table(pa.table({name: [row[name], good[name]] for name in row}), tmp_path / "e.parquet")
    report = ingest(home, now=NOW, events=[csv, jsonl, tmp_path / "e.parquet"], backfill=True)
    assert report.table("events").quarantined == {"account_id_missing": 3}
    assert set(stored(home, "events", "account_id", "user_id", "endpoint")) == {("a", None, None)}


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()], ids=str)
def test_texts_of_parquet_are_read_alike_whatever_type_a_tool_gives_them(tmp_path, kind):
    rows = {
        "account_id": ["7.0", "a\u200b", "-", "NULL"],
        "event_time": ["2026-06-01 10:00:00 +0000", "1780308000", TIME, TIME],
        "status": ["404 Not Found", "-", "200", "200"],
        "latency_ms": ["1,50", "12,25", "3", "3"],
    }
    columns = {
        name: pa.array([text.encode() if "binary" in str(kind) else text for text in texts], kind)
        for name, texts in rows.items()
    }
    pq.write_table(pa.table(columns), tmp_path / "e.parquet")
    home = home_of(tmp_path)
    report = ingest(home, now=NOW, events=[tmp_path / "e.parquet"], backfill=True)
    assert stored(home, "events", "account_id", "status", "latency_ms") == [("7", 404, 1.5)]
    assert report.table("events").quarantined == {"account_id_missing": 2, "event_time_unreadable": 1}


def test_na_is_a_region_and_a_constant_is_what_somebody_said(tmp_path):
    home = home_of(tmp_path, sources={"accounts": {"columns": {"segment": {"constant": "none"}}}})
    ingest(home, now=NOW, accounts=[put(tmp_path / "a.csv", "account_id,region", "a,NA")], backfill=True)
    assert stored(home, "accounts", "region", "segment") == [("NA", "none")]


def test_a_line_of_totals_is_told_and_no_account(tmp_path):
    home = home_of(tmp_path)
    lines = ("account_id,name,created_at", f"acme,Acme,{TIME}", "Total,,", f"Sum,Sum Ltd,{TIME}")
    report = ingest(home, now=NOW, accounts=[put(tmp_path / "a.csv", *lines)], backfill=True)
    assert stored(home, "accounts", "account_id") == ["Sum", "acme"]
    assert report.table("accounts").quarantined == {"line_of_totals": 1}
    assert any("1 line looks like totals" in note for note in report.notes)


def test_a_line_of_totals_with_a_name_is_stored_and_told(tmp_path):
    home = home_of(tmp_path)
    accounts = ("account_id,name", "acme,Acme", "Total,2 customers", "Gesamt:,x", "7,Grand Total")
    subscriptions = (
        "account_id,occurred_at,kind,plan,mrr",
        f"acme,{TIME},start,pro,49",
        f"Summe,{TIME},start,,49",
    )
    report = ingest(
        home,
        now=NOW,
        accounts=[put(tmp_path / "a.csv", *accounts)],
        subscriptions=[put(tmp_path / "s.csv", *subscriptions)],
        backfill=True,
    )
    told = [note for note in report.notes if "called like a line of totals" in note]
    assert [note[: note.index(" If")] for note in told] == [
        "accounts: 3 accounts are called like a line of totals and stored, with a name or a date: 7, Gesamt:, Total.",
        "subscriptions: 1 account is called like a line of totals and stored, with a name or a date: Summe.",
    ]
    assert report.table("accounts").quarantined == {}


def test_ids_that_a_tool_made_doubles_are_one_in_every_column(tmp_path):
    home = home_of(tmp_path)
    for day, kind in ((1, pa.int64()), (2, pa.float64()), (3, pa.decimal128(22, 2))):
        table = {name: pa.array([10, 11, None], pa.int64()).cast(kind) for name in ("token", "user_id")}
        times = [f"2026-06-0{day}T10:00:0{second}Z" for second in range(3)]
        pq.write_table(pa.table({"account_id": ["a"] * 3, "event_time": times, **table}), tmp_path / f"{day}.parquet")
        ingest(home, now=NOW, events=[tmp_path / f"{day}.parquet"], backfill=True)
    assert {name: len(set(stored(home, "events", name)) - {None}) for name in ("token", "user_id")} == {
        "token": 2,
        "user_id": 2,
    }


def test_a_subscription_is_one_though_a_tool_wrote_its_id_as_a_double(tmp_path):
    home, head = home_of(tmp_path), "account_id,subscription_id,occurred_at,kind,plan,mrr"
    first = put(
        tmp_path / "1.csv", head, "a,11.0,2026-01-01T00:00:00Z,start,pro,100", "b,,2026-01-01T00:00:00Z,start,pro,9"
    )
    second = put(tmp_path / "2.csv", head, "a, 11 ,2026-03-01T00:00:00Z,cancel,,")
    ingest(home, now=NOW, subscriptions=[first, second], backfill=True)
    assert sorted(map(str, stored(home, "subscriptions", "subscription_id"))) == ["11", "11", "None"]


# ---- times ----


@pytest.mark.parametrize(
    "text",
    [
        "2026-06-01 10:00:00 +00:00",
        "2026-06-01T12:00:00 +0200",
        "2026-06-01 10:00:00 GMT",
        "Mon, 01 Jun 2026 10:00:00 GMT",
        "Mon, 1 Jun 2026 12:00:00 +0200",
        "2026-06-01T10:00:00,000Z",
        "20260601T100000Z",
        "20260601T100000.000Z",
        "2026-06-01 12:00:00.000000000 +0200 CEST",
        "2026-06-01 10:00:00 +0000 UTC m=+0.0123",
        "01/Jun/2026:10:00:00 +0000",
        "[01/Jun/2026:12:00:00.000 +0200]",
        "2026/06/01 10:00:00Z",
        "Mon Jun  1 10:00:00 UTC 2026",
    ],
)
def test_a_time_is_read_in_the_forms_that_logs_have(tmp_path, text):
    home = home_of(tmp_path)
    file = put(tmp_path / "e.csv", "account_id;event_time", f"a;{text}", "b;2026-06-01T10:00:00Z")
    ingest(home, now=NOW, events=[file], backfill=True)
    assert stored(home, "events", "event_time") == [utc(2026, 6, 1, 10)] * 2


@pytest.mark.parametrize("text", ["2026-06-01 10:00:00 EST", "06/01/2026 10:00", "1 Foo 2026 10:00:00 GMT"])
def test_a_time_of_more_than_one_meaning_is_left_as_it_is(text):
    assert usual_time(text) == text


ZEROS = [
    *("1970-01-01T00:00:00Z", "1970-01-01T01:00:00+01:00", "1969-12-31T19:00:00-05:00", "1970-01-01T00:00:00+05:45"),
    *(
        "1970-01-01T00:00:00-12:00",
        "1970-01-01T00:00:00+14:00",
        "1970-01-01",
        "1970-01-01 01:00:00",
        "1969-12-31 19:00",
    ),
    *("1899-12-30T00:00:00Z", "1899-12-30", "1900-01-00 00:00", "1900-01-00", "1904-01-01T00:00:00Z", "1904-01-01"),
    *("0000-00-00 00:00:00", "0001-01-01T00:00:00Z", "0", "12/30/1899"),
]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin"])
def test_zero_dates_are_no_time(tmp_path, zone):
    home = home_of(tmp_path, sources={"accounts": {"columns": {"created_at": {"from": "at", "time_zone": zone}}}})
    lines = [f"a{place},{text}" for place, text in enumerate(ZEROS)]
    report = ingest(
        home,
        now=NOW,
        accounts=[put(tmp_path / "a.csv", "account_id,at", *lines, "b,2026-06-01T10:00:00Z")],
        backfill=True,
    )
    assert stored(home, "accounts", "created_at") == [*[None] * len(ZEROS), utc(2026, 6, 1, 10)]
    assert report.table("accounts").quarantined == {}
    assert [note for note in report.notes if "created_at is null" in note] == []


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
@pytest.mark.parametrize("ending", ["csv", "parquet", "jsonl"])
def test_epoch_0_is_no_time_in_any_unit(tmp_path, unit, ending):
    home = home_of(tmp_path, sources={"accounts": {"columns": {"created_at": {"from": "at", "unit": unit}}}})
    epochs = [UNITS_PER_SECOND[unit] * seconds for seconds in (0, 1_780_308_000, 1)]
    path = tmp_path / f"a.{ending}"
    if ending == "parquet":
        pq.write_table(pa.table({"account_id": ["a", "b", "c"], "at": epochs}), path)
    elif ending == "jsonl":
        put(path, *(json.dumps({"account_id": account, "at": at}) for account, at in zip("abc", epochs, strict=True)))
    else:
        put(path, "account_id,at", *(f"{account},{at}" for account, at in zip("abc", epochs, strict=True)))
    report = ingest(home, now=NOW, accounts=[path], backfill=True)
    assert stored(home, "accounts", "created_at") == [None, utc(2026, 6, 1, 10), None]
    (note,) = [note for note in report.notes if "created_at is null" in note]
    assert "created_at is null in 1 row that gave something else (before oldest_event 1;" in note


@pytest.mark.parametrize(
    "text", ["1970-01-01T08:13:22Z", "1965-06-01T00:00:00Z", "1899-12-30T05:07:00Z", "1969-12-31T09:59:59Z"]
)
def test_another_old_time_is_refused_by_the_name_of_the_setting(tmp_path, text):
    home = home_of(tmp_path)
    file = put(tmp_path / "e.csv", "account_id,event_time", f"a,{text}", f"b,{TIME}")
    report = ingest(home, now=NOW, events=[file], backfill=True)
    assert report.table("events").quarantined == {"event_time_too_old": 1}
    assert any(note.startswith("events: 1 row is dated before the setting oldest_event") for note in report.notes)
    real = home_of(tmp_path / "real", oldest_event="1800-01-01")
    assert ingest(real, now=NOW, events=[file], backfill=True).table("events").rows_stored == 2


def test_an_old_time_of_an_optional_column_is_null_and_told(tmp_path):
    home = home_of(tmp_path)
    file = put(tmp_path / "a.csv", "account_id,created_at", "a,1955-11-05T06:00:00Z", f"b,{TIME}")
    report = ingest(home, now=NOW, accounts=[file], backfill=True)
    assert stored(home, "accounts", "created_at") == [None, utc(2026, 6, 1, 10)]
    assert any(
        "created_at is null in 1 row that gave something else (before oldest_event 1;" in n for n in report.notes
    )


def test_events_of_before_a_setting_are_refused(tmp_path):
    file = put(tmp_path / "e.csv", "account_id,event_time", "a,1999-06-01T00:00:00Z")
    old = home_of(tmp_path, oldest_event="1990-01-01")
    assert ingest(old, now=NOW, events=[file], backfill=True).table("events").rows_stored == 1
    report = ingest(Home(load_settings(home=tmp_path / "new", threads=1)), now=NOW, events=[file], backfill=True)
    assert report.table("events").quarantined == {"event_time_too_old": 1}


def test_the_hour_that_comes_twice_and_the_one_left_out_are_told(tmp_path):
    columns = {"event_time": {"from": "event_time", "time_zone": "Europe/Berlin"}}
    home = home_of(tmp_path, sources={"events": {"columns": columns}})
    times = ("2026-10-25 02:30:00", "2026-03-29 02:30:00", "2026-10-25 03:30:00", "2026-10-25T02:30:00+02:00")
    lines = [f"a{place},{time}" for place, time in enumerate(times)]
    report = ingest(home, now=NOW, events=[put(tmp_path / "e.csv", "account_id,event_time", *lines)], backfill=True)
    assert stored(home, "events", "event_time")[0] == utc(2026, 10, 25, 1, 30)
    notes = " ".join(report.notes)
    assert "event_time of 1 row lies in the hour that clocks in Europe/Berlin show twice" in notes
    assert "event_time of 1 row lies in the hour that clocks in Europe/Berlin leave out" in notes


def test_a_time_that_cannot_be_read_comes_with_a_way_to_map_it(tmp_path):
    home = home_of(tmp_path)
    file = put(tmp_path / "e.csv", "account_id,event_time", "a,06/13/2026 10:00 AM", f"b,{TIME}")
    report = ingest(home, now=NOW, events=[file], backfill=True)
    (note,) = [note for note in report.notes if "cannot be read" in note]
    assert "such as 06/13/2026 10:00 AM," in note
    line = """event_time = { expression = "try_strptime(\\"event_time\\", '%m/%d/%Y %I:%M %p')", time_zone = "UTC" }"""
    assert line in note


@pytest.mark.parametrize(("rows", "code"), [(5, 1), (1, 0)])
def test_an_ingest_that_stores_nothing_of_many_rows_fails(tmp_path, rows, code):
    file = put(tmp_path / "e.csv", "account_id,event_time", *(f"a{row},yesterday" for row in range(rows)))
    command = ["--home", str(tmp_path / "home"), "ingest", "--events", str(file), "--backfill"]
    result = CliRunner().invoke(main, command)
    assert result.exit_code == code, result.output
    if code:
        assert (
            "None of the 5 rows of events was stored: 5 rows were refused: event_time unreadable"
            in str(result.exception) + result.output
        )


# ---- numbers of other countries ----


def subscriptions_of(tmp_path, *values, **settings):
    home = home_of(tmp_path, **settings)
    lines = [f"a{place};2026-01-01T00:00:00Z;start;{mrr};{quota}" for place, (mrr, quota) in enumerate(values)]
    header = "account_id;occurred_at;kind;mrr;quota_calls_per_month"
    report = ingest(home, now=NOW, subscriptions=[put(tmp_path / "s.csv", header, *lines)], backfill=True)
    return stored(home, "subscriptions", "mrr", "quota_calls_per_month"), report


@pytest.mark.parametrize(
    "settings",
    [{}, {"decimal": ","}, {"sources": {"subscriptions": {"decimal": ","}}}],
)
def test_decimal_commas_are_read_throughout(tmp_path, settings):
    values = [("49,00", "100000"), ("1.299,00", ""), ("1.299", "100.000"), ("49", "unlimited"), ("1 299,5", "-1")]
    result, report = subscriptions_of(tmp_path, *values, **settings)
    assert result == [(49, 100_000), (1299, None), (1299, 100_000), (49, None), (1299.5, None)]
    assert any("writes decimal commas in mrr" in note for note in report.notes) == (not settings)
    assert not any("is null" in note for note in report.notes)


def test_a_column_of_both_marks_is_never_read_half(tmp_path):
    values = [("49,00", ""), ("49.50", ""), ("1.299", ""), ("1,299", ""), ("1.299,00", ""), ("4_9", "")]
    result, report = subscriptions_of(tmp_path, *values)
    assert [mrr for mrr, _ in result] == [49, 49.5, None, None, 1299, None]
    assert any("mrr is null in 3 rows that gave something else" in note for note in report.notes)


def test_a_quota_that_cannot_be_read_is_not_unlimited(tmp_path):
    values = ["1000", "", "unlimited", "-1", "NULL", "1000 calls", "-5", "1000,5", "99999999999999999999", "lots"]
    result, report = subscriptions_of(tmp_path, *(("49", quota) for quota in values))
    assert result == [(49, 1000), (49, None), (49, None), (49, None), (49, None)]
    assert report.table("subscriptions").quarantined == {
        "quota_calls_per_month_unreadable": 4,
        "quota_calls_per_month_negative": 1,
    }


def test_a_term_whose_end_cannot_be_read_does_not_last_for_ever(tmp_path):
    home = home_of(tmp_path)
    ends = ["2027-01-01T00:00:00Z", "", "-", "9999-12-31T00:00:00Z", "next spring", "2027-13-01T00:00:00Z"]
    lines = [f"a{place},2026-01-01T00:00:00Z,start,{end}" for place, end in enumerate(ends)]
    file = put(tmp_path / "s.csv", "account_id,occurred_at,kind,term_end", *lines)
    report = ingest(home, now=NOW, subscriptions=[file], backfill=True)
    assert [end and end.year for end in stored(home, "subscriptions", "term_end")] == [2027, None, None, None]
    assert report.table("subscriptions").quarantined == {"term_end_unreadable": 2}


def test_two_files_with_decimal_commas_are_told_in_one_sentence(tmp_path):
    settings = Settings(home=tmp_path / "home")
    for name in ("a", "b"):
        put(tmp_path / f"{name}.csv", "account_id;event_time;latency_ms", f"{name};{TIME};12,5")
    (note,) = (
        note
        for note in ingest(Home(settings), now=NOW, events=[tmp_path / "a.csv", tmp_path / "b.csv"]).notes
        if "decimal commas" in note
    )
    assert note.startswith("events: a.csv, b.csv write decimal commas in latency_ms, so all numbers there are read so")


def test_each_file_has_its_own_decimal_mark(tmp_path):
    home = home_of(tmp_path)
    header = "account_id;occurred_at;kind;mrr"
    german = put(tmp_path / "de.csv", header, "a;2026-01-01T00:00:00Z;start;49,5", "b;2026-01-01T00:00:00Z;start;1.299")
    english = put(tmp_path / "en.csv", header, "c;2026-01-01T00:00:00Z;start;1,299.5")
    ingest(home, now=NOW, subscriptions=[english, german], backfill=True)
    assert stored(home, "subscriptions", "mrr") == [49.5, 1299, 1299.5]


@pytest.mark.parametrize(
    ("text", "decimal", "number"),
    [
        ("0,012", "guess", "0.012"),
        ("1,299", None, "1,299"),  # either: told
        ("1,299", ".", "1299"),
        ("1,299", ",", "1.299"),
        ("49.00", ",", "?49.00"),
        ("1e5", ",", "1e5"),
        ("1'299.50", None, "1299.50"),
    ],
)
def test_a_number_is_read_by_its_decimal_mark(text, decimal, number):
    assert plain_number(text, "value", decimal=decimal) == number
