"""A home turned back to a cutoff holds what was known then; another future changes only what came later."""

from collections import Counter
from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from features.audit.past import TIMES, Past, copy_of_now
from features.exceptions import WorkFailedError
from features.schema import RAW_TABLES
from features.windows import DAY, utc

C = utc(2026, 6, 29)
KNOWN_TOO_LATE = C + timedelta(hours=6)
JUST_IN_TIME = KNOWN_TOO_LATE - timedelta(microseconds=1)
JUST_BEFORE = C - timedelta(microseconds=1)


@pytest.fixture
def written(log):
    """Rows on both sides of each boundary; the user of an event, the plan of a row says which."""
    log.add(
        "events",
        {"user_id": "old", "event_time": C - 40 * DAY},
        {"user_id": "last", "event_time": JUST_BEFORE, "ingested_at": JUST_IN_TIME},
        {"user_id": "late", "event_time": JUST_BEFORE, "ingested_at": KNOWN_TOO_LATE, "account_id": "b"},
        {"user_id": "next", "event_time": C},
        {"user_id": "later", "event_time": C + 3 * DAY, "account_id": "c"},
    )
    log.add(
        "subscriptions",
        {"plan": "known", "kind": "start", "occurred_at": JUST_BEFORE, "known_at": JUST_IN_TIME},
        {"plan": "late", "kind": "upgrade", "occurred_at": C - 9 * DAY, "known_at": KNOWN_TOO_LATE},
        {"plan": "announced", "kind": "cancel", "occurred_at": C, "known_at": C - 9 * DAY, "account_id": "b"},
    )
    log.add(
        "accounts",
        {"name": "known", "created_at": C - DAY, "known_at": C - DAY},
        {"name": "undated"},
        {"name": "late", "created_at": C - DAY, "known_at": KNOWN_TOO_LATE, "account_id": "b"},
        {"name": "not yet", "created_at": C, "known_at": C - DAY, "account_id": "c"},
    )
    log.store()
    return log.home


def held(home):
    """What each raw table holds: (account, mark) by table."""
    marks = {"events": "user_id", "subscriptions": "plan", "accounts": "name"}
    found = {name: Counter() for name in marks}
    for store in (home.stores.events, home.stores.raw):
        for partition in store.manifest().partitions:
            table = partition if partition in marks else "events"
            for path in store.files(partition, table):
                rows = pq.read_table(path, partitioning=None)
                found[table].update(zip(rows["account_id"].to_pylist(), rows[marks[table]].to_pylist(), strict=True))
    return found


def test_every_raw_table_has_its_times():
    assert TIMES.keys() == {*RAW_TABLES, "tables"}
    assert all(set(TIMES[name]) <= set(raw.schema.names) for name, raw in RAW_TABLES.items())


def test_truncated_it_holds_what_happened_before_and_was_known_in_time(written, tmp_path):
    past = Past(written, tmp_path / "past", seed=1)
    past.truncate(C)
    assert held(past.home) == {
        "events": Counter({("a", "old"): 1, ("a", "last"): 1}),
        "subscriptions": Counter({("a", "known"): 1}),
        "accounts": Counter({("a", "known"): 1, ("a", "undated"): 1}),
    }
    assert len(held(written)["events"]) == 5


def test_in_another_future_only_later_rows_have_another_account(written, tmp_path):
    past = Past(written, tmp_path / "past", seed=1)
    past.truncate(C)
    known = held(past.home)
    assert past.exchange_future(C) == 3 + 2 + 2
    for table, rows in held(past.home).items():
        before = held(written)[table]
        assert known[table] <= rows
        moved, stayed = rows - known[table], before - known[table]
        assert Counter(mark for _, mark in moved) == Counter(mark for _, mark in stayed)
        assert not moved & stayed


def test_whatever_came_before_the_state_at_a_cutoff_is_the_same(written, tmp_path):
    past = Past(written, tmp_path / "past", seed=1)
    other = Past(written, tmp_path / "other", seed=1)
    for cutoff in (C, C + 3 * DAY, C - 10 * DAY):
        past.truncate(cutoff)
        past.exchange_future(cutoff)
    past.exchange_future(C + DAY)
    other.exchange_future(C + DAY)
    assert held(past.home) == held(other.home)
    past.truncate(C + DAY)
    other.truncate(C + DAY)
    assert held(past.home) == held(other.home)


def test_a_copy_of_now_does_not_grow(written, log, tmp_path):
    now = copy_of_now(written, tmp_path / "now")
    before = held(now)
    log.add("events", {"event_time": C - DAY, "user_id": "new"}).store()
    assert held(written) != before == held(now)


def test_a_file_that_is_gone_is_named(written, tmp_path):
    written.stores.events.files("day=2026-06-28")[0].unlink()
    with pytest.raises(WorkFailedError, match=r"1 file is damaged or missing: .*day=2026-06-28/events-.* backup"):
        copy_of_now(written, tmp_path / "now")
