"""Values that are left out or read in another way than written: counted by column, with examples."""

import json

import pytest
from click.testing import CliRunner

from features.cli import main
from features.engine.duckdb_engine import duckdb_engine
from features.home.home import Home
from features.home.raw_tables import read_events, read_raw
from features.ingest.ingest import ingest
from features.quality.left_out import look_at_values_left_out
from features.quality.section import Inspection
from features.settings.load import load_settings
from features.sources.mapping.durations import seconds_of
from features.windows import DAY, utc

NOW = utc(2026, 12, 1)
HEAD = "account_id,event_time,event_id"


def home_of(tmp_path, **settings):
    return Home(load_settings(home=tmp_path / "home", threads=1, **settings))


def put(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def stored(home, column, table="events"):
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    rows = read_events(engine, home) if table == "events" else read_raw(engine, home, table)
    order = "event_id" if table == "events" else "account_id"
    values = engine.to_arrow(rows.order_by(order))[column].to_pylist()
    engine.close()
    return values


def calls_of(tmp_path, column, values):
    lines = [f'a,2026-06-01T10:00:00Z,{place:02d},"{value}"' for place, value in enumerate(values)]
    return put(tmp_path / "e.csv", f"{HEAD},{column}", *lines)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("0.012s", 0.012),
        ("12ms", 0.012),
        ("1.5 s", 1.5),
        ("350µs", 0.00035),
        ("350μs", 0.00035),
        ("18112710ns", 0.01811271),
        ("PT0.5S", 0.5),
        ("PT1M2.5S", 62.5),
        ("1m2.5s", 62.5),
        ("1,5 s", 1.5),
        ("12 MS", 0.012),
        ("1,234 ms", None),
        ("12", None),
        ("PT", None),
        ("5 apples", None),
        ("-5ms", None),
        ("1.2.3s", None),
    ],
)
def test_a_duration_that_says_its_unit_is_read_by_it(text, seconds):
    assert seconds_of(text) == (None if seconds is None else pytest.approx(seconds, abs=1e-12))


@pytest.mark.parametrize("unit", ["ms", "s", "ns"])
def test_durations_with_and_without_a_unit_in_one_column_are_told(tmp_path, unit):
    per_second = {"ms": 1e3, "s": 1.0, "ns": 1e9}[unit]
    file = calls_of(tmp_path, "latency_ms", ["12ms", "1.5 s", f"{0.2 * per_second:.10g}", "PT0.5S", "slow"])
    columns = {"latency_ms": {"from": "latency_ms", "unit": unit}}
    home = home_of(tmp_path, sources={"events": {"columns": columns}})
    report = ingest(home, now=NOW, events=[file], backfill=True)
    assert stored(home, "latency_ms") == pytest.approx([12, 1500, 200, 500, None])
    (note,) = [note for note in report.notes if "latency_ms says its unit" in note]
    assert f"e.csv, as in 12ms, and is read by it; a number without one counts {unit}." in note
    assert report.table("events").left_out["latency_ms_unreadable"].examples == ("e.csv 6: slow",)


def test_values_left_out_are_counted_with_two_examples_in_every_output(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = calls_of(
        tmp_path, "status", ["COMPLETED", "200", "900", "sk_live_4eC39HqLyjWDarjtT1", "FAILED", *["204"] * 10]
    )
    arguments = ["--home", "home", "ingest", "--events", str(file), "--backfill", "--format", "json"]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    (row,) = json.loads(result.stdout)
    assert row["left_out"] == "status_out_of_range 1 (e.csv 4: 900), status_unreadable 3 (e.csv 2: COMPLETED; e.csv 5)"
    assert "sk_live" not in result.output, "what may be a secret is named by its place"
    home = home_of(tmp_path)
    cutoff = utc(2026, 11, 30)
    section = look_at_values_left_out(Inspection(home, cutoff, (), cutoff + DAY, is_past=False))
    assert [tuple(row.values())[:5] for row in section.rows] == [
        ("events", "status", "unreadable", 3, 0.2),
        ("events", "status", "out of range", 1, 1 / 15),
    ]
    assert section.rows[0]["for example"] == "e.csv 2: COMPLETED; e.csv 5"
    wrong, remark = section.findings
    assert wrong.what.startswith("status was unreadable in 3 rows of events (20 % of the loads of late)")
    assert (wrong.is_remark, remark.is_remark) == (False, True)


def test_a_home_without_such_values_says_so(tmp_path):
    home = home_of(tmp_path)
    ingest(home, now=NOW, events=[calls_of(tmp_path, "status", ["200"])], backfill=True)
    cutoff = utc(2026, 11, 30)
    section = look_at_values_left_out(Inspection(home, cutoff, (), cutoff + DAY, is_past=False))
    assert (section.rows, section.findings) == ((), ())


def test_ids_that_are_stripped_of_what_nobody_sees_are_counted(tmp_path):
    home = home_of(tmp_path)
    ids = ["a", " a", "a\u00a0", "\u200ba", "a\t", "b"]
    lines = [f"{name},2026-06-01T10:00:00Z,e{place}," for place, name in enumerate(ids)]
    lines.append("b,2026-06-01T10:00:00Z,e6 ,tok ")
    report = ingest(home, now=NOW, events=[put(tmp_path / "e.csv", f"{HEAD},token", *lines)], backfill=True)
    assert stored(home, "account_id") == ["a", "a", "a", "a", "a", "b", "b"]
    assert stored(home, "event_id")[-1] == "e6"
    told = {mark: value.rows for mark, value in report.table("events").left_out.items()}
    assert told == {"account_id_stripped": 4, "event_id_stripped": 1, "token_stripped": 1}
    (note,) = [note for note in report.notes if "account_id was stripped" in note]
    assert note == (
        "events: account_id was stripped of spaces or invisible characters around it in 4 rows (the first: e.csv 3; "
        "e.csv 4)."
    )


@pytest.mark.parametrize(
    ("texts", "amounts", "said"),
    [
        (["$49.00", "$1,299.50"], [49.0, 1299.5], None),
        (["49,00 €", "1.299,50 €"], [49.0, 1299.5], "decimal commas"),
        (["CHF 1'299.50", "CHF 49"], [1299.5, 49.0], None),
        (["₹1,29,950.00", "₹4,999"], [129950.0, 4999.0], None),
        (["USD 49.50", "EUR 39.50"], [49.5, 39.5], "mrr is in EUR, USD, and nothing is converted"),
    ],
)
def test_amounts_with_a_currency_are_read_and_several_are_told(tmp_path, texts, amounts, said):
    home = home_of(tmp_path)
    lines = [f'a{place},2026-06-01,start,"{text}"' for place, text in enumerate(texts)]
    file = put(tmp_path / "s.csv", "account_id,occurred_at,kind,mrr", *lines)
    home = home_of(tmp_path, sources={"subscriptions": {"columns": {"occurred_at": {"time_zone": "UTC"}}}})
    report = ingest(home, now=NOW, subscriptions=[file], backfill=True)
    assert stored(home, "mrr", "subscriptions") == amounts
    assert said is None or any(said in note for note in report.notes)
