import json
import tomllib

import pytest

from features.exceptions import InputError, SettingsError
from features.ingest.trial import tried
from features.schema import EVENTS
from features.settings.fields import SourceSettings
from features.sources.files import group_files
from features.sources.mapping.declared import check_mapping, map_columns
from features.sources.mapping.guess import guess, guessed_mapping
from features.windows import utc

NOW = utc(2026, 12, 1)


def mapping(**columns):
    return SourceSettings.model_validate({"columns": columns})


def test_columns_are_renamed_made_constant_or_computed():
    source = mapping(
        account_id={"from": "customer"},
        event_time={"from": "at", "unit": "s"},
        sdk={"constant": "it's"},
        synthetic={"constant": False},
        endpoint={"expression": "lower(url)"},
    )
    made = map_columns(EVENTS, source, ["customer", "at", "url", "status", "colour"], title="a.csv")
    assert {name: (c.source, c.constant, c.expression) for name, c in made.columns.items()} == {
        "account_id": ("customer", None, None),
        "event_time": ("at", None, None),
        "endpoint": (None, None, "lower(url)"),
        "status": ("status", None, None),
        "sdk": (None, "it's", None),
        "synthetic": (None, False, None),
    }
    assert made.reads == ("customer", "at", "url", "status")
    assert made.columns["event_time"].unit == "s"
    assert made.ignored == ("colour",)


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"statuss": {"from": "a"}}, r"names statuss, which the table events does not have. It has event_id"),
        ({"status": {"from": "a", "constant": 1}}, r"columns.status\] gives from and constant. Give exactly one"),
        ({"status": {}}, r"columns.status\] says nothing. Give one of from, constant, expression"),
        ({"latency_ms": {"from": "a", "unit": "h"}}, r"has the unit 'h'. Use one of s, ms, us, ns"),
        ({"event_time": {"from": "a", "time_zone": "Mars/Base"}}, r"the time zone 'Mars/Base', which does not exist"),
    ],
)
def test_a_wrong_mapping_names_its_place(columns, text):
    with pytest.raises(SettingsError, match=text):
        check_mapping(EVENTS, mapping(**columns))


def test_a_mapping_to_a_column_that_is_not_there_says_what_there_is():
    with pytest.raises(
        SettingsError, match=r"columns.status\] reads 'code', which a.csv does not have. It has account_id, t"
    ):
        map_columns(EVENTS, mapping(status={"from": "code"}), ["account_id", "t"], title="a.csv")


def test_missing_required_columns_are_named_with_a_way_out():
    with pytest.raises(
        InputError, match=r"1 of 2 required columns are missing from a.csv: event_time. .*event_time = \{ from"
    ):
        map_columns(EVENTS, SourceSettings(), ["account_id", "t"], title="a.csv")


def test_a_first_mapping_is_guessed(tmp_path):
    path = tmp_path / "log.csv"
    path.write_text("customer_id,ts,path,status_code,duration_s,colour\nacme,1750000000,/a,200,0.2,red\n")
    text = guessed_mapping(path)
    assert 'account_id = { from = "customer_id" }' in text
    assert 'event_time = { from = "ts", unit = "s" }' in text
    assert 'status = { from = "status_code" }' in text
    assert "# not read: " in text
    assert 'latency_ms = { from = "duration_s", unit = "s" }' in text


