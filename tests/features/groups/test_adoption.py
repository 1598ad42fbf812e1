"""Adoption features of logs small enough to count."""

from datetime import timedelta

import pytest

from features.windows import DAY, utc

BUILDS = ("adoption",)
C = utc(2026, 6, 29)
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)
HOURS = ("hours_to_first_call", "hours_to_first_success", "hours_to_first_value_call")
STAGE = ("onboarding_stage", "days_in_stage")


def call(account, event_time, status=200, endpoint="/x", **row):
    return {"account_id": account, "event_time": event_time, "status": status, "endpoint": endpoint, **row}


def account(name, created_at):
    return {"account_id": name, "created_at": created_at, "known_at": created_at}


def found(table, names, accounts):
    return {account: tuple(table[account, C][name] for name in names) for account in accounts}


def test_hours_run_from_the_sign_up_to_each_first(new_log):
    start = C - 60 * DAY  # of the log
    signed_up = C - 30 * DAY
    log = new_log(value_endpoints=("/value",)).add("events", call("old", start + HOUR))
    log.add("accounts", *[account(name, signed_up) for name in ("a", "late", "none", "before")])
    log.add("accounts", account("old", start - MICROSECOND), account("first", start))
    log.add(
        "events",
        call("a", signed_up + 2 * HOUR, 500, "/value"),
        call("a", signed_up + 5 * HOUR, None),
        call("a", signed_up + 30 * HOUR, 201, "/value"),
        call("first", start + 3 * HOUR),
        call("late", signed_up + HOUR, ingested_at=C + GRACE),
        call("late", C - MICROSECOND, ingested_at=C + GRACE - MICROSECOND),
        call("none", C),
        call("before", signed_up - MICROSECOND),
    )
    rows = found(log.table(C), (*HOURS, "account_age_days"), ("a", "first", "late", "none", "old", "before"))
    assert rows["a"] == (2.0, 5.0, 30.0, 30.0)
    assert rows["first"] == (3.0, 3.0, None, 60.0)
    assert rows["late"] == (pytest.approx(30 * 24, abs=1e-6), pytest.approx(30 * 24, abs=1e-6), None, 30.0)
    assert rows["none"] == (None, None, None, 30.0)
    assert rows["old"] == (None, None, None, pytest.approx(60))  # its first call may lie before the log
    assert rows["before"] == (None, None, None, 30.0)


def test_an_account_climbs_from_stage_to_stage(new_log):
    log = new_log(value_endpoints=("/value",)).add("events", call("before", C - 90 * DAY))
    log.add("accounts", *[account(name, C - 50 * DAY) for name in "ab"])
    log.add("subscriptions", {"account_id": "c", "kind": "start", "occurred_at": C - 9 * DAY})
    ordinary = [call("e", C - days * DAY) for days in (1, 2, 3, 4, 5)]
    log.add(
        "events",
        call("b", C - 20 * DAY, 401),
        call("b", C - 10 * DAY, 500, "/value"),
        *ordinary,
        call("f", C - 9 * DAY, endpoint="/value"),
        call("f", C - 8 * DAY, endpoint="/value"),
        call("g", C, endpoint="/value"),
        call("g", C - DAY, endpoint="/value", ingested_at=C + GRACE),
        call("g", C - 7 * DAY, 204),
    )
    rows = found(log.table(C), STAGE, "abcefg")
    assert rows == {"a": (0, 50.0), "b": (1, 20.0), "c": (0, None), "e": (2, 5.0), "f": (3, 9.0), "g": (2, 7.0)}


def test_the_fifth_active_day_from_the_milestone_on_is_the_last_step(new_log):
    log = new_log(value_endpoints=("/value",)).add("events", call("before", C - 300 * DAY))
    reached = C - 200 * DAY + 12 * HOUR
    for name in ("four", "five", "early", "unknown", "known"):
        log.add("events", call(name, reached, endpoint="/value"))
        log.add("events", *[call(name, C - days * DAY, 500) for days in (150, 149)], call(name, C - 149 * DAY))
    day = reached.replace(hour=0)
    log.add(
        "events",
        call("four", C - MICROSECOND),
        call("five", C - MICROSECOND),
        call("five", C - 2 * DAY),
        call("early", C - 2 * DAY),
        call("early", day - MICROSECOND),  # the day before
        call("unknown", C - 2 * DAY),
        call("unknown", C - 120 * DAY, ingested_at=C + GRACE),
        call("known", C - 2 * DAY),
        call("known", C - 120 * DAY, ingested_at=C + GRACE - MICROSECOND),
    )
    table = log.table(C, C + DAY)
    stages = {name: table[name, C]["onboarding_stage"] for name in ("four", "five", "early", "unknown", "known")}
    assert stages == {"four": 3, "five": 4, "early": 3, "unknown": 3, "known": 4}
    assert [table["five", C]["days_in_stage"], table["four", C]["days_in_stage"]] == [None, 199.5]
    assert table["unknown", C + DAY]["onboarding_stage"] == 4


