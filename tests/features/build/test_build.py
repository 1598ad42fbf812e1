"""Feature tables: who is in them, when they may be built, and that history comes out the same however it went in."""

from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from features.build.build import build
from features.definitions.catalog import GROUPS, features_of_group
from features.exceptions import InputError, WorkFailedError
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs
from features.rollup.count import roll_up
from features.storage.store import ManifestStore
from features.windows import DAY, utc
from tests.shared import flip_a_bit

C = utc(2026, 6, 29)
GRACE = timedelta(hours=6)
KINDS = {"float": "double", "int": "int64", "category": "string"}


def test_an_account_is_there_from_its_row_its_first_subscription_event_or_its_first_call(log):
    before = C - timedelta(microseconds=1)
    log.add("accounts", {"account_id": "row", "created_at": before, "known_at": before})
    log.add("subscriptions", {"account_id": "subscription", "kind": "cancel", "occurred_at": before})
    log.add("events", {"account_id": "call", "event_time": before}, {"account_id": "later", "event_time": C})
    assert {account for account, _ in log.table(C)} == {"row", "subscription", "call"}


def test_an_account_stays_after_its_cancellation(log):
    log.add("subscriptions", {"kind": "start", "occurred_at": C - 90 * DAY, "plan": "pro"})
    log.add("subscriptions", {"kind": "cancel", "occurred_at": C - 60 * DAY, "plan": "pro"})
    assert ("a", C) in log.table(C)


def test_files_are_as_the_store_expects_them(log):
    log.add("events", *[{"account_id": name, "event_time": C - DAY} for name in "cab"]).table(C)
    for group in GROUPS:
        (path,) = log.home.stores.features.files(f"{group}/cutoff=2026-06-29", group)
        table = pq.read_table(path, partitioning=None)
        features = features_of_group(group)
        assert table.column_names[:3] == ["account_id", "event_timestamp", f"{group}_cutoff_day"]
        assert table.column_names[3:] == [feature.name for feature in features]
        assert [str(kind) for kind in table.schema.types[3:]] == [KINDS[feature.kind] for feature in features]
        assert str(table.schema.field("event_timestamp").type) == "timestamp[us, tz=UTC]"
        assert table["account_id"].to_pylist() == ["a", "b", "c"]
        assert set(table[f"{group}_cutoff_day"].to_pylist()) == {20633}


def test_a_cutoff_whose_late_data_may_still_arrive_is_refused(log):
    with pytest.raises(InputError, match=r"1 of 2 cutoffs cannot be built yet: 2026-06-29.* until 6 hours after"):
        build(log.home, [C - DAY, C], now=C + GRACE - timedelta(seconds=1))


def test_an_unknown_group_is_refused(log):
    with pytest.raises(InputError, match=r"no feature group weather. The groups are usage, errors"):
        build(log.home, [C], now=C + DAY, groups=["weather"])


def test_a_cutoff_counts_as_built_when_every_group_is_there(log):
    log.add("events", {"event_time": C - DAY}).store()
    roll_up(log.home)
    build(log.home, [C], now=C + DAY, groups=["usage", "errors"])
    assert built_cutoffs(log.home) == []
    build(log.home, [C - 7 * DAY, C], now=C + DAY)
    assert built_cutoffs(log.home) == [C - 7 * DAY, C]


def test_what_is_already_built_is_left_alone(log):
    log.add("events", {"event_time": C - 9 * DAY}).store()
    roll_up(log.home)
    build(log.home, [C - 7 * DAY], now=C + DAY)
    log.add("events", {"event_time": C - DAY}).store()
    roll_up(log.home)
    report = build(log.home, [C - 7 * DAY, C], now=C + DAY)
    assert (report.built, report.unchanged) == ((C,), (C - 7 * DAY,))


@pytest.mark.parametrize("changed", [{"grace_hours": 3.0}, {"slow_call_ms": 50.0}])
def test_another_setting_builds_again_though_the_rollups_are_the_same(log, changed):
    log.add("subscriptions", {"kind": "start", "occurred_at": C - 90 * DAY, "plan": "pro"}).store()
    build(log.home, [C], now=C + DAY)
    assert build(log.home, [C], now=C + DAY).unchanged == (C,)
    assert build(Home(log.settings.model_copy(update=changed)), [C], now=C + DAY).built == (C,)


def test_sources_are_read_after_the_lock_is_taken(log, monkeypatch):
    log.add("events", {"event_time": C - DAY}).store()
    roll_up(log.home)
    writer = ManifestStore.writer

    def overtaken(self):
        monkeypatch.setattr(ManifestStore, "writer", writer)
        log.add("events", {"event_time": C - DAY, "account_id": "late"}).store()
        roll_up(log.home)
        return writer(self)

    monkeypatch.setattr(ManifestStore, "writer", overtaken)
    assert build(log.home, [C], now=C + DAY).rows == {C: 2}


def test_a_file_that_is_gone_is_not_built(log):
    log.add("events", {"event_time": C - DAY}).store()
    roll_up(log.home)
    build(log.home, [C], now=C + DAY)
    log.home.stores.features.files("errors/cutoff=2026-06-29")[0].unlink()
    assert build(log.home, [C], now=C + DAY).built == (C,)
    assert build(log.home, [C], now=C + DAY).unchanged == (C,)


def test_a_damaged_rollup_is_named(log):
    log.add("events", {"event_time": C - DAY}).store()
    roll_up(log.home)
    flip_a_bit(log.home.stores.rollups.files("day=2026-06-28", "usage")[0])
    with pytest.raises(WorkFailedError, match=r"1 file is damaged or missing: .*usage-.*doctor --repair`"):
        build(log.home, [C], now=C + DAY)


def test_damaged_records_are_named(log):
    log.add("events", {"event_time": C - DAY}).add("subscriptions", {"kind": "start", "occurred_at": C - DAY}).store()
    roll_up(log.home)
    flip_a_bit(log.home.stores.raw.files("subscriptions")[0])
    with pytest.raises(WorkFailedError, match=r"1 file is damaged or missing: .*raw/subscriptions/.* backup"):
        build(log.home, [C], now=C + DAY)


@pytest.mark.slow
def test_a_day_and_late_events_added_later_give_what_a_first_load_gives(new_log):
    early = [{"event_time": C - days * DAY, "status": 500, "user_id": f"u{days % 3}"} for days in range(1, 60, 4)]
    late = [{"event_time": C - days * DAY, "ingested_at": C + DAY / 2, "latency_ms": 5.0} for days in (2, 30)]
    new_day = [{"event_time": C + DAY / 3}]
    grown = new_log().add("events", *early)
    first = grown.table(C)
    grown.add("events", *late, *new_day)
    fresh = new_log().add("events", *early, *late, *new_day)
    assert grown.table(C, C + DAY) == fresh.table(C, C + DAY)
    assert fresh.table(C)["a", C] == first["a", C]
    files = [log.home.stores.features.manifest().partitions for log in (grown, fresh)]
    assert files[0] == files[1]
