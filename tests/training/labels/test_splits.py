"""Which cutoffs are fitted and which are judged: no label reaches into what comes after it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.exceptions import WorkFailedError
from features.windows import days_later, utc
from training.labels.splits import account_folds, folds, rolling_origin

FIRST = utc(2025, 1, 6)


def mondays(count: int) -> list:
    return [days_later(FIRST, 7 * week) for week in range(count)]


def test_blocks_of_equal_length_end_at_the_newest_cutoff_a_gap_after_what_they_are_fitted_on():
    weeks = mondays(12)
    blocks = rolling_origin(weeks, blocks=3, gap_days=14)
    # Week 3 is exactly 14 days before week 5, the first with four final before it; 7 judged weeks are 3 blocks of 2.
    assert [block.judged for block in blocks] == [tuple(weeks[6:8]), tuple(weeks[8:10]), tuple(weeks[10:12])]
    assert [block.fitted for block in blocks] == [tuple(weeks[:5]), tuple(weeks[:7]), tuple(weeks[:9])]
    assert [block.judged for block in rolling_origin(weeks, blocks=1, gap_days=14)] == [tuple(weeks[5:])]
    assert len(rolling_origin(weeks, blocks=50, gap_days=14)) == 7


def test_of_a_short_history_one_cutoff_is_judged():
    (block,) = rolling_origin(mondays(3), blocks=5, gap_days=14)
    assert (block.fitted, block.judged) == (tuple(mondays(1)), tuple(mondays(3)[2:]))


@given(st.integers(2, 80), st.integers(1, 60), st.integers(1, 9))
def test_every_fitted_label_is_final_before_its_judge_begins(count, gap, wanted):
    weeks = mondays(count)
    try:
        blocks = rolling_origin(weeks, blocks=wanted, gap_days=gap)
    except WorkFailedError:
        return
    assert 1 <= len(blocks) <= wanted
    assert len({len(block.judged) for block in blocks}) == 1
    assert tuple(cutoff for block in blocks for cutoff in block.judged) == tuple(
        weeks[-sum(len(block.judged) for block in blocks) :]
    )
    for part in (*blocks, *folds(blocks[-1].fitted, gap_days=gap)):
        assert days_later(part.fitted[-1], gap) <= part.judged[0]
        assert part.fitted == tuple(week for week in weeks if week <= days_later(part.judged[0], -gap))
    judged = [cutoff for fold in folds(blocks[-1].fitted, gap_days=gap) for cutoff in fold.judged]
    assert judged == sorted(set(judged))


@pytest.mark.parametrize(("count", "text"), [(0, "0 closed cutoffs"), (1, "1 closed cutoff"), (6, "none to fit on")])
def test_too_short_a_history_says_how_short(count, text):
    with pytest.raises(WorkFailedError, match=f"{text}.*"):
        rolling_origin(mondays(count), blocks=5, gap_days=51)


def test_a_fitting_span_within_the_gap_has_no_fold():
    assert folds(mondays(3), gap_days=51) == ()


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
