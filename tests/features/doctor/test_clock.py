"""Rows that an ingest under a clock that was ahead has stamped: told, and mended, with a copy put aside."""

import json
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.doctor.clock import CLOCK_CHECKS
from features.examination import examine
from features.external.take import take_tables
from features.home.home import Home
from features.home.raw_tables import complete_until
from features.ingest.ingest import ingest
from features.ingest.late_source import is_clock_behind
from features.ingest.loads import load_moments
from features.settings.load import load_settings
from features.windows import DAY, utc

NOW = utc(2026, 6, 29, 12)
AHEAD = NOW + 300 * DAY


@pytest.fixture
def home(tmp_path):
    return Home(load_settings(home=tmp_path / "home", threads=1))


def write(folder, name, *lines):
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def calls(folder, name, *times, account="acme"):
    return write(folder, name, "account_id,event_time", *(f"{account},{time}" for time in times))


def usual(folder):
    """A month of twenty calls a day."""
    days = [NOW - number * DAY for number in range(1, 31)]
    times = [f"{day:%Y-%m-%d}T{hour:02}:00:00Z" for day in days for hour in range(20)]
    return calls(folder, "usual.csv", *times)


def looked(home, *, now=NOW, repair=False):
    return examine(CLOCK_CHECKS, home, now=now, repair=repair)


def told(results):
    return "\n".join(f"{result.finding.what} | {result.finding.remedy} | {result.note}" for result in results)


def stored(home, table, column):
    store = home.stores.events if table == "events" else home.stores.raw
    manifest = store.manifest()
    files = [file for part in sorted(manifest.partitions) for file in store.files(part, table, manifest=manifest)]
    return [value for file in files for value in pq.read_table(file, partitioning=None)[column].to_pylist()]


def test_a_home_whose_clock_was_right_has_no_findings(home, tmp_path):
    ingest(home, now=NOW, events=[usual(tmp_path)], backfill=True)
    ingest(home, now=NOW, events=[calls(tmp_path, "new.csv", "2026-06-29T08:00:00Z")])
    assert looked(home) == []


def test_rows_whose_file_is_gone_are_known_since_the_repair_each_load_in_its_turn(home, tmp_path):
    accounts = write(tmp_path, "ann.csv", "account_id,owner", "beta,ann")
    ingest(home, now=NOW, events=[usual(tmp_path)], accounts=[accounts], backfill=True)
    before = stored(home, "events", "ingested_at")
    ingest(home, now=AHEAD, events=[calls(tmp_path, "a.csv", "2026-06-29T08:00:00Z")])
    for later, owner in ((0, "kim"), (1, "sam")):
        accounts = write(tmp_path, f"{owner}.csv", "account_id,owner", f"acme,{owner}")
        ingest(home, now=AHEAD + later * DAY, accounts=[accounts])
    found = told(looked(home))
    assert "1 load of events says it was made at 2027-04-25 12:00 UTC, which had not come" in found
    assert "2 loads of accounts say they were made at 2027-04-26 12:00 UTC" in found
    (*_, repaired) = looked(home, repair=True)
    assert repaired.is_repaired
    assert [folder.name for folder in home.set_aside.iterdir()] == [f"{NOW:%Y%m%dT%H%M%SZ}"]
    assert sorted(stored(home, "events", "ingested_at")) == sorted([*before, NOW])
    owners = dict(zip(stored(home, "accounts", "owner"), stored(home, "accounts", "known_at"), strict=True))
    assert owners.pop("ann") == NOW
    assert owners == {"kim": NOW - timedelta(microseconds=1), "sam": NOW}
    assert load_moments(home, "events") == [NOW]
    assert looked(home) == []


def test_events_dated_after_the_clock_go_to_quarantine_and_promise_nothing(home, tmp_path):
    ingest(home, now=NOW, events=[usual(tmp_path)], backfill=True)
    ingest(home, now=AHEAD, events=[calls(tmp_path, "a.csv", "2026-06-29T08:00:00Z", "2027-01-01T08:00:00Z")])
    assert complete_until(home, "events") == utc(2027, 1, 1, 8)
    found = told(looked(home))
    assert "1 event is dated after this clock" in found
    assert "events reach to 2027-01-01 08:00 UTC, which had not come" in found
    assert all(result.is_repaired for result in looked(home, repair=True))
    assert max(stored(home, "events", "event_time")) == complete_until(home, "events") == utc(2026, 6, 29, 8)
    (refused,) = [
        json.loads(row)
        for part in home.stores.quarantine.manifest().partitions
        for file in home.stores.quarantine.files(part)
        for row in pq.read_table(file, partitioning=None)["given"].to_pylist()
    ]
    assert refused["event_time"] == "2027-01-01 08:00:00+00:00"


@pytest.mark.parametrize("days", [0.3, 1, 8, 25])
def test_under_a_clock_that_is_behind_nothing_is_removed(home, tmp_path, days):
    ingest(home, now=NOW, events=[usual(tmp_path)])
    behind = NOW.replace(hour=0) - days * DAY
    before = home.stores.events.manifest()
    left = looked(home, now=behind, repair=True)
    assert left
    assert not any(result.is_repaired for result in left)
    assert "Many events happened after this clock, so it is the clock that is wrong: set it" in told(left)
    assert home.stores.events.manifest() == before
    assert not home.set_aside.exists()


@pytest.mark.parametrize(("events", "is_behind"), [(2, False), (3, True)])
def test_a_tenth_of_a_usual_day_later_today_is_a_slip_and_more_a_clock_behind(home, tmp_path, events, is_behind):
    ingest(home, now=NOW, events=[usual(tmp_path)], backfill=True)
    later = [f"2026-06-29T{hour}:00:00Z" for hour in range(13, 13 + events)]
    ingest(home, now=AHEAD, events=[calls(tmp_path, "a.csv", *later)])
    assert is_clock_behind(home, now=NOW) is is_behind


def test_the_copy_put_aside_is_the_home_of_before(home, tmp_path):
    ingest(home, now=NOW, events=[usual(tmp_path)], backfill=True)
    ingest(home, now=AHEAD, events=[calls(tmp_path, "a.csv", "2026-06-29T08:00:00Z")])
    before = {name: home.stores.named(name).manifest() for name in ("events", "raw", "quarantine")}
    looked(home, repair=True)
    (copy,) = home.set_aside.iterdir()
    restored = home.moved_to(copy)
    assert {name: restored.stores.named(name).manifest() for name in before} == before
    assert max(stored(restored, "events", "ingested_at")) == AHEAD


def test_rows_of_external_tables_that_were_taken_too_early_wait_again(new_log):
    log = new_log(tables={"health": {"path": "health.parquet", "max_age": "90d", "columns": {"nps": {}}}})
    log.add("events", {"event_time": NOW - DAY}).store()
    moments = pa.array([NOW - DAY, NOW + 9 * DAY], pa.timestamp("us", tz="UTC"))
    rows = {"account_id": ["a", "a"], "event_timestamp": moments, "known_at": moments, "nps": [1.0, 2.0]}
    pq.write_table(pa.table(rows), log.settings.home / "health.parquet")
    (taken,) = take_tables(log.home, now=AHEAD)
    assert (taken.new, taken.future) == (2, 0)
    assert "1 row of an external table is stored that nobody knew at 2026-06-29 12:00 UTC" in told(looked(log.home))
    assert all(result.is_repaired for result in looked(log.home, repair=True))
    (again,) = take_tables(log.home, now=NOW)
    assert (again.new, again.future) == (0, 1)
    (later,) = take_tables(log.home, now=NOW + 10 * DAY)
    assert (later.new, later.future) == (1, 0)
