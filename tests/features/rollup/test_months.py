"""Closed months summed up: the same population from fewer rows, and a late event touches only its day and month."""

import random
from dataclasses import replace
from datetime import timedelta

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.build.plan import CUTOFFS
from features.build.workbench import population
from features.engine.choice import chosen_engine
from features.engine.duckdb_engine import duckdb_engine
from features.exceptions import WorkFailedError
from features.groups.adoption import SETTLED_DAYS, settled
from features.groups.population import population_of
from features.home.home import Home
from features.rollup.count import roll_up
from features.rollup.months import past_files, past_schema
from features.rollup.tables import ROLLUPS
from features.schema import ACCOUNTS, SUBSCRIPTIONS
from features.storage.lineage import Lineage
from features.storage.store import ManifestStore
from features.windows import DAY, utc

MAY = utc(2026, 5, 10)
CLOSED = utc(2026, 6, 8)  # the cutoff that sees May summed up
NOW = utc(2026, 6, 20)


@pytest.fixture
def three_months(log):
    """Calls in April, May and June; of those in May one came in within a week of its end, one a month late."""
    log.add(
        "events",
        {"account_id": "old", "event_time": utc(2026, 4, 3), "token": "t"},
        {"account_id": "old", "event_time": MAY, "status": 500},
        {"account_id": "slow", "event_time": MAY, "ingested_at": utc(2026, 6, 5)},
        {"account_id": "late", "event_time": MAY, "ingested_at": utc(2026, 6, 12)},
        {"account_id": "old", "event_time": MAY + DAY, "ingested_at": utc(2026, 6, 12), "user_id": "u"},
        {"account_id": "new", "event_time": utc(2026, 6, 15)},
    ).store()
    roll_up(log.home)
    return log


def test_one_engine_counts_days_and_sums_up_months_and_none_starts_for_nothing(log, monkeypatch):
    started = []

    def noted(*arguments, **options):
        started.append(chosen_engine(*arguments, **options))
        return started[-1]

    monkeypatch.setattr("features.engine.choice.chosen_engine", noted)
    log.add("events", {"event_time": utc(2026, 4, 3)}, {"event_time": MAY}).store()
    roll_up(log.home)
    assert "month=2026-04" in log.home.stores.rollups.manifest().partitions
    roll_up(log.home)
    assert len(started) == 1


def found(settings, files, cutoffs):
    """The population at some cutoffs, from the days alone or from the files."""
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    try:
        named = engine.name_rows("cutoffs_together", pa.table({"cutoff": cutoffs}, schema=CUTOFFS))
        if files is None:
            return rows_of(engine, population(engine, Home(settings), named))
        past = engine.name_parquet("past", files, schema=past_schema(ROLLUPS["usage"].schema))
        nobody = [engine.name_parquet(table.name, [], schema=table.schema) for table in (ACCOUNTS, SUBSCRIPTIONS)]
        return rows_of(engine, population_of(past, *nobody, named, grace_hours=settings.grace_hours))
    finally:
        engine.close()


def rows_of(engine, table):
    return engine.to_arrow(table.order_by("cutoff", "account_id")).to_pylist()


@pytest.mark.parametrize(
    ("cutoffs", "months"),
    [
        ([CLOSED], ["2026-04", "2026-05"]),
        ([CLOSED - DAY], ["2026-04"]),
        ([CLOSED - DAY, NOW], ["2026-04"]),
        ([utc(2026, 6, 13), NOW], ["2026-04", "2026-05"]),
        ([utc(2026, 5, 7)], []),
    ],
)
def test_the_population_is_the_same_from_sums_and_from_days(three_months, cutoffs, months):
    store = three_months.home.stores.rollups
    files = past_files(store, store.manifest(), cutoffs)
    assert [file.parent.name for file in files if file.parent.name.startswith("month=")] == [
        f"month={month}" for month in months
    ]
    expected = found(three_months.settings, None, cutoffs)
    assert expected
    assert found(three_months.settings, files, cutoffs) == expected


@pytest.mark.parametrize("cutoffs", [[CLOSED, NOW], [CLOSED - DAY, NOW], [utc(2026, 5, 7), CLOSED]])
def test_who_has_arrived_is_the_same_from_sums_as_counted_by_hand(log, cutoffs):
    made = random.Random(4)
    calls = []
    for number in range(40):
        for _ in range(made.randint(1, 14)):
            moment = utc(2026, 4, 1) + timedelta(days=made.randrange(80), hours=made.randrange(24))
            late = timedelta(days=made.choice([0, 0, 0, 1, 8, 30]))
            status = made.choice([200, 500, 500])
            calls.append(
                {"account_id": f"a{number}", "event_time": moment, "ingested_at": moment + late, "status": status}
            )
    log.add("events", *calls).store()
    roll_up(log.home)
    store = log.home.stores.rollups
    files = past_files(store, store.manifest(), cutoffs)
    arrived = arrivals(log.settings, files, cutoffs)
    assert arrived == by_hand(calls, cutoffs)
    assert 5 < len(arrived) < 75


