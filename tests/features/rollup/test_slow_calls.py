"""Calls slower than their endpoint's usual slowest 5 % are counted, and again only when what is usual changes."""

from datetime import timedelta

import pyarrow.parquet as pq
import pytest

from features.home.home import Home
from features.rollup.count import roll_up
from features.windows import DAY, utc

D = utc(2026, 6, 1)
HOUR = timedelta(hours=1)
NEW = D + 40 * DAY
NEW_DAY = "slow=2026-07-11"


def calls(count, *, at=D, latency_ms=10.0, **given):
    seconds = timedelta(seconds=1)
    return [{"event_time": at + n * seconds, "latency_ms": latency_ms, "endpoint": "/a", **given} for n in range(count)]


def rows(log, name="slow", partition=NEW_DAY):
    (path,) = log.home.stores.rollups.files(partition, name)
    return pq.read_table(path, partitioning=None).to_pylist()


def counted(log):
    return [(row["account_id"], row["endpoint"], row["sdk_version"], row["slow_calls"]) for row in rows(log)]


@pytest.fixture
def year(log):
    """190 calls of 10 ms and 10 of 100 ms, 40 days before a day with calls of each kind: usual is 10 ms."""
    return log.add("events", *calls(190), *calls(10, at=D + HOUR, latency_ms=100.0)).add(
        "events",
        *calls(2, at=NEW, latency_ms=10.0),
        *calls(3, at=NEW, latency_ms=20.0, account_id="b"),
        *calls(1, at=NEW + HOUR, latency_ms=20.0, account_id="b", sdk="go", sdk_version="2"),
        *calls(4, at=NEW, latency_ms=99.0, account_id="b", endpoint="/other"),
        *calls(5, at=NEW, latency_ms=None, account_id="b"),
        *calls(6, at=NEW + HOUR, latency_ms=99.0, account_id="b", synthetic=True),
    )


def test_calls_beyond_the_usual_95_of_100_are_slow(year):
    year.store()
    roll_up(year.home)
    assert counted(year) == [("b", "/a", "", 3), ("b", "/a", "2", 1)]
    (usual,) = rows(year, "usual")
    assert (usual["endpoint"], usual["usual_p95_ms"]) == ("/a", pytest.approx(10.0, rel=0.025))


def test_under_200_measured_calls_nothing_is_usual(log):
    log.add("events", *calls(199), *calls(3, at=NEW, latency_ms=9000.0)).store()
    roll_up(log.home)
    assert (rows(log), rows(log, "usual")) == ([], [])


@pytest.mark.parametrize(("age_days", "has_usual"), [(28, False), (29, True), (119, True), (120, False)], ids=str)
def test_usual_is_of_the_91_days_that_end_28_days_before(log, age_days, has_usual):
    log.add("events", *calls(200, at=NEW - age_days * DAY), *calls(1, at=NEW - 50 * DAY, endpoint="/b"))
    log.add("events", *calls(1, at=NEW)).store()
    roll_up(log.home)
    assert bool(rows(log, "usual")) == has_usual


def test_what_came_in_later_than_the_day_after_is_not_usual_yet(log):
    late = NEW + DAY + timedelta(hours=6)  # the grace of the cutoff after the day
    log.add("events", *calls(1), *calls(199), *calls(1, at=D + HOUR, ingested_at=late), *calls(1, at=NEW)).store()
    roll_up(log.home)
    assert rows(log, "usual") != []
    log.add("events", *calls(1, endpoint="/b", at=D), *calls(199, at=D, endpoint="/b", ingested_at=late)).store()
    roll_up(log.home)
    assert [row["endpoint"] for row in rows(log, "usual")] == ["/a"]


def test_days_before_28_days_of_log_have_no_slow_calls(log):
    log.add("events", *calls(200), *calls(1, at=D + 28 * DAY)).store()
    assert roll_up(log.home).slow_days_counted == 0


def test_a_day_is_counted_again_when_it_or_what_is_usual_changes_and_says_how_many(year):
    year.add("events", *calls(1, at=NEW + 20 * DAY)).store()
    assert roll_up(year.home).slow_days_counted == 2
    assert roll_up(year.home).slow_days_counted == 0
    year.add("events", *calls(1, at=NEW + 20 * DAY + HOUR)).store()  # an ordinary late event
    assert roll_up(year.home).slow_days_counted == 1
    year.add("events", *calls(1, at=D + 2 * HOUR)).store()  # a backfill: the same lies in both days' reference
    assert roll_up(year.home).slow_days_counted == 2


def test_a_file_that_is_gone_is_counted_again(year):
    year.store()
    roll_up(year.home)
    at_once = counted(year)
    year.home.stores.rollups.files(NEW_DAY, "slow")[0].unlink()
    assert roll_up(Home(year.settings)).slow_days_counted == 1
    assert counted(year) == at_once
