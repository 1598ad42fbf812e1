"""Silence is judged a second time on accounts that had just called: the long silent are easy."""

import numpy as np
import pandas as pd
import pytest

from features.windows import utc
from training.judging.measure import Scored
from training.judging.recent_callers import recent_callers

C = utc(2026, 3, 2)


def scored(rows):
    """Rows of (account, label, probability), all at one cutoff."""
    frame = pd.DataFrame(
        {
            "account_id": [name for name, *_ in rows],
            "cutoff": C,
            "label": [label for _, label, _ in rows],
            "event_time": pd.to_datetime([C if label else None for _, label, _ in rows], utc=True),
            "in_lead": False,
        }
    )
    return Scored(frame, np.array([chance for *_, chance in rows]), {})


ROWS = [("a", 1, 0.9), ("b", 1, 0.8), ("c", 1, 0.3), ("d", 0, 0.4), ("e", 0, 0.2), ("f", 0, 0.1)]
DAYS = np.array([27.0, 20.0, 7.0, 1.0, 0.5, np.nan])  # f never called; c called a week before, which counts


def test_only_accounts_that_called_in_the_last_seven_days_count():
    metrics, intervals = recent_callers(scored(ROWS), DAYS, seed=7)
    assert metrics["recent_callers_rows"] == 3
    assert metrics["recent_callers_events"] == 1
    assert metrics["recent_callers_base_rate"] == pytest.approx(1 / 3)
    assert metrics["recent_callers_roc_auc"] == 0.5  # c above e, below d; among all six it is 8 of 9
    assert metrics["recent_callers_recall_at_capacity"] == 0.0  # d is called
    assert set(intervals) == {"recent_callers_roc_auc", "recent_callers_recall_at_capacity"}


@pytest.mark.parametrize(
    ("days", "rows"), [([27.0, 20.0, 9.0, 1.0, 0.5, 1.0], 3), ([27.0] * 6, 0), ([1.0, *[9.0] * 5], 1)]
)
def test_where_nobody_or_everybody_of_them_fell_silent_only_that_is_told(days, rows):
    metrics, intervals = recent_callers(scored(ROWS), np.array(days), seed=7)
    assert metrics.pop("recent_callers_rows") == rows
    assert set(metrics) == {"recent_callers_events"}
    assert intervals == {}
