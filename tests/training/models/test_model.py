"""One booster that repeats itself, keeps its directions, and encodes what it has never seen."""

from functools import partial

import numpy as np
import pandas as pd
import pytest

from features.definitions.catalog import features_of_group, features_of_service, spec
from features.exceptions import WorkFailedError
from training.labels.splits import Fold
from training.models.bundle import OTHER, Calibration
from training.models.calibrate import logistic_line
from training.models.explain import TOLERANCE, by_family, explain
from training.models.fitted import Fitted
from training.models.model import (
    RECIPE,
    Options,
    choose_rounds,
    encode,
    fit,
    foretold,
    free_trees,
    out_of_fold,
    rows_per_leaf,
)
from training.models.scorecard import fit_scorecard
from training.models.stack import BOOSTER_ALONE, Stack

FEATURES = features_of_service("churn_v2")


@pytest.fixture(scope="module")
def fitted_rows(small_company) -> pd.DataFrame:
    dataset, _ = small_company
    return dataset.rows(dataset.cutoffs[:18])


def booster_of(rows: pd.DataFrame, seed: int = 7):
    encoding = encode(rows, FEATURES)
    return encoding, fit(rows, encoding, Options("churn", RECIPE, seed, 1), rounds=40)


def test_training_twice_gives_the_same_text(fitted_rows):
    assert booster_of(fitted_rows)[1].model_to_string() == booster_of(fitted_rows)[1].model_to_string()


def test_certain_directions_hold_everywhere(fitted_rows):
    encoding, booster = booster_of(fitted_rows)
    rows = fitted_rows.head(200)
    for name, direction in (("calls_28d", -1), ("days_since_last_call", 1)):
        assert spec(name).risk("churn").monotone == direction
        steps = [
            booster.predict(encoding.matrix(rows.assign(**{name: value})), raw_score=True)
            for value in np.linspace(0, 300, 40)
        ]
        assert (direction * np.diff(steps, axis=0) >= 0).all()


def model_of(rows: pd.DataFrame, stack: Stack) -> Fitted:
    encoding, booster = booster_of(rows)
    scorecard = fit_scorecard(rows, features_of_service("churn_v3"), target="churn") if stack.has_scorecard else None
    return Fitted(booster, encoding, Calibration("none", 1.0, 0.0), 40, FEATURES, stack, scorecard)


@pytest.mark.parametrize("stack", [BOOSTER_ALONE, Stack(0.7, 0.4, 0.1)])
def test_a_familys_contribution_is_a_function_of_its_own_features_alone(fitted_rows, stack):
    model = model_of(fitted_rows, stack)
    rows = fitted_rows.head(300).reset_index(drop=True)

    def contributions(frame):
        explained = explain(model, model.booster, model.encoding.matrix(frame), frame)
        names, parts = by_family(explained.columns, explained.contributions)
        assert explained.base_margin + parts.sum(axis=1) == pytest.approx(explained.margin, abs=TOLERANCE)
        assert explained.margin == pytest.approx(model.margin(frame), abs=TOLERANCE)
        return dict(zip(names, parts.T, strict=True))

    before, moved = contributions(rows), 0
    for family in before:
        others = [feature.name for feature in features_of_service("churn_v3") if feature.family != family]
        permuted = rows.sample(frac=1, random_state=3).reset_index(drop=True)
        after = contributions(rows.assign(**{name: permuted[name] for name in others}))
        assert np.abs(after[family] - before[family]).max() == 0.0, family
        moved += any((after[name] != before[name]).any() for name in before if name != family)
    assert moved  # the permutation did something


def test_every_tree_asks_about_one_family_and_free_trees_about_several(fitted_rows):
    def families(parameters):
        encoding = encode(fitted_rows, FEATURES)
        booster = fit(fitted_rows, encoding, Options("churn", parameters, 7, 1), rounds=40)
        of = {column.name: spec(column.feature).family for column in encoding.columns}
        splits = booster.trees_to_dataframe().dropna(subset="split_feature")
        return splits.groupby("tree_index")["split_feature"].agg(lambda names: len({of[name] for name in names}))

    assert (families(RECIPE) == 1).all()
    assert families(free_trees(RECIPE)).max() > 1


@pytest.mark.parametrize(
    ("losses", "rounds", "asked"),
    [
        ([5, 4, 3, 4, 5, 6, 7, 1], 3, 6),
        ([5, 4, 3, 4, 5, 2, 3, 3, 3, 3], 6, 9),
        ([9, 8, 7, 6, 5, 4, 3, 2, 1, 0], 10, 10),
    ],
)
def test_rounds_are_added_until_the_least_loss_lies_some_rounds_back(fitted_rows, monkeypatch, losses, rounds, asked):
    left = [float(loss) for loss in losses]
    monkeypatch.setattr("training.models.model._MOST_ROUNDS", len(losses))
    monkeypatch.setattr("training.models.model._PATIENCE", 3)
    monkeypatch.setattr("training.models.model._traced", lambda *_: None)
    monkeypatch.setattr("training.models.model._one_round", lambda _: left.pop(0))
    monkeypatch.setattr("training.models.model._margin", lambda *_, rounds: np.array([rounds]))
    cutoffs = [moment.to_pydatetime() for moment in sorted(fitted_rows["cutoff"].unique())]
    fold = Fold(tuple(cutoffs[:8]), tuple(cutoffs[14:]))
    found = choose_rounds(fitted_rows, [fold], FEATURES, Options("churn", RECIPE, 7, 1))
    assert (found.count, [margin.tolist() for *_, margin in found.later]) == (rounds, [[rounds]])
    assert len(losses) - len(left) == asked


