"""Commercial features of records small enough to read."""

from datetime import timedelta

import pytest

from features.windows import DAY, utc

BUILDS = ("commercial",)
C = utc(2026, 6, 29)
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)


def event(kind, occurred_at, plan="basic", mrr=100.0, source_order=0, **row):
    return {
        "kind": kind, "occurred_at": occurred_at, "plan": plan, "mrr": mrr, "source_order": source_order, **row
    }  # fmt: skip


def test_the_state_is_the_last_event_before_the_cutoff_known_in_time(log):
    log.add(
        "subscriptions",
        event("start", C - 100 * DAY),
        event("upgrade", C - MICROSECOND, "pro", 300.0, known_at=C + GRACE - MICROSECOND),
        event("upgrade", C - MICROSECOND, "late", 999.0, known_at=C + GRACE),
        event("downgrade", C, "future", 1.0, known_at=C),
    )
    row = log.at(C)
    assert (row["plan"], row["mrr"]) == ("pro", 300.0)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_ties_go_to_the_later_known_then_to_the_later_in_the_file(log, order):
    same = C - 10 * DAY
    rows = [
        event("renew", same, "known first", source_order=9),
        event("upgrade", same, "earlier line", source_order=1, known_at=same + DAY),
        event("upgrade", same, "later line", source_order=2, known_at=same + DAY),
    ]
    log.add("subscriptions", *[rows[index] for index in order])
    assert log.at(C)["plan"] == "later line"


def test_days_to_the_end_of_the_term_turn_negative(log):
    log.add(
        "subscriptions",
        event("start", C - 30 * DAY, term_end=C + 36 * timedelta(hours=1)),
        event("start", C - 30 * DAY, account_id="b", term_end=C - DAY),
        event("start", C - 30 * DAY, account_id="c"),
    )
    assert [log.table(C)[account, C]["days_to_term_end"] for account in "abc"] == [1.5, -1.0, None]


def test_tenure_runs_from_the_first_start_and_begins_anew_when_the_account_returns(log):
    log.add("accounts", {"created_at": C - 400 * DAY, "known_at": C - 400 * DAY})
    log.add(
        "accounts", *[{"account_id": name, "created_at": C - 400 * DAY, "known_at": C - 400 * DAY} for name in "bc"]
    )
    log.add(
        "subscriptions",
        event("start", C - 300 * DAY),
        event("start", C - 200 * DAY),
        event("start", C - 300 * DAY, account_id="b"),
        event("cancel", C - 100 * DAY, account_id="b"),
        event("reactivate", C - 50 * DAY, account_id="b"),
    )
    table = log.table(C)
    assert [table[account, C]["tenure_days"] for account in "abc"] == [300.0, 50.0, 400.0]


def test_the_start_of_a_log_is_not_a_sign_up(log):
    log.add("events", {"event_time": C - 60 * DAY})
    row = log.at(C)
    assert [row[name] for name in ("tenure_days", "plan", "mrr", "quota_used_share_28d")] == [None] * 4


def test_the_quota_is_used_by_successful_calls_of_28_days(log):
    log.add(
        "subscriptions",
        event("start", C - 60 * DAY, quota_calls_per_month=10),
        event("start", C - 60 * DAY, account_id="unlimited"),
        event("start", C - 60 * DAY, account_id="silent", quota_calls_per_month=10),
        event("start", C - 60 * DAY, account_id="zero", quota_calls_per_month=0),
    )
    log.add(
        "events",
        {"event_time": C - 28 * DAY - MICROSECOND},
        {"event_time": C - 28 * DAY},
        {"event_time": C - DAY, "status": None},
        {"event_time": C - DAY, "status": 429},
        {"event_time": C - DAY, "ingested_at": C + GRACE},
        {"event_time": C},
    )
    table = log.table(C)
    assert table["a", C]["quota_used_share_28d"] == pytest.approx(2 / (10 * 28 / 30.4375))
    assert [table[name, C]["quota_used_share_28d"] for name in ("unlimited", "silent", "zero")] == [None, 0.0, None]


@pytest.mark.parametrize("missing", [0, 1])
def test_a_notice_keeps_what_the_last_other_event_said(log, missing):
    stated = {"quota_calls_per_month": 10, "term_end": C + 5 * DAY}
    nothing = {"plan": None, "mrr": None}
    notices = [event("cancel_notice", C - (4 - number) * DAY, **nothing) for number in range(1 + missing)]
    log.add("events", {"event_time": C - DAY})
    log.add(
        "subscriptions",
        event("start", C - 99 * DAY, "pro", 300.0, **stated),
        *notices,
        event("start", C - 99 * DAY, "pro", 300.0, **stated, account_id="b"),
        event("renew", C - 50 * DAY, "max", 900.0, account_id="b"),  # unlimited, without a term
        event("cancel_notice", C - 9 * DAY, **nothing, account_id="b"),
        event("start", C - 99 * DAY, "pro", 300.0, **stated, account_id="c"),
        event("cancel_notice", C - 9 * DAY, "basic", 7.0, account_id="c"),
        event("cancel_notice", C - 9 * DAY, **nothing, account_id="d"),
    )
    table = log.table(C)
    names = ("plan", "mrr", "quota_used_share_28d", "days_to_term_end")
    found = {account: [table[account, C][name] for name in names] for account in "abcd"}
    assert found["a"] == ["pro", 300.0, pytest.approx(1 / (10 * 28 / 30.4375)), 5.0]
    assert found["b"] == ["max", 900.0, None, None]
    assert found["c"] == ["basic", 7.0, 0.0, 5.0]
    assert found["d"] == [None] * 4