def test_a_milestone_that_turns_out_earlier_counts_from_there(new_log):
    log = new_log(value_endpoints=("/value",)).add("events", call("before", C - 90 * DAY))
    log.add(
        "events",
        *[call("a", C - days * DAY) for days in (30, 29, 28)],
        call("a", C - 31 * DAY, endpoint="/value", ingested_at=C + GRACE),
        call("a", C - 2 * DAY, endpoint="/value"),
    )
    table = log.table(C, C + DAY)
    assert [tuple(table["a", cutoff][name] for name in STAGE) for cutoff in (C, C + DAY)] == [(3, 2.0), (4, None)]


def test_without_value_endpoints_regular_use_counts_from_the_first_success(log):
    log.add(
        "events",
        call("before", C - 90 * DAY),
        *[call("a", C - days * DAY) for days in (9, 8, 7, 6)],
        call("a", C - 10 * DAY, 500),
        *[call("b", C - days * DAY) for days in (9, 8, 7, 6, 5)],
    )
    assert found(log.table(C), STAGE, "ab") == {"a": (2, 9.0), "b": (4, None)}


def test_a_stage_that_may_have_begun_before_the_log_has_no_known_length(new_log):
    start = C - 100 * DAY  # of the log
    settles = start + 28 * DAY  # whoever was there before it has called by then
    log = new_log(value_endpoints=("/value",)).add("events", call("first", start + HOUR))
    log.add("accounts", *[account(name, start - MICROSECOND) for name in ("older", "older_silent", "older_late")])
    log.add("accounts", *[account(name, start) for name in ("new", "new_silent")])
    log.add("accounts", *[account(name, C - 20 * DAY) for name in ("entered_late", "entered_very_late", "sold_before")])
    log.add("subscriptions", {"account_id": "sold_before", "kind": "renew", "occurred_at": start - DAY})
    log.add("subscriptions", {"account_id": "sold", "kind": "start", "occurred_at": start})
    log.add(
        "events",
        call("older", C - 9 * DAY),
        call("older_late", C - 9 * DAY, 500),
        call("new", C - 9 * DAY),
        call("sold", C - 9 * DAY),
        call("sold_before", C - 9 * DAY),
        call("unknown", settles - MICROSECOND),
        call("unknown_later", settles),
        call("entered_late", settles - MICROSECOND),
        call("entered_very_late", settles),
    )
    table = log.table(C)
    days = {name: row["days_in_stage"] for (name, _), row in table.items()}
    assert {name: value for name, value in days.items() if value is not None} == {
        "new": 9.0,
        "new_silent": 100.0,
        "sold": 9.0,
        "unknown_later": 72.0,
        "entered_very_late": 72.0,
    }
    assert table["sold_before", C]["hours_to_first_call"] is None  # it was a customer before it was entered
    assert table["new", C]["hours_to_first_call"] == 91 * 24.0
    assert table["older", C]["onboarding_stage"] == 2


def test_the_log_begins_where_it_was_known_to_begin(new_log):
    log = new_log().add("accounts", account("a", C - 40 * DAY)).add("events", call("b", C - 40 * DAY))
    log.add("events", call("a", C - 9 * DAY), call("b", C - 41 * DAY, ingested_at=C + GRACE))
    log.add("accounts", account("c", C - 41 * DAY))
    table = log.table(C, C + DAY)
    assert [table["a", cutoff]["days_in_stage"] for cutoff in (C, C + DAY)] == [9.0, 10.0]
    assert [table["c", cutoff]["days_in_stage"] for cutoff in (C, C + DAY)] == [None, 42.0]


def test_without_a_log_no_stage_has_a_known_length(new_log):
    log = new_log().add("accounts", account("a", C - 40 * DAY))
    assert found(log.table(C), STAGE, "a") == {"a": (0, None)}
