"""Which cutoffs are built when nobody names them, and when somebody does."""

from datetime import timedelta

import pytest

from features.build.which_cutoffs import build_cutoffs, missing_cutoffs
from features.exceptions import InputError
from features.home.home import Home
from features.windows import DAY, utc

MONDAY = utc(2026, 6, 29)
NOW = MONDAY + 2 * DAY + timedelta(hours=12)


@pytest.fixture
def seven_weeks(log):
    """A log from 2026-05-11, a Monday, on; it is Wednesday, 2026-07-01."""
    return log.add("events", {"event_time": MONDAY - 49 * DAY}, {"event_time": MONDAY})


def dates(log, **given):
    log.store()
    return [str(cutoff.date()) for cutoff in build_cutoffs(log.home, now=NOW, **given)]


def test_by_default_mondays_after_four_weeks_and_the_day_the_events_end(seven_weeks):
    assert dates(seven_weeks) == ["2026-06-08", "2026-06-15", "2026-06-22", "2026-06-29", "2026-06-30"]


def test_by_default_cutoffs_of_another_meaning_are_built_again(seven_weeks, write_features):
    write_features(seven_weeks.settings.home, {"2026-06-12": ["a"], "2026-06-15": ["a"]})
    assert "2026-06-12" not in dates(seven_weeks)
    seven_weeks.settings = seven_weeks.settings.model_copy(update={"slow_call_ms": 50.0})
    assert dates(seven_weeks)[:3] == ["2026-06-08", "2026-06-12", "2026-06-15"]
    assert "2026-06-12" not in dates(seven_weeks, first="2026-06-01")


def test_the_same_day_twice_is_that_day_whatever_its_weekday(seven_weeks):
    assert dates(seven_weeks, first="2026-06-10", last="2026-06-10") == ["2026-06-10"]


def test_a_historical_log_ends_where_its_events_do_whatever_the_clock(seven_weeks):
    seven_weeks.add("events", {"event_time": MONDAY + 2 * DAY + timedelta(hours=3)})  # a Wednesday
    seven_weeks.store()
    for later in (0.8, 1, 2, 30, 800):
        cutoffs = build_cutoffs(seven_weeks.home, now=NOW + later * DAY)
        assert [str(cutoff.date()) for cutoff in cutoffs[-2:]] == ["2026-06-29", "2026-07-02"], later
    assert str(build_cutoffs(seven_weeks.home, now=NOW)[-1].date()) == "2026-07-01"  # the newest that can be built


def test_events_of_the_future_make_no_cutoffs_and_hide_no_end(seven_weeks):
    seven_weeks.add("events", {"event_time": MONDAY + 300 * DAY}).store()
    cutoffs = build_cutoffs(seven_weeks.home, now=NOW)
    assert [str(cutoff.date()) for cutoff in cutoffs[-2:]] == ["2026-06-29", "2026-06-30"]


def test_a_first_day_after_the_events_is_refused_with_the_day_that_works(seven_weeks):
    message = (
        r"No cutoff lies between 2026-07-20 and 2026-06-30, where the events end\. "
        r"Give --from 2026-06-30 or an earlier one, or --to for cutoffs after the events"
    )
    seven_weeks.store()
    with pytest.raises(InputError, match=message):
        build_cutoffs(seven_weeks.home, now=NOW + 100 * DAY, first="2026-07-20")


def test_a_log_shorter_than_four_weeks_is_told_which_day_works(log):
    log.add("events", {"event_time": MONDAY - 9 * DAY}, {"event_time": MONDAY}).store()
    message = r"four weeks after the first event, 2026-06-20.*give --from 2026-06-30"
    with pytest.raises(InputError, match=message):
        build_cutoffs(log.home, now=NOW + 700 * DAY)
    (cutoff,) = build_cutoffs(log.home, now=NOW + 700 * DAY, first="2026-06-30")
    assert str(cutoff.date()) == "2026-06-30"


def test_days_without_a_monday_between_are_refused(seven_weeks):
    with pytest.raises(InputError, match=r"No cutoff lies between 2026-06-09 and 2026-06-10.*earlier --from"):
        dates(seven_weeks, first="2026-06-09", last="2026-06-10")


def test_one_event_of_1970_makes_no_thousands_of_cutoffs(seven_weeks):
    seven_weeks.add("events", {"event_time": utc(1970, 1, 1)})
    message = r"start on 1970-01-01, which would make 2,9\d\d cutoffs.*--from; .* begin on 2026-05-11\."
    with pytest.raises(InputError, match=message):
        dates(seven_weeks)
    assert dates(seven_weeks, first="2026-06-20") == ["2026-06-22", "2026-06-29", "2026-06-30"]


def test_without_events_there_is_nothing_to_build(log):
    with pytest.raises(InputError, match=r"no events. Run `bellwether ingest"):
        dates(log)


def test_a_night_builds_its_cutoff_and_the_mondays_that_were_never_built(seven_weeks, write_features):
    write_features(seven_weeks.settings.home, {"2026-06-08": ["a"], "2026-06-22": ["a"]})
    seven_weeks.store()
    found = missing_cutoffs(seven_weeks.home, MONDAY + 2 * DAY)
    assert [str(cutoff.date()) for cutoff in found] == ["2026-06-15", "2026-06-29", "2026-07-01"]


def test_a_night_builds_outdated_cutoffs_up_to_its_own_again(seven_weeks, write_features):
    write_features(seven_weeks.settings.home, {"2026-06-12": ["a"], "2026-07-01": ["a"]})
    seven_weeks.store()
    other = seven_weeks.settings.model_copy(update={"slow_call_ms": 50.0})
    found = missing_cutoffs(Home(other), MONDAY)
    assert [str(cutoff.date()) for cutoff in found] == [
        "2026-06-08",
        "2026-06-12",
        "2026-06-15",
        "2026-06-22",
        "2026-06-29",
    ]


def test_a_young_log_has_its_night_too(log):
    log.add("events", {"event_time": MONDAY}).store()
    assert missing_cutoffs(log.home, MONDAY + DAY) == [MONDAY + DAY]
