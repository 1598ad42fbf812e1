"""How well one column alone tells a label, whichever way round, and with its nulls."""

import numpy as np
import pandas as pd
import pytest

from training import single_features
from training.labels import Labels
from training.single_features import ALARM, audit_labels, separation
from training.targets import target

LABEL = np.array([0.0, 0.0, 0.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 2.0, 3.0, 4.0, 5.0], 1.0),
        ([5.0, 4.0, 3.0, 2.0, 1.0], 1.0),
        ([7.0, 7.0, 7.0, 7.0, 7.0], 0.5),
        ([1.0, 2.0, 4.0, 3.0, 5.0], 5 / 6),
        ([2.0, 3.0, 4.0, None, None], 1.0),  # only those who left have none
        ([None, None, None, 8.0, -8.0], 1.0),  # only those who left have one
        ([None, None, None, None, None], 0.5),
    ],
)
def test_numbers(values, expected):
    assert separation(LABEL, pd.Series(values, dtype=float)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["pro", "free", "pro", "gone", "gone"], 1.0),
        (["pro", "pro", "pro", None, None], 1.0),
        (["pro", "free", "pro", "free", "pro"], 7 / 12),
    ],
)
def test_a_category_counts_by_its_most_telling_value(values, expected):
    assert separation(LABEL, pd.Series(values, dtype=object), is_category=True) == pytest.approx(expected)


@pytest.fixture
def labelled(monkeypatch, small_company):
    """The small company's rows behind the doors that the audit reads them through."""
    dataset, _ = small_company

    class Store:
        def historical(self, entities, *, service):
            keys = entities.rename(columns={"event_timestamp": "cutoff"})
            return keys.merge(dataset.frame, on=["account_id", "cutoff"], how="left")

    monkeypatch.setattr("features.store.open_store", lambda _: Store())

    def given(frame):
        monkeypatch.setattr(single_features, "closed_labels", lambda *_: Labels(frame, (), {}))

    given(dataset.frame[["account_id", "cutoff", "label", "event_time", "in_lead"]])
    return dataset, given


def test_of_an_honest_company_the_best_feature_is_named_and_nothing_alarms(labelled, plain):
    found = audit_labels(plain, target("churn", plain), seed=1)
    assert found.alarms == ()
    assert found.best is not None
    assert 0.6 < found.best.roc_auc < ALARM
    assert found.positives < found.rows


def test_rows_whose_event_fell_into_the_lead_are_left_out(labelled, plain):
    dataset, _ = labelled
    found = audit_labels(plain, target("churn", plain), seed=1)
    kept = dataset.frame[~dataset.frame["in_lead"]]
    assert (found.rows, found.positives) == (min(len(kept), found.rows), kept["label"].sum())
    assert dataset.frame["in_lead"].any()


def test_too_few_accounts_are_no_evidence(labelled, plain):
    dataset, given = labelled
    leavers = dataset.frame[dataset.frame["label"] == 1]["account_id"].unique()[9:]
    given(dataset.frame[~dataset.frame["account_id"].isin(leavers)])
    found = audit_labels(plain, target("churn", plain), seed=1)
    assert found.best is None
    assert "9 accounts left and" in str(found.skipped)
    assert "too few to tell a leak from chance" in str(found.skipped)
