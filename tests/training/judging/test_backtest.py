"""What scores would have done for a team, counted by hand on three accounts of four weeks."""

import pandas as pd
import pytest

from features.windows import days_later, utc
from training.judging.backtest import look_back

WEEKS = [days_later(utc(2026, 4, 20), 7 * week) for week in range(4)]  # two in April, two in May
LEFT = utc(2026, 5, 20)  # 30, 23, 16 and 9 days after the four cutoffs
SCORES = {"ann": (0.1, 0.5, 0.4, 0.1), "bob": (0.6, 0.1, 0.2, 0.3), "cy": (0.2, 0.2, 0.3, 0.2)}


@pytest.fixture
def scores():
    rows = [(name, week, p) for name, values in SCORES.items() for week, p in zip(WEEKS, values, strict=True)]
    frame = pd.DataFrame(rows, columns=["account_id", "cutoff", "probability"])
    return frame.assign(cutoff=frame["cutoff"].astype("datetime64[us, UTC]"))


@pytest.fixture
def labels(scores):
    """Ann leaves within the window of the last two cutoffs, cy on the same day, unforetold, in the lead of the last."""
    frame = scores[["account_id", "cutoff"]].assign(label=0, event_time=pd.NaT, in_lead=False)
    frame["event_time"] = pd.to_datetime(frame["event_time"], utc=True).astype("datetime64[ns, UTC]")
    last_two, last = frame["cutoff"] >= WEEKS[2], frame["cutoff"] == WEEKS[3]
    frame.loc[(frame["account_id"] == "ann") & last_two, ["label", "event_time"]] = [1, pd.Timestamp(LEFT)]
    frame.loc[(frame["account_id"] == "cy") & last, ["label", "event_time"]] = [1, pd.Timestamp(days_later(LEFT, -4))]
    frame.loc[(frame["account_id"] == "cy") & last, "in_lead"] = True
    return frame


def test_months_say_what_was_foretold_and_what_happened(scores, labels):
    april, may = look_back(scores, labels, capacity_share=0.34, names={}).months
    assert april == {
        "month": "2026-04",
        "cutoffs": 2,
        "accounts": 3,
        "foretold": pytest.approx(0.2833),
        "happened": 0.0,
        "events": 0,
        "found": 0.0,
        "roc_auc": None,
    }
    # Five rows without the one in the lead: ann's 0.4 is above all three others, her 0.1 below them.
    assert may == {
        "month": "2026-05",
        "cutoffs": 2,
        "accounts": 3,
        "foretold": 0.26,
        "happened": 0.4,
        "events": 1,
        "found": 1.0,
        "roc_auc": 0.5,
    }


def test_warnings_ask_what_the_newest_list_said_so_many_days_before(scores, labels):
    warnings = {
        row["days_of_warning"]: row for row in look_back(scores, labels, capacity_share=0.34, names={}).warnings
    }
    # Ann: 9 days before bob leads the list, 16 days before she does, 30 days before bob. Cy leads none.
    assert {days: (row["events"], row["found"]) for days, row in warnings.items()} == {
        7: (2, 0.0),
        14: (2, 1.0),
        30: (1, 0.0),
        60: (0, 0.0),
        90: (0, 0.0),
    }
    assert [row["recall"] for row in warnings.values()] == [0.0, 0.5, 0.0, None, None]


def test_who_was_never_on_a_list_is_named(scores, labels):
    past = look_back(scores, labels, capacity_share=0.34, names={"cy": "Cy and sons"})
    assert past.events == 2
    assert past.misses == (
        {"account_id": "cy", "name": "Cy and sons", "on": "2026-05-16", "best_place": 2, "highest_score": 0.2},
    )


def test_equal_scores_are_found_by_half(scores, labels):
    past = look_back(scores.assign(probability=0.2), labels, capacity_share=0.34, names={})
    assert past.months[1]["found"] == pytest.approx(0.3)  # one of three is called, whoever it is
    assert len(past.misses) == 2


def test_scores_without_a_label_any_more_are_left_aside(scores, labels):
    past = look_back(scores, labels[labels["cutoff"] < WEEKS[2]], capacity_share=0.34, names={})
    assert ([row["month"] for row in past.months], past.misses, past.events) == (["2026-04"], (), 0)
    assert look_back(scores, labels.head(0), capacity_share=0.34, names={}).months == ()
