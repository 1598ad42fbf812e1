"""SDK features of logs small enough to count."""

from datetime import timedelta

import ibis
import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.groups.releases import version_order
from features.windows import DAY, utc

BUILDS = ("sdk",)
C = utc(2026, 6, 29)
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)


def call(account, event_time, sdk="go", version="1.0", **row):
    return {"account_id": account, "event_time": event_time, "sdk": sdk, "sdk_version": version, **row}


def test_the_main_sdk_has_most_calls_of_28_days_and_ties_go_by_name(log):
    start = C - 28 * DAY
    log.add(
        "events",
        call("a", start - MICROSECOND, "ruby"),
        *[call("a", start, "ruby"), call("a", C - DAY, "ruby", "2.0")],
        *[call("a", C - DAY, "node"), call("a", C - MICROSECOND, "node", ingested_at=C + GRACE - MICROSECOND)],
        *[call("a", C - DAY, "java", ingested_at=C + GRACE)] * 3,
        *[call("a", C, "java")] * 3,
        *[call("a", C - DAY, None)] * 5,
        *[call("b", C - DAY, "ruby", status=500), call("b", start - DAY, "node"), call("b", start - DAY, "node")],
        call("c", start - MICROSECOND),
        call("d", C - DAY, None, "7"),
    )
    table = log.table(C)
    names = ("main_sdk_28d", "sdk_count_28d")
    rows = {account: tuple(table[account, C][name] for name in names) for account in "abcd"}
    assert rows == {"a": ("node", 2), "b": ("ruby", 1), "c": (None, 0), "d": (None, 0)}


def test_a_log_without_sdks_counts_none(log):
    log.add("events", call("a", C - DAY, None), call("b", C - DAY, ingested_at=C + GRACE))
    row = log.at(C)
    names = ("main_sdk_28d", "sdk_count_28d", "sdk_dropoff_excess", "sdk_version_age_days")
    assert [row[name] for name in names] == [None] * 4


def test_the_excess_compares_the_others_on_the_release_with_all(log):
    before, middle = C - 56 * DAY, C - 28 * DAY
    log.add(
        "events",
        *[call("a", before), call("a", C - DAY)],
        *[call("b", before), call("b", C - DAY, ingested_at=C + GRACE)],  # silent as far as is known
        *[call("c", middle - MICROSECOND), call("c", C)],  # silent
        *[call("d", middle - DAY, version="2.0"), call("d", middle, version="2.0")],
        call("e", before - MICROSECOND),  # was not there
        call("f", C - DAY),  # nor this one, which is on the release now
        *[call("g", middle - DAY, None), call("g", C - DAY, None)],
        *[call("h", middle - DAY, version="2.0"), call("h", middle - DAY, version="2.0"), call("h", C - DAY)],
    )
    table = log.table(C)
    share = 2 / 6  # of a, b, c, d, g, h: b and c
    found = {account: table[account, C]["sdk_dropoff_excess"] for account in "abcdefgh"}
    assert found["a"] == pytest.approx((2 - 2 * share) / (2 + 20))  # b, c
    assert found["b"] == found["c"] == pytest.approx((1 - 2 * share) / (2 + 20))  # a and the other
    assert found["f"] == found["h"] == pytest.approx((2 - 3 * share) / (3 + 20))  # a, b, c
    assert found["d"] == pytest.approx((0 - 1 * share) / (1 + 20))  # h, which was on 2.0
    assert (found["e"], found["g"]) == (None, None)


def test_a_version_ages_from_the_first_sight_of_a_newer_one_in_the_fleet(log):
    log.add(
        "events",
        *[call("a", C - days * DAY, version="1.9") for days in (40, 1, 2)],
        call("a", C - DAY, version="1.10"),
        call("b", C - 30 * DAY, version="1.10"),
        call("b", C - 20 * DAY, version="1.11", synthetic=True),
        call("b", C - 9 * DAY, version="1.11", ingested_at=C + GRACE),
        call("b", C - 6 * DAY, version="1.10.0"),
        call("c", C - 50 * DAY, "java", "9.0"),
        call("d", C - DAY, version=None),
        call("e", C - DAY, version="nightly"),
        call("f", C - 40 * DAY, version="1.9"),
    )
    log.add("events", call("before", C - 90 * DAY, version=None))
    table = log.table(C, C + DAY)
    ages = {account: table[account, C]["sdk_version_age_days"] for account in "abcdef"}
    assert ages == {"a": 30.0, "b": None, "c": None, "d": None, "e": None, "f": 30.0}
    assert table["b", C + DAY]["sdk_version_age_days"] == 10.0


def test_a_version_that_was_there_when_the_log_began_may_be_older_than_it(log):
    start, microsecond = C - 90 * DAY, timedelta(microseconds=1)
    log.add(
        "events",
        *[call(account, start, account, "1.0") for account in "ab"],
        call("a", start + 28 * DAY - microsecond, "a", "1.1"),
        call("a", start + 50 * DAY, "a", "1.2"),
        call("b", start + 28 * DAY, "b", "1.1"),
        *[call(account, C - days * DAY, account, "1.0") for account in "ab" for days in (1, 2, 3)],
    )
    table = log.table(C)
    assert {account: table[account, C]["sdk_version_age_days"] for account in "ab"} == {"a": None, "b": 62.0}


def test_versions_are_in_order():
    before = ["0.9", "1.0.0-alpha", "1.0.0-beta.2", "1.0.0-beta.10", "1.0.0-rc1", "1.0.0", "1.0.0.post1"]
    ordered = [*before, "1.0.1", "1.2", "1.10", "v2.0", "2.0.0.1", "10", "20260629"]
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    table = ibis.memtable({"version": [*ordered, "nightly", "", "2.0.0", "2.0+build.7"]})
    rows = engine.to_arrow(table.select("version", place=version_order(table.version))).to_pylist()
    engine.close()
    places = {row["version"]: row["place"] for row in rows}
    assert sorted(ordered, key=places.__getitem__) == ordered
    assert (places["nightly"], places[""]) == (None, None)
    assert places["v2.0"] == places["2.0.0"] == places["2.0+build.7"]
