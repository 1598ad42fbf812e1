"""What a cancellation notice leaves empty stays as it was."""

import pandas as pd
import pytest

from features.subscriptions.notices import keep_what_notices_leave

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
    found = keep_what_notices_leave(table, subscription=pd.Series(pd.factorize(table["account_id"])[0]))
    last = found[found["account_id"] == "a"].iloc[-1]
    assert tuple(None if pd.isna(last[name]) else last[name] for name in ("mrr", "quota_calls_per_month")) == kept
