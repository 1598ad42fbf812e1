"""What a CRM says later of the same moment takes the place of what it said before; what came together stands."""

import random
from dataclasses import replace

import pytest

from features.subscriptions.known import known_states, states_at, states_of
from features.windows import DAY, utc
from tests.features.subscriptions.test_states import frame, plain
from tests.subscription_oracle import Row
from training.labels.departures import churn_events

C = utc(2026, 6, 29)
RULES = {"renewal_grace_days": 14, "reactivation_days": 14}


def row(day, kind, plan="pro", mrr=100.0, quota=None, ends=None, later=0, name=None, order=0):
    """An event of so many days before the cutoff, known so many days after it happened."""
    at = C - day * DAY
    return Row("a", at, at + later * DAY, kind, plan, mrr, quota, ends, order, name)


def numbered(rows):
    return frame([replace(each, order=each.order or order) for order, each in enumerate(rows)])


def at(cutoff, *rows):
    """Plan, MRR, quota of the account as known at a cutoff, and its plan changes and downgrades until then."""
    states = known_states(numbered(rows), grace_hours=6, **RULES)
    seen = states[(states["known_from"] <= cutoff) & ~(states["known_until"] <= cutoff)]
    state = states_at(states, cutoff).loc["a"]
    changes = int(seen["is_plan_change"].sum()), int((seen["kind"] == "downgrade").sum())
    return (*(plain(state[name]) for name in ("plan", "mrr", "quota_calls_per_month")), *changes)


START = row(100, "start", "pro", 100.0, 1000.0)
ADDON = row(90, "start", "addon", 20.0, 50.0)
SAID = ((0, "pro", 100.0), (0, "addon", 20.0), (9, "pro", 100.0), (9, "plus", 30.0))
PRO, BOTH = ("pro", 100.0, 1000.0, 0, 0), ("pro", 120.0, 1050.0, 0, 0)


@pytest.mark.parametrize("name", [None, "x"])
@pytest.mark.parametrize(
    ("said", "after"),
    [
        ({"plan": "team", "mrr": 60.0}, ("team", 60.0, 1000.0, 0, 0)),
        ({"mrr": 60.0}, ("pro", 60.0, 1000.0, 0, 0)),
        ({"quota": 500.0}, ("pro", 100.0, 500.0, 0, 0)),
        ({"plan": None}, (None, 100.0, 1000.0, 0, 0)),
    ],
)
def test_a_start_that_is_said_otherwise_later_is_one_start_and_the_past_stays(name, said, after):
    rows = [replace(START, id=name), replace(START, id=name, known=START.known + 30 * DAY, **said)]
    assert at(C - 71 * DAY, *rows) == PRO
    assert at(C - 69 * DAY, *rows) == after
    assert at(C - 69 * DAY, *reversed(rows)) == after
    assert states_of(numbered(rows), **RULES)["customer_since"].iloc[-1] == START.occurred


def test_two_starts_of_one_moment_that_came_together_are_two():
    both = [START, replace(ADDON, occurred=START.occurred, known=START.known)]
    assert at(C, *both) == BOTH
    later = [replace(each, known=START.known + 9 * DAY) for each in both]
    assert at(C, START, *later) == BOTH  # the second was missing in the first export
    assert at(C, *both, replace(both[1], mrr=25.0, known=START.known + 9 * DAY)) == ("pro", 125.0, 1050.0, 0, 0)
    other = replace(both[1], plan="plus", mrr=25.0, known=START.known + 9 * DAY)
    assert at(C, *both, later[0], other) == ("pro", 125.0, 1050.0, 0, 0)


