"""What is said of subscription events in which something is missing."""

import pandas as pd
import pytest

from features.subscriptions.remarks import remarks_on

COLUMNS = ["account_id", "subscription_id", "kind", "plan"]


@pytest.mark.parametrize(
    ("rows", "is_told"),
    [
        ([("a", "S1", "start", "pro"), ("a", "s1", "cancel", None)], True),
        ([("a", "S1", "start", "pro"), ("a", "S1", "cancel", None)], False),
        ([("a", "S1", "start", "pro"), ("b", "S1", "cancel", None)], False),  # all that is known of b
        ([("a", None, "start", "pro"), ("a", "S1", "cancel", None)], False),  # a source that began to deliver ids
    ],
)
def test_a_cancellation_of_what_never_began_is_told(rows, is_told):
    frame = pd.DataFrame(rows, columns=COLUMNS).assign(mrr=1.0, quota_calls_per_month=None, source_order=0)
    frame["occurred_at"] = frame["known_at"] = pd.date_range("2026-01-01", periods=len(rows), tz="UTC", unit="us")
    frame["term_end"] = pd.Series(pd.NaT, index=frame.index, dtype="datetime64[us, UTC]")
    told = [remark.what for remark in remarks_on(frame, reactivation_days=14) if "nothing began" in remark.what]
    assert ["beside others: a. It ends nothing" in what for what in told] == [True] * is_told