def test_the_growth_of_the_price_compares_the_states_of_two_times_as_known_now(log):
    then = C - 91 * DAY
    log.add(
        "subscriptions",
        event("start", then - MICROSECOND, mrr=100.0, known_at=C + GRACE - MICROSECOND),
        event("upgrade", then, mrr=500.0),
        event("downgrade", C - MICROSECOND, mrr=150.0),
        event("upgrade", then - MICROSECOND, mrr=1.0, known_at=C + GRACE),
        event("start", then, account_id="new"),
        event("start", then - DAY, account_id="free", mrr=0.0),
        event("upgrade", then, account_id="free", mrr=10.0),
        event("start", then - DAY, account_id="gone", mrr=10.0),
        event("cancel_notice", C - DAY, account_id="gone", mrr=None),
    )
    table = log.table(C)
    found = [table[account, C]["mrr_growth_91d"] for account in ("a", "new", "free", "gone")]
    assert found == [1.5, None, None, 1.0]


def test_plan_changes_and_downgrades_of_a_year(log):
    year = C - 364 * DAY
    log.add(
        "subscriptions",
        event("start", year - 9 * DAY, "basic"),
        event("downgrade", year - MICROSECOND, "free"),
        event("upgrade", year, "pro"),
        event("renew", C - 50 * DAY, None),
        event("upgrade", C - 40 * DAY, "pro"),  # the same plan as before the nameless one
        event("downgrade", C - MICROSECOND, "basic", known_at=C + GRACE - MICROSECOND),
        event("downgrade", C - DAY, "late", known_at=C + GRACE),
        event("start", C - DAY, "basic", account_id="b"),
    )
    log.add("events", {"event_time": C - DAY, "account_id": "calls only"})
    table = log.table(C)
    names = ("plan_changes_364d", "downgrades_364d")
    found = [tuple(table[account, C][name] for name in names) for account in ("a", "b", "calls only")]
    assert found == [(2, 1), (0, 0), (0, 0)]


def test_without_subscriptions_there_are_no_counts_of_them(log):
    log.add("events", {"event_time": C - DAY})
    log.add("subscriptions", event("start", C - DAY, account_id="b", known_at=C + GRACE))
    row = log.at(C)
    assert [row[name] for name in ("plan_changes_364d", "downgrades_364d", "mrr_growth_91d")] == [None] * 3


def test_the_price_of_a_thousand_successful_calls(log):
    log.add("subscriptions", event("start", C - DAY, mrr=30.0), event("start", C - DAY, account_id="silent"))
    log.add(
        "events",
        {"event_time": C - 28 * DAY - MICROSECOND},
        {"event_time": C - 28 * DAY},
        {"event_time": C - DAY, "status": None},
        {"event_time": C - DAY, "status": 500},
        {"event_time": C - DAY, "account_id": "free rider"},
    )
    table = log.table(C)
    found = [table[account, C]["cost_per_1k_success_28d"] for account in ("a", "silent", "free rider")]
    assert found == [15_000.0, None, None]


@pytest.mark.parametrize("ids", [("s1", "s2"), (None, None)])
def test_an_add_on_is_beside_the_plan_and_its_end_is_no_departure(log, ids):
    pro, addon = ids
    limited = {"quota_calls_per_month": 1000}
    log.add(
        "subscriptions",
        event("start", C - 179 * DAY, "pro", 100.0, subscription_id=pro, **limited),
        event("start", C - 120 * DAY, "addon", 20.0, 1, subscription_id=addon, term_end=C - 90 * DAY, **limited),
        event("renew", C - 90 * DAY, "addon", 20.0, 2, subscription_id=addon, term_end=C + 9 * DAY, **limited),
        event("cancel", C - 28 * DAY, "addon", 20.0, 3, subscription_id=addon),
    )
    names = ("plan", "mrr", "mrr_growth_91d", "plan_changes_364d", "days_to_term_end", "tenure_days")
    cutoffs = [C - 120 * DAY, C - 119 * DAY, C - 28 * DAY, C - 27 * DAY, C]
    table = log.table(*cutoffs)
    made = [tuple(table["a", cutoff][name] for name in names) for cutoff in cutoffs]
    assert made == [
        ("pro", 100.0, None, 0, None, 59.0),
        ("pro", 120.0, None, 0, None, 60.0),
        ("pro", 120.0, 1.0, 0, None, 151.0),
        ("pro", 100.0, 100.0 / 120.0, 0, None, 152.0),
        ("pro", 100.0, 100.0 / 120.0, 0, None, 179.0),
    ]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_move_to_another_plan_is_one_change_whichever_row_comes_first(log, order):
    moment = C - 28 * DAY
    rows = [event("start", moment, "new", 100.0), event("cancel", moment, "legacy", 100.0)]
    log.add("subscriptions", event("start", C - 179 * DAY, "legacy", 100.0))
    log.add("subscriptions", *[{**rows[place], "source_order": 1 + number} for number, place in enumerate(order)])
    names = ("plan", "mrr", "mrr_growth_91d", "plan_changes_364d", "tenure_days")
    assert [log.at(C)[name] for name in names] == ["new", 100.0, 1.0, 1, 179.0]


def test_who_cancelled_pays_nothing_and_who_let_a_term_run_out_neither(log):
    log.add(
        "subscriptions",
        event("start", C - 179 * DAY, "pro", 100.0),
        event("cancel", C - MICROSECOND, "pro", 100.0, 1),
        event("start", C - 179 * DAY, "pro", 100.0, account_id="b", term_end=C - 14 * DAY),
        event("start", C - 179 * DAY, "pro", 100.0, account_id="c", term_end=C - 14 * DAY + MICROSECOND),
    )
    table = log.table(C)
    assert [(table[name, C]["plan"], table[name, C]["mrr"]) for name in "abc"] == [
        ("pro", 0.0), ("pro", 0.0), ("pro", 100.0)
    ]  # fmt: skip