def test_a_correction_that_is_taken_back_leaves_what_was_said_first():
    rows = [
        START,
        *(replace(START, plan=plan, known=START.known + days * DAY) for plan, days in (("x", 5), ("pro", 9))),
    ]
    assert at(C - 94 * DAY, *rows)[0] == "x"
    assert at(C, *rows) == PRO


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        # A correction of the cancellation stands where it stood: before the start of the same moment.
        (
            [START, row(9, "cancel"), row(9, "start", "new", 70.0), row(9, "cancel", mrr=None, later=3)],
            ("new", 70.0, None, 1, 0),
        ),
        # Of two it names the one that ends only later.
        ([START, ADDON, row(9, "cancel", None, None), row(9, "cancel", "addon", None, later=3)], PRO),
        (
            [START, ADDON, row(9, "cancel", "addon", None), row(9, "cancel", "pro", None, later=3)],
            ("pro", 0.0, None, 0, 0),
        ),
        # Renewals of two plans are those of two, whenever each became known.
        (
            [START, ADDON, row(9, "renew", quota=7.0), row(9, "renew", "addon", 20.0, 1.0, later=3)],
            ("pro", 120.0, 8.0, 0, 0),
        ),
        ([START, ADDON, row(9, "renew", quota=7.0), row(9, "renew", quota=9.0, later=3)], ("pro", 120.0, 59.0, 0, 0)),
        # Of two that run the same one moves, not each in turn.
        (
            [START, ADDON, row(9, "downgrade", "lite", 10.0), row(9, "downgrade", "basic", 15.0, later=3)],
            ("addon", 35.0, None, 1, 1),
        ),
        (
            [START, row(9, "upgrade", "max", 300.0), row(9, "upgrade", "team", 200.0, later=3)],
            ("team", 200.0, None, 1, 0),
        ),
        (
            [START, row(9, "downgrade", "lite", 9.0), row(9, "downgrade", "lite", 8.0, later=3)],
            ("lite", 8.0, None, 1, 1),
        ),
    ],
)
def test_corrections_of_other_kinds_count_once(rows, expected):
    assert at(C, *rows) == expected
    with_ids = [replace(each, id="y" if each.plan == "addon" else "x") for each in rows]
    if ADDON not in rows:
        assert at(C, *with_ids) == expected


def test_a_cancellation_that_is_corrected_ends_what_it_ended():
    moved = [START, row(9, "cancel"), row(9, "start", "new", 70.0), row(9, "cancel", mrr=None, later=3)]
    assert churn_events(numbered(moved), complete_until=C, **RULES).empty
    gone = [START, row(9, "cancel"), row(9, "cancel", mrr=0.0, later=3)]
    assert churn_events(numbered(gone), complete_until=C, **RULES)["event_time"].tolist() == [C - 9 * DAY]


def test_of_equal_prices_the_oldest_subscription_is_the_main_one_whatever_renews_and_in_whatever_order():
    def at_month(number, name, offset, **given):
        day = 90 - 30 * number - offset
        return row(day, "renew" if number else "start", ends=C - (day - 30) * DAY, name=name, **given)

    rows = [at_month(number, name, 15 * (name == "a")) for number in range(3) for name in ("a", "b")]
    states = known_states(numbered(rows), grace_hours=6, **RULES)
    ends = [states_at(states, C - days * DAY).loc["a", "term_end"] for days in range(20, 74)]
    assert ends == [C - (60 - 30 * ((89 - days) // 30)) * DAY for days in range(20, 74)]
    for plans, first in ((("big", "pro"), "big"), (("pro", "pro"), "pro")):
        begun = [row(50, "start", plan, ends=C + n * DAY, name=f"s{n}") for n, plan in enumerate(plans)]
        for order in (begun, [*reversed(begun)]):
            table = states_at(known_states(numbered(order), grace_hours=6, **RULES), C).loc["a"]
            assert (table["plan"], table["term_end"]) == (first, C)


def test_the_order_in_which_the_rows_lie_changes_nothing():
    dice = random.Random(3)
    rows = [
        replace(START, known=START.known + days * DAY, plan=plan, mrr=mrr, order=order)
        for order, (days, plan, mrr) in enumerate(SAID, 1)
    ]
    rows += [row(50, "downgrade", "lite", 10.0, order=7), row(50, "downgrade", "basic", 15.0, later=3, order=3)]
    expected = [at(C - days * DAY, *rows) for days in (95, 85, 48, 40)]
    for _ in range(4):
        assert [at(C - days * DAY, *dice.sample(rows, len(rows))) for days in (95, 85, 48, 40)] == expected
