"""Late share: calls counted by how many cutoffs they missed."""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from features.quality.late_calls import Lateness, lateness_of, look_at_lateness
from features.quality.section import Inspection, Section
from features.rollup.count import roll_up
from features.windows import DAY, utc

if TYPE_CHECKING:
    from tests.features.conftest import Log

CUTOFF = utc(2026, 6, 29)
NEXT_DAY = timedelta(days=1)


def test_a_call_is_late_when_the_midnight_that_ends_its_day_misses_it() -> None:
    day = date(2026, 6, 1)
    rows = [(day, 1, 90), (day, 2, 6), (day, 4, 3), (day, 11, 1)]  # visible after so many days; calls
    counted = pa.table(
        {
            "event_day": [one for one, _, _ in rows],
            "visible_from": [one + days * NEXT_DAY for one, days, _ in rows],
            "calls": [calls for _, _, calls in rows],
        }
    )
    assert lateness_of(counted) == Lateness(calls=100, late=10, median_days=1, longest_days=10)
    assert lateness_of(counted).share == 0.1
    assert lateness_of(counted.slice(0, 0)) == Lateness(0, 0, None, None)


def looked(log: Log, *late_days: int) -> Section:
    """The report on twenty calls, of which the first arrived so many days late."""
    for place in range(20):
        happened = CUTOFF - (place + 1) * DAY + timedelta(hours=12)
        delay = late_days[place] * DAY if place < len(late_days) else timedelta(minutes=1)
        log.add("events", {"event_time": happened, "ingested_at": happened + delay})
    log.store()
    roll_up(log.home)
    return look_at_lateness(Inspection(log.home, CUTOFF, (), CUTOFF + DAY, is_past=False))


def test_calls_in_time_are_no_finding(log: Log) -> None:
    section = looked(log)
    assert section.findings == ()
    assert section.rows[0]["late"] == 0


@pytest.mark.parametrize(
    ("late_days", "said", "is_remark"),
    [
        ((3, 3), "10 % of the calls of the last 28 event days came too late for their cutoff", True),
        (
            (9,) * 12,
            "60 % of the calls of the last 28 event days were known too late for their cutoff, by 9 days",
            False,
        ),
    ],
)
def test_late_calls_are_told(log: Log, late_days: tuple[int, ...], said: str, is_remark: bool) -> None:
    (finding,) = looked(log, *late_days).findings
    assert finding.what.startswith(said)
    assert finding.is_remark is is_remark
    assert ("grace_hours" if is_remark else "--backfill") in finding.remedy
