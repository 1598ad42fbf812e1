"""Which cutoffs are fitted and which are judged: no label reaches into what comes after it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.exceptions import WorkFailedError
from features.windows import days_later, utc
from training.labels.splits import account_folds, folds, split

FIRST = utc(2025, 1, 6)


def mondays(count: int) -> list:
    return [days_later(FIRST, 7 * week) for week in range(count)]


def test_the_newest_third_is_kept_and_the_gap_is_purged():
    weeks = mondays(10)
    parts = split(weeks, test_share=0.3, gap_days=14)
    assert parts.test == tuple(weeks[7:])
    assert parts.fitting == tuple(weeks[:6])  # week 5 is exactly 14 days before week 7
    assert parts.purged == (weeks[6],)


@given(st.integers(2, 80), st.integers(1, 60))
def test_every_fitted_label_is_final_before_its_judge_begins(count, gap):
    try:
        parts = split(mondays(count), test_share=0.3, gap_days=gap)
        rolled = folds(parts.fitting, gap_days=gap)
    except WorkFailedError:
        return
    assert days_later(parts.fitting[-1], gap) <= parts.test[0]
    for fold in rolled:
        assert days_later(fold.fitted[-1], gap) <= fold.judged[0]
    judged = [cutoff for fold in rolled for cutoff in fold.judged]
    assert judged == sorted(set(judged))
    assert all(later.fitted[: len(earlier.fitted)] == earlier.fitted for earlier in rolled for later in rolled[-1:])


@pytest.mark.parametrize(("count", "text"), [(0, "0 closed cutoffs"), (1, "1 closed cutoff"), (6, "none to fit on")])
def test_too_short_a_history_says_how_short(count, text):
    with pytest.raises(WorkFailedError, match=f"{text}.*"):
        split(mondays(count), test_share=0.3, gap_days=51)


def test_a_fitting_span_within_the_gap_has_no_fold():
    with pytest.raises(WorkFailedError, match="3 fitting cutoffs from 2025-01-06 to 2025-01-20 are too short a span"):
        folds(mondays(3), gap_days=51)


@given(st.lists(st.tuples(st.integers(0, 30), st.booleans()), min_size=1, max_size=80), st.randoms())
def test_all_rows_of_an_account_are_in_one_fold_with_events_in_every_fold(rows, chance):
    account, label = (np.array(column) for column in zip(*rows, strict=True))
    account, label = account.astype(str), label.astype(float)
    eventful = set(account[label == 1])
    found = account_folds(account, label)
    assert len(set(found)) == max(1, min(5, len(eventful)))
    assert len({*zip(account.tolist(), found.tolist(), strict=True)}) == len(set(account))
    assert not eventful or set(found[label == 1]) == set(found)
    places = list(range(len(rows)))
    chance.shuffle(places)
    assert account_folds(account[places], label[places]).tolist() == found[places].tolist()
