"""Who is in the population, as known at a cutoff."""

import pandas as pd
import pytest

from features.exceptions import InputError
from features.home.home import Home
from features.settings.fields import Settings
from features.subscriptions.known import state_known_at
from features.windows import days_later, utc
from tests.training.conftest import subscriptions
from training.labels.eligibility import status_at, status_by_calls
from training.labels.targets import TARGETS, default_target, target

C = utc(2026, 6, 1)
TICK = 1 / 86_400_000_000  # one microsecond, in days


def at(days: float):
    return days_later(C, days)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([("a", at(-28), "start")], "ok"),
        ([("a", at(-28 + TICK), "start")], "too_new"),
        ([("a", at(0), "start")], None),  # begins at the cutoff: not before it
        ([("a", at(-99), "start"), ("a", at(-TICK), "cancel")], "cancelled"),
        ([("a", at(-99), "start"), ("a", at(0), "cancel")], "ok"),
        ([("a", at(-99), "start"), ("a", at(-1), "cancel", at(0.25))], "ok"),  # known at c + grace: too late
        ([("a", at(-99), "start"), ("a", at(-1), "cancel", at(0.25 - TICK))], "cancelled"),
        ([("a", at(-99), "start"), ("a", at(-1), "cancel_notice")], "ok"),
        ([("a", at(-99), "start"), ("a", at(-60), "cancel"), ("a", at(-5), "reactivate")], "too_new"),
        ([("a", at(-99), "start", None, at(-14))], "expired"),
        ([("a", at(-99), "start", None, at(-14 + TICK))], "ok"),  # may still be renewed
        ([("a", at(-20), "renew")], "ok"),  # a log that begins late is no sign-up
    ],
)
def test_status_at_each_boundary(plain: Settings, rows, expected):
    found = status_at(target("churn", Home(plain)), subscriptions(*rows), C, plain)
    assert found.get("a") == expected


def test_a_plan_change_written_as_start_does_not_restart_tenure(plain: Settings):
    rows = subscriptions(("a", at(-99), "start"), ("a", at(-5), "start"))
    assert status_at(target("churn", Home(plain)), rows, C, plain)["a"] == "ok"


def test_rows_known_later_change_nothing(plain: Settings):
    before = subscriptions(("a", at(-99), "start"), ("b", at(-40), "start"), ("b", at(-3), "cancel"))
    later = subscriptions(("a", at(-2), "cancel", at(0.25)), ("b", at(0), "start"), ("c", at(-50), "start", at(9)))
    chosen = target("churn", Home(plain))
    found = status_at(chosen, pd.concat([before, later.assign(source_order=99)], ignore_index=True), C, plain)
    pd.testing.assert_series_equal(found, status_at(chosen, before, C, plain))


def test_unknown_target_is_named(plain: Settings):
    with pytest.raises(InputError, match=r"no target 'churned'.*Choose one of: churn"):
        target("churned", Home(plain))


@pytest.mark.parametrize(
    ("plan", "expected"), [("small", "ok"), ("large", "top_plan"), ("same", "top_plan"), (None, "ok")]
)
def test_upsell_leaves_out_the_plan_with_the_largest_median_mrr(plain: Settings, plan, expected):
    rows = subscriptions(*((account, at(-99), "start") for account in "abcd"))
    rows = rows.assign(plan=["small", "large", "same", plan], mrr=[10.0, 50.0, 50.0, None])
    assert status_at(target("upsell", Home(plain)), rows, C, plain)["d"] == expected


def test_the_order_of_plans_can_be_set_and_a_plan_outside_it_has_none(plain: Settings):
    rows = subscriptions(*((account, at(-99), "start") for account in "abc"))
    rows = rows.assign(plan=["gold", "iron", "trial"], mrr=[10.0, 50.0, 90.0])
    ordered = plain.model_copy(update={"plan_ranks": ("iron", "gold")})
    found = status_at(target("upsell", Home(ordered)), rows, C, ordered)
    assert found.to_dict() == {"a": "top_plan", "b": "ok", "c": "ok"}


def test_a_plan_that_appears_later_does_not_change_which_one_is_on_top(plain: Settings):
    rows = subscriptions(("a", at(-99), "start"), ("b", at(-99), "start"), ("b", at(0), "upgrade"))
    rows = rows.assign(plan=["small", "large", "huge"], mrr=[10.0, 50.0, 500.0])
    assert status_at(target("upsell", Home(plain)), rows, C, plain).to_dict() == {"a": "ok", "b": "top_plan"}


def test_who_left_is_no_candidate_for_an_upgrade(plain: Settings):
    rows = subscriptions(("a", at(-99), "start"), ("a", at(-9), "cancel"), ("b", at(-99), "start"))
    assert status_at(target("upsell", Home(plain)), rows.assign(plan=["s", "s", "t"], mrr=[1, 1, 2]), C, plain)[
        "a"
    ] == ("cancelled")


def test_inactivity_asks_for_one_recent_call_and_no_tenure():
    found = status_by_calls(pd.Series({"a": 1.0, "b": 0.0, "c": float("nan")}))
    assert found.to_dict() == {"a": "ok", "b": "no_recent_calls", "c": "no_recent_calls"}


def test_closing_waits_for_settlement_only_where_the_event_can_be_undone(plain: Settings):
    days = {name: target(name, Home(plain)).closing_days for name in TARGETS}
    assert days == {"churn": 51, "upsell": 37, "churn_inactivity": 37}


def test_without_subscriptions_silence_is_foretold():
    assert default_target(has_subscriptions=True) == "churn"
    assert default_target(has_subscriptions=False) == "churn_inactivity"


def test_the_state_after_a_notice_is_the_one_before_it(plain: Settings):
    table = subscriptions(
        ("a", days_later(C, -99), "start", None, days_later(C, -13)), ("a", days_later(C, -30), "cancel_notice")
    )
    table.loc[1, ["plan", "mrr"]] = None
    state = state_known_at(table, C, grace_hours=6, renewal_grace_days=14, reactivation_days=14).loc["a"]
    assert (state["kind"], state["plan"], state["mrr"]) == ("cancel_notice", "basic", 10.0)
    assert state["term_end"] == days_later(C, -13)


def test_a_term_that_ends_after_a_notice_without_one_expires(plain: Settings):
    table = subscriptions(
        ("a", days_later(C, -99), "start", None, days_later(C, -14)), ("a", days_later(C, -30), "cancel_notice")
    )
    assert status_at(target("churn", Home(plain)), table, C, plain)["a"] == "expired"
