"""What a cancellation notice leaves empty stays as it was."""

import pandas as pd
import pytest

from features.home.home import Home
from features.settings.fields import Settings
from features.windows import days_later, utc
from tests.training.conftest import subscriptions
from training.labels.cancel_notices import keep_what_notices_leave
from training.labels.targets import known_state, status_at, target

C = utc(2026, 6, 1)
NONE = float("nan")


def events(*rows: tuple) -> pd.DataFrame:
    """Events from (account, kind, mrr, quota), in order."""
    frame = pd.DataFrame(rows, columns=["account_id", "kind", "mrr", "quota_calls_per_month"])
    return frame.assign(plan=None, term_end=pd.NaT)


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([("start", 9.0, 50.0), ("cancel_notice", NONE, NONE)], (9.0, 50.0)),
        ([("start", 9.0, 50.0), ("cancel_notice", 3.0, NONE)], (3.0, 50.0)),
        ([("start", 9.0, 50.0), ("renew", 8.0, NONE), ("cancel_notice", NONE, NONE)], (8.0, None)),  # now unlimited
        ([("start", 9.0, 50.0), ("cancel_notice", 3.0, NONE), ("cancel_notice", NONE, NONE)], (9.0, 50.0)),
        ([("start", 9.0, 50.0), ("cancel_notice", NONE, NONE), ("renew", NONE, NONE)], (None, None)),
        ([("cancel_notice", NONE, NONE)], (None, None)),
    ],
)
def test_a_notice_keeps_what_the_last_other_event_said(rows, kept):
    table = events(("other", "start", 1.0, 1.0), *(("a", *row) for row in rows), ("z", "cancel_notice", NONE, NONE))
    found = keep_what_notices_leave(table)
    last = found[found["account_id"] == "a"].iloc[-1]
    assert tuple(None if pd.isna(last[name]) else last[name] for name in ("mrr", "quota_calls_per_month")) == kept


def test_the_state_after_a_notice_is_the_one_before_it(plain: Settings):
    table = subscriptions(
        ("a", days_later(C, -99), "start", None, days_later(C, -13)), ("a", days_later(C, -30), "cancel_notice")
    )
    table.loc[1, ["plan", "mrr"]] = None
    state = known_state(table, C, grace_hours=6, renewal_grace_days=14).loc["a"]
    assert (state["kind"], state["plan"], state["mrr"]) == ("cancel_notice", "basic", 10.0)
    assert state["term_end"] == days_later(C, -13)


def test_a_term_that_ends_after_a_notice_without_one_expires(plain: Settings):
    table = subscriptions(
        ("a", days_later(C, -99), "start", None, days_later(C, -14)), ("a", days_later(C, -30), "cancel_notice")
    )
    assert status_at(target("churn", Home(plain)), table, C, plain)["a"] == "expired"
