"""Who is in the population, as known at a cutoff."""

import pandas as pd
import pytest

from features.exceptions import InputError
from features.settings import Settings
from features.windows import days_later, utc
from training.targets import status_at, target

from .conftest import subscriptions

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
    found = status_at(target("churn", plain), subscriptions(*rows), C, plain)
    assert found.get("a") == expected


def test_a_plan_change_written_as_start_does_not_restart_tenure(plain: Settings):
    rows = subscriptions(("a", at(-99), "start"), ("a", at(-5), "start"))
    assert status_at(target("churn", plain), rows, C, plain)["a"] == "ok"


def test_rows_known_later_change_nothing(plain: Settings):
    before = subscriptions(("a", at(-99), "start"), ("b", at(-40), "start"), ("b", at(-3), "cancel"))
    later = subscriptions(("a", at(-2), "cancel", at(0.25)), ("b", at(0), "start"), ("c", at(-50), "start", at(9)))
    chosen = target("churn", plain)
    found = status_at(chosen, pd.concat([before, later.assign(source_order=99)], ignore_index=True), C, plain)
    pd.testing.assert_series_equal(found, status_at(chosen, before, C, plain))


def test_unknown_target_is_named(plain: Settings):
    with pytest.raises(InputError, match=r"no target 'churned'.*Choose one of: churn"):
        target("churned", plain)