def guessed(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    return guessed_mapping(path)


def test_a_guess_says_which_unit_it_took(tmp_path):
    text = guessed(tmp_path, "e.csv", b"tenant,time,Duration\nacme,2026-01-01 10:00:00,3\n")
    assert 'latency_ms = { from = "Duration" }  # taken for milliseconds; add unit = "s" if' in text
    assert 'event_time = { from = "time", time_zone = "UTC" }  # the times say no zone; is it UTC?' in text


def test_a_mapping_of_json_lines_is_guessed_and_can_be_read(tmp_path):
    content = b'{"customer_id": 7, "ts": 1767261600000, "took_us": 5, "a\\nb": 1}\n'
    text = guessed(tmp_path, "e.jsonl", content)
    columns = tomllib.loads(text)["sources"]["events"]["columns"]
    assert columns == {
        "account_id": {"from": "customer_id"},
        "event_time": {"from": "ts", "unit": "ms"},
        "latency_ms": {"from": "took_us", "unit": "us"},
    }


BEGIN = (
    '$remote_addr - $remote_user [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"'
)
COMMON = b'10.0.0.1 - - [22/Nov/2026:09:25:34 +0000] "GET /a?api_key=k&page=2 HTTP/1.1" 200 12'


@pytest.mark.parametrize(
    ("more", "declared"),
    [
        (b"", "common"),
        (b' "-" "curl/8.1"', "combined"),
        (
            b' "-" "curl/8.1" 0.012',
            BEGIN + " $request_time",
        ),
        (
            b' "https://x.org/" "Mozilla" "10.0.0.9" rt=0.012 urt="0.010" 77 "acme"',
            BEGIN + ' "$http_x_forwarded_for" rt=$request_time urt="$upstream_response_time" $field_6 "$field_7"',
        ),
    ],
)
def test_the_format_of_a_log_is_guessed_and_reads_it(tmp_path, more, declared):
    text = guessed(tmp_path, "access.log", (COMMON + more + b"\n") * 3)
    source = SourceSettings.model_validate(tomllib.loads(text)["sources"]["events"])
    assert source.format == declared
    assert source.columns["event_time"].source == "time_local"
    assert source.columns["endpoint"].source == "uri"
    assert source.columns["account_id"].model_dump(include={"source", "hashed"}) == {
        "source": "arg_api_key",
        "hashed": True,
    }
    has_time = "request_time" in declared
    assert ("latency_ms" in source.columns) == has_time
    assert not has_time or source.columns["latency_ms"].unit == "s"
    (files,) = group_files([tmp_path / "access.log"], source)
    rows = list(files.rows(tmp_path / "access.log", ["uri", "arg_api_key"], seen=set()))
    assert rows[0].table.to_pylist() == [{"uri": "/a", "arg_api_key": "k"}] * 3
    assert rows[0].faults == ()


def test_the_account_of_a_log_is_a_header_or_a_parameter_that_is_called_so(tmp_path):
    text = guessed(tmp_path, "access_log.1", COMMON.replace(b"page", b"tenant").replace(b"- -", b"- ada") + b"\n")
    assert 'account_id = { from = "arg_tenant" }' in text
    assert 'token = { from = "arg_api_key" }' in text
    text = guessed(tmp_path, "access_log.1", COMMON.replace(b"- -", b"- ada") + b"\n")
    assert 'account_id = { from = "remote_user" }' in text


def test_a_mapping_of_a_nested_export_is_guessed_without_its_bodies(tmp_path):
    request = {"time": "2026-01-01T10:00:00Z", "verb": "GET", "uri": "/a", "headers": {"User-Agent": "x/1"}, "body": {}}
    made = {"_id": "e", "company_id": "c", "user_id": "u", "session_token": "s", "request": request}
    made |= {"response": {"time": "2026-01-01T10:00:01Z", "status": 200, "body": {"id": 1}}}
    text = guessed(tmp_path, "e.json", json.dumps([made], indent=1).encode())
    columns = tomllib.loads(text)["sources"]["events"]["columns"]
    assert {name: column.get("from") for name, column in columns.items()} == {
        "event_id": "_id",
        "account_id": "company_id",
        "event_time": "request.time",
        "endpoint": "request.uri",
        "method": "request.verb",
        "status": "response.status",
        "latency_ms": None,
        "token": "session_token",
        "sdk": None,
        "sdk_version": None,
    }
    assert "body." not in text


def columns_of(tmp_path, rows, name="e.jsonl"):
    content = "\n".join(json.dumps(row) for row in rows).encode() + b"\n"
    return tomllib.loads(guessed(tmp_path, name, content))["sources"]["events"]["columns"]


def test_an_id_that_repeats_is_no_event_id_and_a_time_that_never_changes_no_event_time(tmp_path):
    service = {"id": "s1", "created_at": 1700000000, "path": "/"}
    consumer = {"id": "c-uuid", "username": "ada", "custom_id": "00001"}
    rows = [
        {"service": service, "request": {"uri": f"/a/{n}", "method": "GET", "id": "r"}, "consumer": consumer}
        | {"started_at": 1795335934000 + n, "created_at": 1700000000, "latencies": {"request": 515, "proxy": 4}}
        for n in range(3)
    ]
    columns = columns_of(tmp_path, rows)
    assert {name: column.get("from") for name, column in columns.items()} == {
        "account_id": "consumer.custom_id",
        "event_time": "started_at",
        "endpoint": "request.uri",
        "method": "request.method",
        "latency_ms": "latencies.request",
    }
    text = guessed_mapping(tmp_path / "e.jsonl")
    assert "# event_id: request.id repeats" in text


def test_the_id_of_an_object_is_that_of_what_the_object_is(tmp_path):
    rows = [{"time": f"2026-11-22T10:0{n}:00Z", "customer": {"id": f"c{n}"}, "path": "/a"} for n in range(3)]
    assert columns_of(tmp_path, rows) == {
        "account_id": {"from": "customer.id"},
        "event_time": {"from": "time"},
        "endpoint": {"from": "path"},
    }


def test_keys_with_dots_inside_an_object_are_proposed_and_read(tmp_path):
    attributes = {"http.request.method": "GET", "http.route": "/a/{id}", "tenant.id": "t", "user_agent.original": "x/1"}
    rows = [{"timestamp": f"2026-11-22T10:0{n}:00Z", "attributes": attributes, "duration": 12000000} for n in range(2)]
    columns = columns_of(tmp_path, rows)
    assert columns["account_id"] == {"from": "attributes.tenant.id"}
    assert columns["endpoint"] == {"from": "attributes.http.route"}
    assert columns["latency_ms"] == {"from": "duration", "unit": "ns"}
    assert "attributes.user_agent.original" in columns["sdk"]["expression"]
    _, remarks = tried(guess(tmp_path / "e.jsonl"), now=NOW)
    assert remarks[0] == "Tried on 2 rows: 2 can be read."
    assert remarks[1] == (
        "  row 1: account_id t, event_time 2026-11-22T10:00:00.000+00:00, endpoint /a/{id}, method GET, "
        "latency_ms 12.0, sdk x, sdk_version 1"
    )


@pytest.mark.parametrize(
    ("column", "value", "canonical", "unit"),
    [
        ("started_at", 1795335934000, "event_time", "ms"),
        ("start_time", 1795335934000000, "event_time", "us"),
        ("startTime", 1795335934.25, "event_time", "s"),
        ("ts_ms", 1795335934000, "event_time", "ms"),
        ("StartUTC", "2026-11-22T10:00:41.9Z", "event_time", None),
        ("Submit", "2026-11-22T10:00:41+01:00", "event_time", None),
        ("time_local", "22/Nov/2026:09:25:34 +0000", "event_time", None),
        ("RequestMethod", "GET", "method", None),
        ("responsecode", 200, "status", None),
        ("httpRequest.requestUrl", "https://x.org/a", "endpoint", None),
        ("client", "acme", "account_id", None),
        ("secs", 0.25, "latency_ms", "s"),
        ("WaitSeconds", 3, "latency_ms", "s"),
        ("Duration", 18112710, "latency_ms", "ns"),
        ("duration", 0.0316, "latency_ms", "s"),
        ("elapsed", 31_000, "latency_ms", "us"),
        ("took", 31, "latency_ms", None),
        ("response.time_taken", 31, "latency_ms", None),
        ("_source.@timestamp", "2026-11-22T10:00:00Z", "event_time", None),
        ("request.headers.X-Tenant-Id", ["t"], "account_id", None),
    ],
)
def test_a_known_word_is_a_column_in_the_unit_of_its_name_or_size(tmp_path, column, value, canonical, unit):
    row = value
    for part in reversed(column.split(".")):
        row = {part: row}
    (found,) = [(name, way) for name, way in columns_of(tmp_path, [row]).items() if way.get("from") == column]
    assert found == (canonical, {"from": column} | ({"unit": unit} if unit else {}))


@pytest.mark.parametrize(
    ("column", "values", "canonical"),
    [
        ("client", ["203.0.113.9", "203.0.113.10:4711"], "account_id"),
        ("code", ["COMPLETED", "FAILED"], "status"),
        ("duration", ["fast", "slow"], "latency_ms"),
        ("time", ["10:00:00", "10:00:01"], "event_time"),
        ("time", [12, 13], "event_time"),
        ("user", ["", "-"], "user_id"),
        ("key.id", [1, 1], "event_id"),
        ("service.path", ["/", "/"], "endpoint"),
    ],
)
def test_a_column_that_cannot_be_read_is_not_proposed(tmp_path, column, values, canonical):
    rows = [{column: value, "n": number} for number, value in enumerate(values)]
    assert canonical not in columns_of(tmp_path, rows)


def test_of_two_columns_the_one_that_changes_is_proposed(tmp_path):
    rows = [{"route": "", "path": "/", "url": f"/a/{n}", "tenant": "t", "ts": 1795335934 + n} for n in range(3)]
    assert columns_of(tmp_path, rows)["endpoint"] == {"from": "url"}


def test_a_day_and_a_time_of_day_are_one_moment(tmp_path):
    text = guessed(tmp_path, "e.csv", b"date,time,tenant\n2026-11-22,10:00:00,t\n2026-11-22,10:00:01,t\n")
    _, remarks = tried(guess(tmp_path / "e.csv"), now=NOW)
    assert 'time_zone = "UTC" }  # the times say no zone; is it UTC?' in text
    assert "event_time 2026-11-22T10:00:01.000+00:00" in remarks[2]
    assert remarks[-1] == "Unsure of: event_time: the times say no zone; is it UTC?."


def test_path_and_method_are_read_from_a_request_line(tmp_path):
    rows = [{"client": "c", "ts": 1795335934 + n, "request": f"GET /a/{n}?key=s HTTP/1.1"} for n in range(2)]
    columns_of(tmp_path, rows)
    _, remarks = tried(guess(tmp_path / "e.jsonl"), now=NOW)
    assert "endpoint /a/{id}, method GET" in remarks[1]
    assert "# not read" not in guessed_mapping(tmp_path / "e.jsonl")
    assert "key=s" not in " ".join(remarks)


def test_what_most_rows_cannot_be_read_by_is_taken_out_with_the_reason(tmp_path):
    rows = [{"tenant": "t t", "ts": 1795335934 + n, "code": 200.5, "secs": 1} for n in range(3)]
    columns_of(tmp_path, rows)
    mapping, remarks = tried(guess(tmp_path / "e.jsonl"), now=NOW)
    assert "# account_id (required): 3 values of 3 in its column cannot be read" in mapping.text
    assert "# status: 3 values of 3 in its column cannot be read" in mapping.text
    assert remarks[0] == "Tried on 3 rows: 3 can be read."
    assert "account_id: 3 values of 3" in remarks[-1]


def test_a_trial_shows_no_secret(tmp_path):
    rows = [{"tenant": "t", "ts": 1795335934, "api_key": "key-secret", "user": "u-secret", "path": "/a?k=secret"}]
    columns_of(tmp_path, rows)
    _, remarks = tried(guess(tmp_path / "e.jsonl"), now=NOW)
    assert "token a keyed hash" in remarks[1]
    assert "secret" not in " ".join(remarks)


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("access.log", b"no log at all\n", r"access.log looks like no access log: 1 of its first 1 lines begin in"),
        ("access.log", b"", r"access.log is empty: there is nothing to guess from"),
        ("e.csv", b"", r"e.csv is empty: its first line should name the columns"),
        ("e.jsonl", b"", r"e.jsonl is empty: there is nothing to guess from"),
        ("e.csv", b"\xe9\xe8,b\n", r"e.csv cannot be read as UTF-8 CSV"),
        ("e.csv.gz", b"\x1f\x8b\x08\x00", r"e.csv.gz cannot be read: it was cut short in its first line"),
        ("e.csv.gz", b"no gzip at all", r"e.csv.gz is damaged: it cannot be unpacked"),
        ("e.parquet", b"PAR1", r"e.parquet cannot be read as Parquet"),
    ],
)
def test_a_damaged_or_empty_file_is_no_ground_for_a_guess(tmp_path, name, content, text):
    with pytest.raises(InputError, match=text):
        guessed(tmp_path, name, content)
