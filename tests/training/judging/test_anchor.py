"""The blend a data scientist builds in a day: the counts it reads, and what it says of rows it has not seen."""

import numpy as np
import pandas as pd
import pytest

from features.definitions.catalog import CATALOG
from training.judging.anchor import COUNTS_WANTED, anchor, counts_of


def test_what_the_features_do_not_hold_is_worked_out_or_left_out():
    frame = pd.DataFrame(
        {
            "calls_7d": [6.0, 0.0, 3.0],
            "calls_7d_vs_prior_7d": [7 / 4, 1.0, 0.0],  # (now + 1) / (prior + 1)
            "calls_28d": [12.0, 0.0, 3.0],
            "calls_91d": [48.0, 5.0, 3.0],
            "account_age_days": [20.5, 400.0, 91.0],
            "mrr": [1.0, 2.0, 3.0],
        }
    )
    counts = counts_of(frame)
    assert counts["calls_14d"].tolist()[:2] == pytest.approx([9.0, 0.0])
    assert np.isnan(counts["calls_14d"][2])  # no such ratio is made
    assert counts["days_since_first_call_91d"].tolist() == [20.5, 91.0, 91.0]
    assert counts["calls_7d_of_calls_28d"].tolist()[::2] == [0.5, 1.0]
    assert np.isnan(counts["calls_7d_of_calls_28d"][1])
    assert "mrr" not in counts


def test_sixteen_of_the_twenty_two_counts_are_among_the_features():
    frame = pd.DataFrame({feature.name: [1.0] for feature in CATALOG})
    assert len(COUNTS_WANTED) == 22
    assert len(set(counts_of(frame)) & set(COUNTS_WANTED)) == 16


def test_it_ranks_rows_it_has_not_seen_and_the_same_rows_give_the_same():
    dice = np.random.default_rng(3)
    calls = dice.poisson(40, size=2000).astype(float)
    label = (dice.random(2000) < 1 / (1 + np.exp((calls - 30) / 4))).astype(float)
    frame = pd.DataFrame({"calls_28d": calls, "calls_7d": dice.poisson(10, size=2000), "label": label})
    first, again = (anchor(frame[:1500], frame[1500:], seed=1) for _ in range(2))
    assert (first == again).all()
    assert np.corrcoef(first, -calls[1500:])[0, 1] > 0.6
    assert 0 <= first.min() <= first.max() <= 1


def test_without_a_count_there_is_no_blend():
    frame = pd.DataFrame({"calls_28d": [3.0, 3.0], "label": [0.0, 1.0]})
    assert anchor(frame, frame, seed=1) is None