def test_features_without_a_difference_are_left_out_and_listed(fitted_rows):
    encoding = encode(fitted_rows, FEATURES)
    assert encoding.left_out["active_tokens_28d"] == "null in every fitting row"
    assert encoding.left_out["narrow_use_28d"] == "the same in every fitting row"
    with_a_difference = {name for name in fitted_rows if len(set(fitted_rows[name].dropna())) > 1}
    assert set(encoding.left_out) == {feature.name for feature in FEATURES} - with_a_difference
    assert {feature.name for feature in encoding.features}.isdisjoint(encoding.left_out)


def test_categories_are_indicators_of_the_twelve_most_frequent_and_one_for_the_rest():
    plans = [f"p{number:02d}" for number in range(14) for _ in range(20 - number)]
    encoding = encode(pd.DataFrame({"plan": plans}), [spec("plan")])
    assert encoding.vocabularies["plan"] == tuple(f"p{number:02d}" for number in range(12))
    found = encoding.matrix(pd.DataFrame({"plan": ["p00", "p13", "never seen", None]}))
    assert found.sum(axis=1).tolist() == [1, 1, 1, 0]
    assert found[:, -1].tolist() == [0, 1, 1, 0]
    assert encoding.columns[-1].value == OTHER


def test_column_names_are_those_lightgbm_keeps(fitted_rows):
    encoding, booster = booster_of(fitted_rows)
    assert booster.feature_name() == [column.name for column in encoding.columns]
    assert "plan_is_1_pro__big" in booster.feature_name()


def test_rows_per_leaf_shrink_only_with_few_rows():
    assert [rows_per_leaf(rows, RECIPE) for rows in (100, 2000, 4000, 9_000_000)] == [10, 50, 100, 100]


def test_nothing_to_learn_from_is_said():
    frame = pd.DataFrame({"mrr": [None, None], "calls_7d": [3.0, 3.0]})
    with pytest.raises(WorkFailedError, match="All 2 features are null or the same"):
        encode(frame, [spec("mrr"), spec("calls_7d")])


def test_folds_without_a_departure_cannot_choose(fitted_rows):
    cutoffs = [moment.to_pydatetime() for moment in sorted(fitted_rows["cutoff"].unique())]
    with pytest.raises(WorkFailedError, match="None of the 1 folds has an event to foretell"):
        choose_rounds(
            fitted_rows.assign(label=0),
            [Fold(tuple(cutoffs[:3]), tuple(cutoffs[12:]))],
            FEATURES,
            Options("churn", RECIPE, 7, 1),
        )


def test_without_a_telling_fold_in_time_accounts_are_folded(fitted_rows):
    rows, options = (
        fitted_rows[fitted_rows["cutoff"] <= fitted_rows["cutoff"].unique()[3]],
        Options("churn", RECIPE, 7, 1),
    )
    nobody = Fold((rows["cutoff"].iloc[0].to_pydatetime(),), ())  # a fold without positives
    for folds in ([], [nobody]):
        found = choose_rounds(rows, folds, FEATURES, options)
        assert found.count >= 1
        assert found.later == ()


def test_out_of_fold_no_row_is_judged_by_a_model_that_knows_its_account(fitted_rows):
    options = Options("churn", RECIPE, 7, 1)
    before = out_of_fold(fitted_rows, partial(foretold, features=FEATURES, options=options, rounds=20))
    account = fitted_rows["account_id"][fitted_rows["label"] == 1].iloc[0]
    own = (fitted_rows["account_id"] == account).to_numpy()
    # Its labels turned around: the account is still dealt to its fold, and its own margins do not move.
    rows = fitted_rows.assign(label=fitted_rows["label"].where(~own, 1 - fitted_rows["label"]))
    if not rows["label"][own].any():
        rows.loc[own, "label"] = [1, *[0] * (own.sum() - 1)]
    after = out_of_fold(rows, partial(foretold, features=FEATURES, options=options, rounds=20))
    assert (before[own] == after[own]).all()
    assert (before[~own] != after[~own]).any()


def test_margins_out_of_fold_are_less_bold_than_those_of_rows_a_model_knows(fitted_rows):
    options = Options("churn", RECIPE, 7, 1)
    encoding = encode(fitted_rows, FEATURES)
    known = fit(fitted_rows, encoding, options, rounds=200).predict(encoding.matrix(fitted_rows), raw_score=True)
    unseen = out_of_fold(fitted_rows, partial(foretold, features=FEATURES, options=options, rounds=200))
    label = fitted_rows["label"].to_numpy(dtype=np.float64)
    assert logistic_line(unseen, label)[0] < logistic_line(known, label)[0]


def test_trees_do_not_read_what_only_the_scorecard_gains_from():
    recency = features_of_group("recency")
    rows = pd.DataFrame({feature.name: range(20) for feature in (spec("calls_7d"), *recency)})
    encoding = encode(rows, [spec("calls_7d"), *recency])
    assert [column.name for column in encoding.columns] == ["calls_7d"]
    assert encoding.left_out == {feature.name: "trees gain nothing from it" for feature in recency}
