"""Freshness: a source that stopped, one that always pauses, one that never came, and an inbox nobody empties."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from features.quality.freshness import Reach, look_at_freshness
from features.quality.section import Inspection, Section
from features.settings.fields import SourceSettings
from features.windows import DAY, utc

if TYPE_CHECKING:
    from tests.features.conftest import Log

CUTOFF = utc(2026, 6, 29)
NOON = timedelta(hours=12)


@pytest.mark.parametrize(
    ("table", "pause", "usual", "is_late"),
    [
        ("events", 30, 1, False),  # within what features may be old
        ("events", 40, 1, True),
        ("events", 40, 20, False),  # such pauses happen
        ("events", 41, 20, True),
        ("events", 40, None, True),
        ("accounts", 40, None, False),
        ("accounts", 500, 200, True),
        ("accounts", None, None, False),
    ],
)
def test_late_is_longer_than_features_may_be_old_and_twice_the_usual_pause(
    table: str, pause: float | None, usual: float | None, is_late: bool
) -> None:
    assert Reach(table, 9, None, None, pause, usual).is_late(36) is is_late


def daily(log: Log, *, until_days_ago: int) -> Log:
    """A call at every noon of June up to so many days before the cutoff."""
    for age in range(until_days_ago, 29):
        log.add("events", {"event_time": CUTOFF - age * DAY + NOON})
    log.store()
    return log


def looked(log: Log, *, measured_at: datetime = CUTOFF + NOON, is_past: bool = False) -> Section:
    return look_at_freshness(Inspection(log.home, CUTOFF, (), measured_at, is_past))


def test_a_source_that_keeps_its_rhythm_has_no_findings(log: Log) -> None:
    section = looked(daily(log, until_days_ago=1))
    assert section.findings == ()
    events = section.rows[0]
    assert (events["source"], events["rows"], events["state"]) == ("events", 28, "fresh")
    assert (events["hours since"], events["usual pause"]) == (24.0, 24.0)
    assert [row["state"] for row in section.rows[1:]] == ["none"] * 3


def test_a_log_that_stopped_is_wrong(log: Log) -> None:
    section = looked(daily(log, until_days_ago=6))
    (finding,) = section.findings
    assert finding.what == (
        "events end 144 hours ago, at 2026-06-23 12:00 UTC. In the 91 days before, no pause but one was over 24 hours. "
        "A silent account may not be silent: its calls are missing."
    )
    assert not finding.is_remark
    assert "inbox" in finding.remedy
    assert section.rows[0]["state"] == "LATE"


def test_one_outage_is_no_rhythm(log: Log) -> None:
    for age in (*range(6, 12), *range(22, 29)):  # ten days were lost once
        log.add("events", {"event_time": CUTOFF - age * DAY + NOON})
    log.store()
    section = looked(log)
    assert section.rows[0]["usual pause"] == 24.0
    assert section.rows[0]["state"] == "LATE"
    assert not section.findings[0].is_remark


def test_a_log_that_pauses_as_before_but_longer_than_features_may_be_old_is_a_remark(log: Log) -> None:
    for age in range(2, 29, 2):
        log.add("events", {"event_time": CUTOFF - age * DAY + NOON})
    log.store()
    section = looked(log)
    (finding,) = section.findings
    assert finding.what == (
        "events end 48 hours ago, at 2026-06-27 12:00 UTC. Such pauses there were before, yet a log that ends "
        "over 36 hours before the cutoff makes scores stale."
    )
    assert finding.is_remark
    assert section.rows[0]["state"] == "late"


def test_a_cutoff_that_is_asked_for_is_measured_when_it_closed(log: Log) -> None:
    daily(log, until_days_ago=1)
    log.add("events", {"event_time": CUTOFF + NOON}).store()
    then = looked(log, measured_at=CUTOFF + NOON / 2, is_past=True)
    assert then.findings == ()
    assert then.rows[0]["newest event"] == "2026-06-28 12:00"
    assert then.rows[0]["hours since"] == 18.0


def test_records_that_stopped_are_a_remark(log: Log) -> None:
    for age in range(20, 60, 2):
        log.add("accounts", {"account_id": f"a{age}", "created_at": CUTOFF - age * DAY, "known_at": CUTOFF - age * DAY})
    (finding,) = looked(daily(log, until_days_ago=1)).findings
    assert finding.what.startswith("accounts end 492 hours ago, at 2026-06-09 00:00 UTC.")
    assert finding.is_remark


def test_a_source_that_is_set_and_never_came_is_a_remark(new_log: Callable[..., Log]) -> None:
    log = daily(new_log(sources={"touchpoints": SourceSettings(), "events": SourceSettings()}), until_days_ago=1)
    (finding,) = looked(log).findings
    assert finding.what == "[sources.touchpoints] is set, and no row of touchpoints was ever stored."
    assert finding.is_remark


def test_files_that_wait_and_files_that_nobody_reads_are_remarks(log: Log) -> None:
    daily(log, until_days_ago=1)
    folder = log.settings.home / "inbox/events"
    folder.mkdir(parents=True)
    file = folder / "day.csv"
    file.write_text("account_id,event_time\n")
    (log.settings.home / "inbox/notes.txt").write_text("for later")
    put_here = utc(2026, 6, 1)
    os.utime(file, (put_here.timestamp(), put_here.timestamp()))
    arrived = file.stat().st_ctime  # nobody can set when a file was put here
    now = max(CUTOFF + NOON, utc(1970, 1, 1) + timedelta(seconds=arrived) + 2 * DAY)
    said = [finding.what for finding in looked(log, measured_at=now).findings if "inbox" in finding.what]
    assert said[0].startswith("1 file waits in the inbox under events, the oldest since ")
    assert said[1] == "1 file of the inbox is read by nothing: notes.txt."
    assert [row["files waiting"] for row in looked(log).rows] == [1, 0, 0, 0]
