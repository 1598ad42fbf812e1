from datetime import UTC, date, datetime, timedelta

import ibis
import pytest

from features.exceptions import InputError
from features.windows import (
    as_cutoff,
    cutoff_day,
    cutoff_of_day,
    cutoffs_between,
    days_of_ages,
    is_buildable,
    label_window,
    newest_cutoff,
    require_utc,
    utc,
    visible_from,
)

MONDAY = utc(2026, 6, 29)


@pytest.mark.parametrize("value", ["2026-06-29", date(2026, 6, 29), MONDAY, "2026-06-29T02:00:00+02:00"])
def test_a_cutoff_is_a_utc_midnight(value):
    assert as_cutoff(value) == MONDAY


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("soon", "'soon' is not a date. Write it as YYYY-MM-DD"),
        (utc(2026, 6, 29, 1), "A cutoff is a UTC midnight, not 2026-06-29T01:00:00"),
        (datetime(2026, 6, 29), "The cutoff has no time zone"),  # noqa: DTZ001 - what is tested
    ],
)
def test_anything_else_is_no_cutoff(value, text):
    with pytest.raises(InputError, match=text):
        as_cutoff(value)


def test_cutoff_days_count_from_1970_and_back():
    assert cutoff_day(utc(1970, 1, 2)) == 1
    assert cutoff_of_day(cutoff_day(MONDAY)) == MONDAY


def test_windows_are_half_open_and_whole_days():
    days = list(days_of_ages(MONDAY, [range(1, 3), range(365, 366)]))
    assert days == [date(2026, 6, 28), date(2026, 6, 27), date(2025, 6, 29)]
    assert label_window(MONDAY, lead_days=7, horizon_days=30) == (utc(2026, 7, 6), utc(2026, 8, 5))


def test_a_cutoff_is_buildable_when_the_grace_is_over():
    ready = MONDAY + timedelta(hours=6)
    assert is_buildable(MONDAY, now=ready, grace_hours=6)
    assert not is_buildable(MONDAY, now=ready - timedelta(microseconds=1), grace_hours=6)
    assert newest_cutoff(ready, grace_hours=6) == MONDAY
    assert newest_cutoff(ready - timedelta(microseconds=1), grace_hours=6) == utc(2026, 6, 28)


def test_weekly_cutoffs_are_mondays_and_others_start_where_told():
    assert list(cutoffs_between(utc(2026, 6, 17), MONDAY)) == [utc(2026, 6, 22), MONDAY]
    assert list(cutoffs_between(utc(2026, 6, 27), MONDAY, every_days=1)) == [utc(2026, 6, 27), utc(2026, 6, 28), MONDAY]
    with pytest.raises(InputError, match="at least one day, not 0"):
        list(cutoffs_between(MONDAY, MONDAY, every_days=0))


def test_a_time_without_a_zone_is_refused():
    with pytest.raises(InputError, match="now has no time zone"):
        require_utc(datetime(2026, 6, 29), what="now")  # noqa: DTZ001 - what is tested


@pytest.mark.parametrize(
    ("event_time", "ingested_at", "first_cutoff"),
    [
        (utc(2026, 6, 28, 23, 59), utc(2026, 6, 29), MONDAY),
        (utc(2026, 6, 29), utc(2026, 6, 29), utc(2026, 6, 30)),
        (utc(2026, 6, 28, 12), utc(2026, 6, 29, 5, 59, 59), MONDAY),
        (utc(2026, 6, 28, 12), utc(2026, 6, 29, 6), utc(2026, 6, 30)),
        (utc(2026, 6, 1), utc(2026, 6, 28), utc(2026, 6, 28)),
    ],
)
def test_an_event_is_visible_from_the_first_cutoff_that_knows_it(event_time, ingested_at, first_cutoff):
    def moment(value):
        return ibis.literal(value, type="timestamp('UTC', 6)")

    seen = visible_from(moment(event_time), moment(ingested_at), grace_hours=6)
    got = ibis.duckdb.connect().execute(seen.cast("string"))
    assert datetime.fromisoformat(got).replace(tzinfo=UTC) == first_cutoff
