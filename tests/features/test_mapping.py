import tomllib

import pytest

from features.exceptions import InputError, SettingsError
from features.schema import EVENTS
from features.settings import SourceSettings
from features.sources.guess import guessed_mapping
from features.sources.mapping import check_mapping, map_columns


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


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("e.csv", b"", r"e.csv is empty: its first line should name the columns"),
        ("e.jsonl", b"", r"e.jsonl is empty: there is nothing to guess from"),
        ("e.csv", b"\xff\xfea\x00", r"e.csv cannot be read as UTF-8 CSV"),
        ("e.csv.gz", b"\x1f\x8b\x08\x00", r"e.csv.gz cannot be read: it was cut short in its first line"),
        ("e.csv.gz", b"no gzip at all", r"e.csv.gz is damaged: it cannot be unpacked"),
        ("e.parquet", b"PAR1", r"e.parquet cannot be read as Parquet"),
    ],
)
def test_a_damaged_or_empty_file_is_no_ground_for_a_guess(tmp_path, name, content, text):
    with pytest.raises(InputError, match=text):
        guessed(tmp_path, name, content)