def by_hand(calls, cutoffs):
    """(Cutoff, account) of those with enough active days from their first success on, as known at the cutoff."""
    found = set()
    for cutoff in cutoffs:
        known = [
            call for call in calls if call["event_time"] < cutoff and call["ingested_at"] < cutoff + timedelta(hours=6)
        ]
        for account in {call["account_id"] for call in known}:
            mine = [call for call in known if call["account_id"] == account]
            successes = [call["event_time"].date() for call in mine if call["status"] == 200]
            days = {
                call["event_time"].date() for call in mine if successes and call["event_time"].date() >= min(successes)
            }
            if len(days) >= SETTLED_DAYS:
                found.add((cutoff, account))
    return found


def arrivals(settings, files, cutoffs):
    """The same by the plan's expression over these files."""
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    try:
        named = engine.name_rows("cutoffs_together", pa.table({"cutoff": cutoffs}, schema=CUTOFFS))
        past = engine.name_parquet("past", files, schema=past_schema(ROLLUPS["usage"].schema))
        nobody = [engine.name_parquet(table.name, [], schema=table.schema) for table in (ACCOUNTS, SUBSCRIPTIONS)]
        people = population_of(past, *nobody, named, grace_hours=settings.grace_hours)
        people = people.mutate(since_day=people.first_success.date())
        joined = people.join(settled(past, people, has_value_endpoints=False), ["account_id", "since_day"])
        seen = joined.filter(joined.settled_from <= joined.cutoff.date()).select("cutoff", "account_id")
        return {(row["cutoff"], row["account_id"]) for row in engine.to_arrow(seen).to_pylist()}
    finally:
        engine.close()


def test_what_came_in_late_is_not_seen_before(three_months):
    store = three_months.home.stores.rollups
    days = [CLOSED, utc(2026, 6, 13)]
    files = past_files(store, store.manifest(), days)
    seen = [(row["cutoff"], row["account_id"]) for row in found(three_months.settings, files, days)]
    assert seen == [(days[0], "old"), (days[0], "slow"), (days[1], "late"), (days[1], "old"), (days[1], "slow")]


def test_a_month_is_one_row_an_account_but_for_late_events(three_months):
    store = three_months.home.stores.rollups
    (path,) = store.files("month=2026-05", "past")
    rows = [(row["account_id"], row["visible_from"]) for row in pq.read_table(path, partitioning=None).to_pylist()]
    assert rows == [
        ("late", utc(2026, 6, 12).date()),
        ("old", CLOSED.date()),
        ("old", utc(2026, 6, 12).date()),
        ("slow", CLOSED.date()),
    ]


def test_a_late_event_touches_only_its_day_and_its_month(three_months):
    store = three_months.home.stores.rollups
    before = store.manifest().partitions
    three_months.add("events", {"event_time": utc(2026, 4, 3), "ingested_at": NOW}).store()
    assert roll_up(three_months.home).days_counted == 1
    after = store.manifest().partitions
    assert sorted(name for name in after if after[name] != before[name]) == ["day=2026-04-03", "month=2026-04"]


def test_sums_of_other_days_are_not_read(three_months):
    store = three_months.home.stores.rollups
    manifest = store.manifest()
    other = replace(manifest, lineage={**manifest.lineage, "month=2026-04": Lineage(1, {"made": "otherwise"})})
    read = [file.parent.name for file in past_files(store, other, [NOW])]
    assert read == ["month=2026-05", "day=2026-04-03", "day=2026-06-15"]


def test_a_month_without_days_is_forgotten_and_a_file_that_is_gone_is_made_again(three_months):
    store = three_months.home.stores.rollups
    store.files("month=2026-05")[0].unlink()
    roll_up(three_months.home)
    assert store.files("month=2026-05")[0].exists()
    with ManifestStore(three_months.settings.home / "events").writer() as writer:
        writer.remove("day=2026-04-03")
    roll_up(three_months.home)
    assert [name for name in store.manifest().partitions if name.startswith("month=")] == ["month=2026-05"]


def test_a_damaged_day_is_named(three_months):
    store = three_months.home.stores.rollups
    store.files("month=2026-05")[0].unlink()
    store.files("day=2026-05-10", "usage")[0].write_bytes(b"no parquet")
    with pytest.raises(
        WorkFailedError, match=r"1 file is damaged or missing: .*day=2026-05-10/usage-.*doctor --repair`"
    ):
        roll_up(three_months.home)
