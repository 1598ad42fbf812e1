"""Days are counted once, and again only when they change."""

from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from features.exceptions import WorkFailedError
from features.home.home import Home
from features.rollup.count import roll_up
from features.rollup.tables import ROLLUPS
from features.windows import DAY, utc
from tests.shared import flip_a_bit

D = utc(2026, 6, 1)
HOUR = timedelta(hours=1)


def rows(log, name, day="day=2026-06-01"):
    (path,) = log.home.stores.rollups.files(day, name)
    return pq.read_table(path, partitioning=None).to_pylist()


def test_a_day_is_counted_by_first_cutoff_that_sees_it(log):
    log.add(
        "events",
        {"event_time": D, "status": 200},
        {"event_time": D + HOUR, "status": 429, "ingested_at": D + 30 * HOUR - timedelta(microseconds=1)},
        {"event_time": D + HOUR, "status": None, "ingested_at": D + 30 * HOUR},
        {"event_time": D + HOUR, "synthetic": True},
    ).store()
    roll_up(log.home)
    counted = [(str(row["visible_from"]), row["calls"], row["ok"], row["err_throttled"]) for row in rows(log, "usage")]
    assert counted == [("2026-06-02", 2, 1, 1), ("2026-06-03", 1, 1, 0)]


def test_nulls_have_a_row_under_the_empty_route_and_none_elsewhere(log):
    log.add("events", {"event_time": D, "endpoint": None, "method": None}).store()
    roll_up(log.home)
    assert [(row["method"], row["endpoint"], row["calls"]) for row in rows(log, "endpoint")] == [("", "", 1)]
    assert [rows(log, name) for name in ("latency", "token", "user", "service", "sdk", "release")] == [[]] * 6


def test_the_service_is_counted_over_all_accounts(log):
    slow = {"event_time": D, "endpoint": "/a", "latency_ms": 9.0}
    log.add("events", slow, slow | {"account_id": "b"}, slow | {"endpoint": None}, slow | {"latency_ms": None}).store()
    roll_up(log.home)
    (row,) = rows(log, "service")
    assert (row["method"], row["endpoint"], row["calls"]) == ("GET", "/a", 2)
    assert "account_id" not in row


def test_sdks_are_counted_by_account_and_releases_over_all(log):
    go = {"sdk": "go", "sdk_version": "1.0"}
    log.add(
        "events",
        {"event_time": D + 2 * HOUR, **go},
        {"event_time": D + HOUR, "account_id": "b", **go},
        {"event_time": D + HOUR, "sdk": "go"},
        {"event_time": D, "sdk_version": "7"},
    ).store()
    roll_up(log.home)
    counted = [(row["account_id"], row["sdk"], row["sdk_version"], row["calls"]) for row in rows(log, "sdk")]
    assert counted == [("a", "go", "", 1), ("a", "go", "1.0", 1), ("b", "go", "1.0", 1)]
    seen = [(row["sdk_version"], row["min_event_time"]) for row in rows(log, "release")]
    assert seen == [("", D + HOUR), ("1.0", D + HOUR)]
    assert [row["sdk_calls"] for row in rows(log, "usage")] == [2, 1]


def test_the_first_success_is_not_the_first_call(log):
    log.add("events", {"event_time": D, "status": 500}, {"event_time": D + HOUR}, {"event_time": D + 2 * HOUR}).store()
    roll_up(log.home)
    (row,) = rows(log, "usage")
    assert [row[name] for name in ("min_event_time", "min_success_time", "max_success_time")] == [
        D,
        D + HOUR,
        D + 2 * HOUR,
    ]


def test_value_calls_are_counted_with_their_times(new_log):
    log = new_log(value_endpoints=("GET /a",)).add(
        "events",
        {"event_time": D, "endpoint": "/b"},
        {"event_time": D + HOUR, "endpoint": "/a"},
        {"event_time": D + 3 * HOUR, "endpoint": "/a"},
        {"event_time": D + 5 * HOUR, "endpoint": "/a", "status": 404},
    )
    log.store()
    roll_up(log.home)
    (row,) = rows(log, "usage")
    assert (row["value_calls"], row["min_value_time"], row["max_value_time"]) == (2, D + HOUR, D + 3 * HOUR)


def test_files_have_the_declared_columns(log):
    log.add("events", {"event_time": D, "latency_ms": 3.0, "token": "t", "user_id": "u"}).store()
    roll_up(log.home)
    for name, table in ROLLUPS.items():
        (path,) = log.home.stores.rollups.files("day=2026-06-01", name)
        assert pq.read_schema(path).equals(table.schema), name


def test_only_changed_days_are_read_again_and_gone_days_are_dropped(log):
    log.add("events", *[{"event_time": D + days * DAY} for days in range(3)]).store()
    assert roll_up(log.home).days_counted == 3
    assert roll_up(log.home).days_counted == 0
    log.add("events", {"event_time": D + DAY, "ingested_at": D + 9 * DAY}).store()
    report = roll_up(log.home)
    assert (report.days_counted, report.days_unchanged, report.days_removed) == (1, 2, 0)
    log._rows["events"] = log._rows["events"][1:]
    log.store()
    assert roll_up(log.home).days_removed == 1
    assert sorted(log.home.stores.rollups.manifest().partitions) == ["day=2026-06-02", "day=2026-06-03"]


@pytest.mark.parametrize(
    "changed", [{"grace_hours": 3.0}, {"slow_call_ms": 50.0}, {"value_endpoints": ("/v1/orders",)}]
)
def test_another_setting_counts_every_day_again(log, changed):
    log.add("events", *[{"event_time": D + days * DAY} for days in range(2)]).store()
    roll_up(log.home)
    assert roll_up(Home(log.settings.model_copy(update=changed))).days_counted == 2


def test_a_file_that_is_gone_is_counted_again(log):
    log.add("events", {"event_time": D}).store()
    roll_up(log.home)
    log.home.stores.rollups.files("day=2026-06-01", "token")[0].unlink()
    assert roll_up(log.home).days_counted == 1
    assert rows(log, "token") == []


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), lambda file: file.write_bytes(b"no"), flip_a_bit])
def test_damaged_events_are_named(log, damage):
    log.add("events", *[{"event_time": D + days * DAY} for days in range(2)]).store()
    damage(log.home.stores.events.files("day=2026-06-02")[0])
    with pytest.raises(WorkFailedError, match=r"1 file is damaged or missing: .*day=2026-06-02/events-.* Restore"):
        roll_up(log.home)


def test_no_events_give_no_days(log):
    assert roll_up(log.home).days_counted == 0


def test_progress_ends_at_all_days(log):
    told = []
    log.add("events", *[{"event_time": D + days * DAY} for days in range(3)]).store()
    roll_up(log.home, progress=lambda *step: told.append(step))
    assert told[-1] == ("roll up", 3, 3)
