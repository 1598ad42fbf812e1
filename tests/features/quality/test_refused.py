"""Quarantine: reasons counted, and each with a remedy of its own."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from features.home.home import Home
from features.ingest.ingest import ingest
from features.quality.refused import look_at_quarantine, remedy_of
from features.quality.section import Inspection
from features.windows import DAY, utc

if TYPE_CHECKING:
    from tests.features.conftest import Log

CUTOFF = utc(2026, 6, 29)


def strict(log: Log) -> Home:
    return Home(log.home.settings.model_copy(update={"strict_values": True}))


def inspection(log: Log) -> Inspection:
    return Inspection(log.home, CUTOFF, (), CUTOFF + DAY, is_past=False)


def test_reasons_are_counted_and_the_frequent_ones_told(log: Log, tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    good = ["acme,2026-06-20T10:00:00Z,200"] * 96
    bad = ["acme,2026-06-20T10:00:00Z,900"] * 9 + ["acme,2031-01-01T00:00:00Z,200"] * 5
    lines = [f"{line},{number}" for number, line in enumerate(good + bad)]
    file.write_text("\n".join(["account_id,event_time,status,event_id", *lines]) + "\n")
    ingest(strict(log), now=CUTOFF + DAY, events=[file], backfill=True)
    section = look_at_quarantine(inspection(log))
    assert [(row["source"], row["reason"], row["rows"]) for row in section.rows] == [
        ("events", "status_out_of_range", 9),
        ("events", "event_time_in_future", 5),
    ]
    many, some = section.findings
    assert many.what == (
        "9 rows of events (8.2 % of the loads of late) were refused: status out of range, for example from calls.csv."
    )
    assert many.remedy == "Map status to the HTTP status, a number from 100 to 599."
    assert (many.is_remark, some.is_remark) == (True, True)
    assert "time_zone" in some.remedy


def test_a_tenth_in_quarantine_is_wrong(log: Log, tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    file.write_text("account_id,event_time\n" + "acme,never\n" * 2 + "acme,2026-06-20T10:00:00Z\n")
    ingest(strict(log), now=CUTOFF + DAY, events=[file], backfill=True)
    (finding,) = look_at_quarantine(inspection(log)).findings
    assert finding.what.startswith("2 rows of events (67 % of the loads of late) were refused: event_time unreadable")
    assert not finding.is_remark


def load(log: Log, file: Path, *lines: str, at: datetime) -> None:
    file.write_text("\n".join(["account_id,event_time,status,event_id", *lines]) + "\n")
    ingest(strict(log), now=at, events=[file], backfill=True)


def calls(status: int, *names: str) -> list[str]:
    return [f"acme,2026-05-20T10:00:00Z,{status},{name}" for name in names]


def test_a_bad_load_that_was_mended_is_a_remark_and_in_time_nothing(log: Log, tmp_path: Path) -> None:
    file = tmp_path / "calls.csv"
    load(log, file, *calls(900, "a", "b"), at=CUTOFF - 30 * DAY)
    (wrong,) = look_at_quarantine(inspection(log)).findings
    assert not wrong.is_remark
    load(log, file, *calls(200, "a", "b"), at=CUTOFF - 29 * DAY)
    (mended,) = look_at_quarantine(inspection(log)).findings
    assert mended.is_remark
    assert "(50 % of the loads of late)" in mended.what
    assert mended.what.endswith("Of the newest load 0 %.")
    load(log, file, *calls(200, "c"), at=CUTOFF)
    section = look_at_quarantine(inspection(log))
    assert section.findings == ()
    assert [(row["rows"], row["share of late"]) for row in section.rows] == [(2, 0.0)]


def test_calls_nobody_signed_are_a_remark_however_many(log: Log, tmp_path: Path) -> None:
    unsigned = [f",2026-06-20T10:00:00Z,200,{name}" for name in "xyz"]
    load(log, tmp_path / "calls.csv", *calls(200, "a"), *unsigned, at=CUTOFF)
    (finding,) = look_at_quarantine(inspection(log)).findings
    assert "(75 % of the loads of late) were refused: account_id missing (calls nobody signed)" in finding.what
    assert finding.is_remark


def test_a_home_that_remembers_no_load_is_judged_by_all_rows(log: Log, tmp_path: Path) -> None:
    load(log, tmp_path / "calls.csv", *calls(900, "a"), at=CUTOFF)
    with log.home.stores.quarantine.writer() as writer:
        del writer.notes["loads"]
    (finding,) = look_at_quarantine(inspection(log)).findings
    assert not finding.is_remark


def test_nothing_refused_is_no_finding(log: Log) -> None:
    section = look_at_quarantine(inspection(log))
    assert (section.rows, section.findings) == ((), ())
    assert section.note == "No row was ever refused."


@pytest.mark.parametrize("reason", ["known_at_in_future", "event_time_naive", "mrr_negative", "conflict", "anything"])
def test_every_reason_has_a_remedy(reason: str) -> None:
    assert remedy_of(reason).endswith(".")
