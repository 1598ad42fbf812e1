"""Fitted on the past, judged once on what came after, beside every rival."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from features.definitions.catalog import NEWEST_SERVICE, spec
from features.definitions.sets import FeatureSet
from features.exceptions import WorkFailedError
from features.home.declared_sets import sets_read
from features.home.home import Home
from features.progress import silent
from features.settings.fields import Settings
from tests.training.conftest import BLOCKS, company
from training.judging.baselines import best_rule
from training.judging.judge import _dataset_of, _foretell, distinct_events, fit_and_judge
from training.judging.measure import call_chance
from training.labels.dataset import with_features_of
from training.models.contest import Contest, Incumbent


@pytest.mark.slow
def test_the_model_ranks_almost_as_well_as_the_truth(judged):
    assert judged.measures.truth["share_of_true_risk_roc_auc"] > 0.94


@pytest.mark.slow
def test_every_rival_is_compared_in_ranking_and_precision(judged):
    assert {row.metric for row in judged.measures.comparisons} == {"roc_auc", "pr_auc", "log_loss"}
    rivals = {row.rival for row in judged.measures.comparisons}
    models = {"quick blend on plain counts", "logistic regression", "free trees", "the scorecard alone"}
    assert {*judged.rules, *models} == rivals
    assert {"days since the last call", "calls fell by half"} < set(judged.rules)
    assert all(row.low <= row.difference <= row.high for row in judged.measures.comparisons)


@pytest.mark.slow
def test_the_judged_cutoffs_teach_nothing(small_company, plain, judged):
    dataset, _ = small_company
    oldest = judged.blocks[0]
    is_judged = dataset.frame["cutoff"] >= oldest.judged[0]
    turned = dataset.frame.assign(label=dataset.frame["label"].where(~is_judged, 1 - dataset.frame["label"]))
    other = _foretell(oldest, dataclasses.replace(dataset, frame=turned), Home(plain), {}, progress=silent, stage="")
    assert other.probability.tolist() == judged.scored.probability[: len(other.probability)].tolist()


@pytest.mark.slow
def test_all_closed_cutoffs_but_the_oldest_are_judged_each_by_what_was_closed_before(small_company, judged):
    dataset, _ = small_company
    cutoffs, gap = dataset.cutoffs, dataset.target.lead_days + dataset.target.horizon_days
    assert len(judged.blocks) == BLOCKS
    assert list(judged.judged_cutoffs) == cutoffs[-len(judged.judged_cutoffs) :]
    assert len(judged.judged_cutoffs) > len(cutoffs) / 2
    rows = judged.scored.rows
    assert set(zip(rows["account_id"], rows["cutoff"], strict=True)) == set(
        dataset.rows(judged.judged_cutoffs, with_lead=True)[["account_id", "cutoff"]].itertuples(index=False, name=None)
    )
    assert ((rows["cutoff"] - rows["fitted_until"]).dt.days >= gap).all()
    assert rows["fitted_until"].nunique() == BLOCKS
    assert rows["in_lead"].any()
    assert not judged.rows["in_lead"].any()
    events = distinct_events(judged.rows)
    assert events > distinct_events(dataset.rows(cutoffs[-11:]))  # as one split at three tenths had


def test_the_best_rule_is_found_whichever_way_it_points():
    frame = pd.DataFrame({"label": [1, 1, 0, 0], "calls_7d": [1.0, 2, 3, 4], "mrr": [2.0, 3, 1, 4]})
    rule = best_rule(frame, [spec("mrr"), spec("calls_7d")])
    assert rule.title == "requests in the last 7 days, lowest first"
    assert rule.score(frame).tolist() == [0.875, 0.625, 0.375, 0.125]


def test_events_are_counted_once(small_company):
    dataset, _ = small_company
    assert 0 < distinct_events(dataset.frame) < dataset.frame["label"].sum()


def incumbent(bundle, **changes):
    return dataclasses.replace(Incumbent("4", bundle.service, bundle.recipe), **changes)


@pytest.mark.slow
def test_the_same_recipe_as_the_champion_differs_by_nothing(small_company, plain, bundle, judged, monkeypatch):
    dataset, _ = small_company
    champion = incumbent(bundle)
    monkeypatch.setattr("training.judging.judge.fit_recipe", lambda *_, **__: (judged.model, None))
    again = fit_and_judge(dataset, Home(plain), contest=Contest(champion, champion, 6, ("Said beside.",)))
    for rival in ("the champion's recipe, version 4", "the best recipe so far, version 4"):
        rows = [row for row in again.measures.comparisons if row.rival == rival]
        assert {(row.difference, row.low, row.high) for row in rows} == {(0.0, 0.0, 0.0)}
    assert (again.verdict.champion, again.verdict.judged_recipes) == ("4", 0)
    assert again.verdict.remarks[-1] == "Said beside."


def test_a_champion_of_an_earlier_service_is_compared_with_its_own_features(small_company, plain, bundle):
    dataset, _ = small_company
    own = _dataset_of(incumbent(bundle, service="churn_v1"), dataset, {}, Home(plain))
    names = [feature.name for feature in own.features]
    assert names == [feature.name for feature in Home(plain).catalog.features_of_service("churn_v1")]
    assert len(names) < len(dataset.features)
    assert own.frame is dataset.frame


def test_a_champion_whose_features_are_no_more_cannot_be_compared(small_company, plain, bundle):
    dataset, _ = small_company
    fewer = dataclasses.replace(dataset, frame=dataset.frame.drop(columns="mrr"))
    with pytest.raises(
        WorkFailedError, match=rf"reads {NEWEST_SERVICE}, of which 1 features are not in the rows .*: mrr\."
    ):
        _dataset_of(incumbent(bundle), fewer, {}, Home(plain))


def declaring(home, condition):
    return Settings(home=home, metrics={"failed": {"of": "share", "where": condition, "windows": ["28d"]}})


def test_a_champion_of_other_declared_features_is_compared_with_its_own_on_the_same_rows(tmp_path, monkeypatch):
    before, today = declaring(tmp_path, "status >= 500"), declaring(tmp_path, "status >= 400")
    rows, _ = company(before, accounts=20)
    dataset, _ = company(today, accounts=20)
    own = rows.frame.rename(columns={"cutoff": "event_timestamp"}).assign(failed_28d=7.0)
    store = SimpleNamespace(historical=lambda asked, service: own if service == rows.target.service else asked)
    monkeypatch.setattr("features.feature_store.store.open_store", lambda _: store)
    sets_read(Home(today).champion_sets, "churn", [FeatureSet(before.metrics).as_json])
    assert with_features_of(dataset, dataset.target.service, Home(today)) is None
    assert with_features_of(dataset, "churn_v1", Home(today)) is None
    beside = with_features_of(dataset, rows.target.service, Home(today))
    assert (beside.frame["failed_28d"] == 7.0).all()
    assert beside.frame[["account_id", "cutoff", "label"]].equals(dataset.frame[["account_id", "cutoff", "label"]])
    with pytest.raises(WorkFailedError, match=r"of which 1 features are not in the rows .*: failed_28d\."):
        _dataset_of(Incumbent("4", rows.target.service, {}), dataset, {}, Home(today))


def test_nobody_who_left_nothing_to_learn(plain):
    dataset, _ = company(plain, accounts=30, hazard=-50.0)
    with pytest.raises(WorkFailedError, match=r"No account of 30 left in the label windows of 18 fitting cutoffs"):
        fit_and_judge(dataset, Home(plain))


def test_one_account_cannot_be_ranked(plain):
    dataset, _ = company(plain, accounts=1, hazard=-50.0)
    with pytest.raises(WorkFailedError, match=r"18 fitting rows .* are of 1 account\(s\); ranking takes at least two"):
        fit_and_judge(dataset, Home(plain))


def test_a_truth_of_another_company_is_refused(small_company, plain):
    dataset, truth = small_company
    with pytest.raises(WorkFailedError, match=r"truth file lacks .* of .* judged rows"):
        fit_and_judge(dataset, Home(plain), truth=truth.head(5))


def test_equal_scores_are_called_with_equal_chance():
    assert call_chance(np.full(10, 0.3), 0.2).tolist() == pytest.approx([0.2] * 10)
    assert call_chance(np.array([0.9, 0.5, 0.5, 0.1]), 0.5).tolist() == [1.0, 0.5, 0.5, 0.0]
