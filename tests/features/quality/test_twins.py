"""One customer under two ids: told by the spelling, by the records, by the calls."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from features.quality.matching import look_at_matching
from features.quality.section import Inspection
from features.rollup.count import roll_up
from features.windows import DAY, utc

if TYPE_CHECKING:
    from features.examination import Finding
    from tests.features.conftest import Log

CUTOFF = utc(2026, 6, 29)
TWICE = "If that is one customer, it counts twice."


def calls(log: Log, account: str, *, days: int = 6, late: int = 0, times: bool = True) -> None:
    """A call a day, each at another time of day, or all at midnight."""
    for day in range(1, days + 1):
        at = CUTOFF - (day + late) * DAY + (timedelta(minutes=7 * day) if times else timedelta())
        log.add("events", {"account_id": account, "event_time": at})


def told(log: Log) -> list[Finding]:
    log.store()
    roll_up(log.home)
    return list(look_at_matching(Inspection(log.home, CUTOFF, (), CUTOFF + DAY, is_past=False)).findings)


def test_equal_calls_under_two_ids_are_named(log: Log) -> None:
    for account in ("old-7", "new-7"):
        calls(log, account)
    calls(log, "other", days=7)
    calls(log, "later", late=1)
    (finding,) = told(log)
    assert finding.what == (
        f"1 group of account ids made equal calls, day by day, in the last 91 days: new-7 / old-7. {TWICE}"
    )
    assert finding.is_remark
    assert "leave one id out of the export" in finding.remedy


def test_what_a_batch_makes_at_one_time_of_day_tells_nobody_apart(log: Log) -> None:
    for account in ("a", "b"):
        calls(log, account, times=False)
        calls(log, account, days=4)
    assert told(log) == []


def test_ids_that_differ_only_in_case_are_named_whichever_table_has_them(log: Log) -> None:
    calls(log, "Acme", days=1)
    calls(log, "beta", days=2)
    for account in ("acme", "beta", "BETA", *(f"{case}{n}" for case in "xX" for n in range(5))):
        log.add("touchpoints", {"account_id": account, "occurred_at": CUTOFF - DAY, "kind": "login"})
    (finding,) = [finding for finding in told(log) if "only in case" in finding.what]
    assert finding.what == (
        "7 groups of account ids differ only in case: Acme / acme, BETA / beta, X0 / x0, X1 / x1, X2 / x2 and 2 more. "
        "Each id is an account of its own."
    )
    assert "lower(" in finding.remedy


def test_equal_records_under_two_ids_are_named(log: Log) -> None:
    for account, name in (("1", "Acme Inc"), ("2", "acme inc "), ("3", "Acme Inc"), ("4", None), ("5", None)):
        created = CUTOFF - (90 if account != "3" else 91) * DAY
        log.add("accounts", {"account_id": account, "name": name, "created_at": created, "known_at": created})
    for account, hours in (("1", (9, 15)), ("4", (9, 15)), ("5", (9, 16)), ("6", (9, 9)), ("7", (9, 9))):
        for place, hour in enumerate(hours):
            at = CUTOFF - (60 - place) * DAY + timedelta(hours=hour)
            kind = ("start", "renew")[place]
            log.add(
                "subscriptions", {"account_id": account, "occurred_at": at, "known_at": at, "kind": kind, "mrr": 9.0}
            )
    calls(log, "1", days=1)
    records = [finding.what for finding in told(log) if "group" in finding.what]
    assert records == [
        f"1 group of account ids has the same name and created_at in accounts: 1 / 2. {TWICE}",
        f"1 group of account ids has equal rows in subscriptions: 1 / 4. {TWICE}",
    ]
