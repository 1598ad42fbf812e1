"""How well one column alone tells a label, whichever way round, and with its nulls."""

import numpy as np
import pandas as pd
import pytest

from features.audit.findings import OnlineAudit, StoreAudit
from features.console import NOTHING, emit
from features.definitions.catalog import spec
from features.exceptions import InputError, WorkFailedError
from features.home.home import Home
from training.judging import single_features
from training.judging.single_features import ALARM, LabelAudit, SingleFeature, audit_labels, separation, tells
from training.labels.labels import Labels
from training.labels.targets import target
from training.watching.audit import Audit
from training.watching.audit_text import sections, summary_rows

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

    monkeypatch.setattr("features.feature_store.store.open_store", lambda _: Store())

    def given(frame):
        monkeypatch.setattr(single_features, "closed_labels", lambda *_: Labels(frame, (), {}))

    given(dataset.frame[["account_id", "cutoff", "label", "event_time", "in_lead"]])
    return dataset, given


def test_a_column_made_from_the_label_tells_it_unless_that_is_known(small_company):
    dataset, _ = small_company
    rows, told = dataset.rows(dataset.cutoffs), spec("calls_7d")
    assert tells(rows, dataset.features, known=(), seed=1) == {}
    noise = np.random.default_rng(1).normal(size=len(rows))
    rows = rows.assign(calls_7d=-rows["label"] + 0.3 * noise, days_to_term_end=rows["label"].astype(float))
    ((name, (area, low, high)),) = tells(rows, dataset.features, known=(), seed=1).items()
    assert name == "calls_7d"  # the end of a term is known beforehand
    assert 0.95 < low < area < high <= 1
    for known in (told.name, told.family):
        assert tells(rows, dataset.features, known={known}, seed=1) == {}
    assert tells(rows.assign(label=0), dataset.features, known=(), seed=1) == {}


def test_of_an_honest_company_the_best_feature_is_named_and_nothing_alarms(labelled, plain):
    found = audit_labels(Home(plain), target("churn", Home(plain)), seed=1)
    assert found.alarms == ()
    assert found.best is not None
    assert 0.6 < found.best.roc_auc < ALARM
    assert found.positives < found.rows


@pytest.mark.parametrize("told", ["calls_7d", "usage_level"])
def test_what_is_known_to_tell_is_a_remark_of_the_audit(labelled, plain, told):
    dataset, _ = labelled
    dataset.frame["calls_7d"], before = 1.0 - dataset.frame["label"], dataset.frame["calls_7d"]
    try:
        unknown, known = (
            audit_labels(Home(settings), target("churn", Home(settings)), seed=1)
            for settings in (plain, plain.model_copy(update={"known_tells": (told,)}))
        )
    finally:
        dataset.frame["calls_7d"] = before
    assert [single.feature for single in unknown.leaks] == ["calls_7d"]
    assert (known.leaks, [single.feature for single in known.agreed]) == ((), ["calls_7d"])
    found = Audit(StoreAudit(1, 2, {}, {}, {}, (), OnlineAudit(None, 0, ()), ()), (known,))
    ((title, _),) = sections(found)
    assert title.startswith("A remark: 1 feature known to tell churn nearly always do")


def test_rows_whose_event_fell_into_the_lead_are_left_out(labelled, plain):
    dataset, _ = labelled
    found = audit_labels(Home(plain), target("churn", Home(plain)), seed=1)
    kept = dataset.frame[~dataset.frame["in_lead"]]
    assert (found.rows, found.positives) == (min(len(kept), found.rows), kept["label"].sum())
    assert dataset.frame["in_lead"].any()


def test_too_few_accounts_are_no_evidence(labelled, plain):
    dataset, given = labelled
    leavers = dataset.frame[dataset.frame["label"] == 1]["account_id"].unique()[9:]
    given(dataset.frame[~dataset.frame["account_id"].isin(leavers)])
    found = audit_labels(Home(plain), target("churn", Home(plain)), seed=1)
    assert found.best is None
    assert "9 accounts left and" in str(found.skipped)
    assert "too few to tell a leak from chance" in str(found.skipped)


def test_a_date_known_beforehand_is_no_leak():
    alarms = (SingleFeature("days_to_term_end", 0.99, is_date=True), SingleFeature("calls_7d", 0.96))
    found = LabelAudit("churn", 900, 90, alarms[0], alarms, None)
    assert (found.agreed, found.leaks) == (alarms[:1], alarms[1:])


@pytest.mark.parametrize(("feature", "is_clean"), [("days_to_term_end", True), ("calls_7d", False)])
def test_an_audit_is_clean_when_only_such_a_date_tells_the_label(feature, is_clean):
    alone = SingleFeature(feature, 0.99, is_date=is_clean)
    label = LabelAudit("churn", 900, 90, alone, (alone,), None)
    found = Audit(StoreAudit(1, 2, {}, {}, {}, (), OnlineAudit(None, 0, ()), ()), (label,))
    assert found.is_clean is is_clean
    ((title, shown),) = sections(found)
    assert title.startswith("A remark: a date known beforehand") is is_clean
    assert shown == [{"feature": feature, "ROC-AUC": "0.990"}]


def test_where_nothing_was_compared_nothing_is_counted(capsys):
    label = LabelAudit("churn", 0, 0, None, (), "labels are open")
    rows = summary_rows(Audit(StoreAudit(1, 2, {}, {}, {}, (), OnlineAudit(None, 0, ()), ()), (label,)))
    assert {row["check"]: row["found"] for row in rows} == {
        "rebuilt from the past alone": 0,
        "rebuilt with another future": 0,
        "given to training": 0,
        "online": NOTHING,
        "tells churn alone": NOTHING,
    }
    emit([{"check": row["check"], "found": row["found"]} for row in rows])
    assert [line[-2:] for line in capsys.readouterr().out.splitlines()[2:]] == [
        " 0",
        " 0",
        " 0",
        f" {NOTHING}",
        f" {NOTHING}",
    ]


@pytest.mark.parametrize("error", [WorkFailedError("no cutoff is built"), InputError("spans leave nothing")])
def test_a_target_without_labels_is_passed_over_with_the_reason(plain, monkeypatch, error):
    def none(*_):
        raise error

    monkeypatch.setattr(single_features, "closed_labels", none)
    assert audit_labels(Home(plain), target("churn", Home(plain)), seed=1).skipped == str(error)
