"""Matching: an account table that lacks half of the accounts, and ids written in two ways."""

from __future__ import annotations

from typing import TYPE_CHECKING

from features.quality.matching import look_at_matching, match
from features.quality.section import Inspection, Section
from features.rollup.count import roll_up
from features.windows import DAY, utc

if TYPE_CHECKING:
    from tests.features.conftest import Log

CUTOFF = utc(2026, 6, 29)
CALLING = tuple(f"a{place:02}" for place in range(20))


def looked(log: Log, *accounts: str) -> Section:
    for account in CALLING:
        log.add("events", {"account_id": account, "event_time": CUTOFF - 3 * DAY})
    for account in accounts:
        log.add("accounts", {"account_id": account, "created_at": CUTOFF - 9 * DAY, "known_at": CUTOFF - 9 * DAY})
    log.store()
    roll_up(log.home)
    return look_at_matching(Inspection(log.home, CUTOFF, (), CUTOFF + DAY, is_past=False))


def test_a_whole_table_has_no_findings(log: Log) -> None:
    section = looked(log, *CALLING)
    assert section.findings == ()
    assert [(row["table"], row["matched"], row["unmatched"], row["orphaned"]) for row in section.rows] == [
        ("accounts", 20, 0, 0)
    ]


def test_without_a_table_there_is_nothing_to_match(log: Log) -> None:
    section = looked(log)
    assert (section.rows, section.findings) == ((), ())


def test_a_table_that_lacks_half_is_wrong_and_names_five(log: Log) -> None:
    section = looked(log, *CALLING[10:], "never")
    (finding,) = section.findings
    assert finding.what == (
        "accounts lack 10 of the 20 accounts that call (50 %): a00, a01, a02, a03, a04 and 5 more. "
        "They have no name, owner or age."
    )
    assert not finding.is_remark
    (row,) = section.rows
    assert (row["matched"], row["unmatched"], row["orphaned"]) == (10, 10, 1)
    assert row["for example"] == "unmatched a00, a01, a02, a03, a04 and 5 more; orphaned never"


def test_a_few_missing_are_a_remark(log: Log) -> None:
    (finding,) = looked(log, *CALLING[2:]).findings
    assert finding.is_remark
    assert "(10 %): a00, a01." in finding.what


def test_ids_that_differ_only_in_case_are_named(log: Log) -> None:
    lacking, silent, alike = looked(log, *(account.upper() for account in CALLING)).findings
    assert lacking.what.startswith("accounts lack 20 of the 20 accounts that call (100 %)")
    assert alike.what.startswith("20 groups of account ids differ only in case: A00 / a00, A01 / a01")
    assert silent.what.startswith("20 of the 20 accounts of accounts (100 %) never called: A00, A01")
    assert silent.is_remark


def test_who_stopped_calling_long_ago_is_not_lacked(log: Log) -> None:
    for place in range(20):
        log.add("events", {"account_id": f"old{place}", "event_time": CUTOFF - 92 * DAY})
    log.add("events", {"account_id": "late", "event_time": CUTOFF - 91 * DAY})
    log.add("accounts", {"account_id": "old0", "created_at": CUTOFF - 99 * DAY, "known_at": CUTOFF - 99 * DAY})
    section = looked(log, *CALLING)
    assert [(row["matched"], row["unmatched"], row["orphaned"]) for row in section.rows] == [(21, 1, 0)]
    assert section.findings == ()
    assert section.rows[0]["for example"] == "unmatched late"


def test_what_arrived_after_the_cutoff_does_not_count(log: Log) -> None:
    log.add("accounts", {"account_id": "a00", "created_at": CUTOFF - DAY, "known_at": CUTOFF + DAY / 2})
    (row,) = looked(log, *CALLING[1:]).rows
    assert (row["matched"], row["unmatched"]) == (19, 1)


def test_shares_over_nothing_are_0() -> None:
    nothing = match("accounts", set(), set(), calling=set())
    assert (nothing.lacking, nothing.silent) == (0.0, 0.0)
