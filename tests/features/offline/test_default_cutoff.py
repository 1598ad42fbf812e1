"""The cutoff that is meant by whoever names none, of a log that goes on and of one that ended."""

from datetime import timedelta

import pytest

from features.exceptions import InputError
from features.ingest.late_source import log_end, newest_event
from features.ingest.loads import Load, load_moments, loads_of, note_load
from features.offline.default_cutoff import default_cutoff, silence_told, silent_cutoffs
from features.windows import DAY, utc

END = utc(2024, 3, 4)
NEWEST = END - timedelta(hours=1, minutes=50)


@pytest.fixture
def ended(log):
    """A log that ended on 2024-03-03 at 22:10."""
    log.add("events", {"event_time": END - 40 * DAY}, {"event_time": NEWEST - DAY}, {"event_time": NEWEST}).store()
    return log


def load(log, *moments):
    with log.home.stores.quarantine.writer() as writer:
        for moment in moments:
            note_load(writer, "events", Load(moment, 10, {}))


def test_the_newest_cutoff_of_a_log_that_ended_long_ago_is_its_last(ended, write_features):
    write_features(ended.settings.home, {"2024-02-26": ["a"], "2024-03-04": ["a"]})
    assert default_cutoff(ended.home, now=utc(2026, 11, 30)) == END


@pytest.mark.parametrize("built", ["2026-06-29", "2024-03-07"])
def test_a_cutoff_of_silence_is_not_taken_unasked_and_the_day_to_name_is_said(ended, write_features, built):
    write_features(ended.settings.home, {"2024-02-26": ["a"], "2024-03-04": ["a"], built: ["a"]})
    message = rf"{built} lies .* days after the newest event, of 2024-03-03 22:10 UTC.*--as-of 2024-03-04\."
    with pytest.raises(InputError, match=message):
        default_cutoff(ended.home, now=utc(2026, 11, 30))


def test_without_any_other_cutoff_the_build_that_helps_is_said(ended, write_features):
    write_features(ended.settings.home, {"2026-06-29": ["a"]})
    with pytest.raises(InputError, match=r"Run `bellwether features build` first.*--as-of 2024-03-04\."):
        default_cutoff(ended.home, now=utc(2026, 11, 30))


def test_a_cutoff_that_has_not_come_is_not_taken(ended, write_features):
    write_features(ended.settings.home, {"2024-03-04": ["a"]})
    assert default_cutoff(ended.home, now=END) == END
    with pytest.raises(InputError, match=r"2024-03-04, has not come yet: it is 2024-03-03 23:59 UTC.*doctor --repair"):
        default_cutoff(ended.home, now=END - timedelta(minutes=1))


def test_what_is_dated_after_the_clock_is_not_the_newest_event(ended):
    ended.add("events", {"event_time": END + 300 * DAY}, {"event_time": END + timedelta(hours=2)}).store()
    assert newest_event(ended.home, now=END + timedelta(hours=1)) == NEWEST
    assert newest_event(ended.home, now=END + timedelta(hours=3)) == END + timedelta(hours=2)
    assert newest_event(ended.home, now=END - 99 * DAY) is None


def test_three_days_are_allowed_to_the_moment(ended):
    end = log_end(ended.home, now=utc(2026, 11, 30))
    assert not end.is_late(NEWEST + 3 * DAY)
    assert end.is_late(NEWEST + 3 * DAY + timedelta(microseconds=1))
    ended.settings = ended.settings.model_copy(update={"source_late_days": 5.0})
    assert not log_end(ended.home, now=utc(2026, 11, 30)).is_late(NEWEST + 5 * DAY)


@pytest.mark.parametrize(
    ("days", "allowed"),
    [
        ((), 3),  # nothing was ever noted
        ((0,), 3),  # a first load has no gap
        ((0, 7), 3),  # one gap is no habit
        ((0, 7, 14), 21),
        ((0, 0.01, 0.02, 7, 14), 21),  # a history that came in several files is one load
        ((0, 1, 2, 3, 4), 3),  # the setting is the least
        ((0, 30, 61, 91), 90),  # remembered beyond the 28 days of the quality report
        ((0, 1, 2, 3, 303), 3),  # a load under a clock that was far ahead
    ],
)
def test_three_usual_gaps_between_loads_are_allowed(ended, days, allowed):
    load(ended, *(END + number * DAY for number in days))
    assert log_end(ended.home, now=END + 310 * DAY).allowed == allowed * DAY


def test_loads_after_the_clock_are_no_habit(ended):
    load(ended, *(END + number * DAY for number in (0, 100, 200, 300)))
    assert log_end(ended.home, now=END + 1 * DAY).allowed == 3 * DAY


def test_old_loads_are_remembered_and_say_nothing_of_recent_refusals(ended):
    load(ended, *(END + number * DAY for number in range(0, 600, 30)))
    assert len(load_moments(ended.home, "events")) == 12
    assert [entry.at for entry in loads_of(ended.home, "events")] == [END + 570 * DAY]


def test_cutoffs_of_silence_are_told_apart_and_told(ended, write_features):
    write_features(
        ended.settings.home, {day: ["a"] for day in ("2024-02-26", "2024-03-04", "2024-03-11", "2024-03-18")}
    )
    assert silent_cutoffs(ended.home, [END - 7 * DAY, END, END + 7 * DAY]) == [END + 7 * DAY]
    assert silent_cutoffs(ended.home, []) == []
    (sentence,) = silence_told(ended.home)
    assert sentence.startswith("2 weekly cutoffs lie so long after the newest event that everybody looks silent there")
    assert "left out of training: 2024-03-18, 2024-03-11." in sentence
