"""A rule as a model: its margin held against another library's, on rows whose answer is known."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression

from features.definitions.catalog import BUILT_IN
from features.exceptions import InputError, WorkFailedError
from training.models.rule import CountingRule, fit_rule, read_rule

SILENCE = CountingRule("days since the last call", BUILT_IN.spec("days_since_last_call"))
FALL = CountingRule("calls fell by half", BUILT_IN.spec("calls_28d_vs_prior_28d"), at_most=0.5)
QUOTA = CountingRule("90 % of the quota used", BUILT_IN.spec("quota_used_share_28d"), at_least=0.9)


def rows(count: int = 400, *, null_share: float = 0.1, positives: int | None = None) -> pd.DataFrame:
    dice = np.random.default_rng(3)
    days = np.minimum(np.round(dice.exponential(5.0, count)), 12.0)  # so few that every value is a knot
    label = (dice.random(count) < 1 / (1 + np.exp(3 - days / 3))).astype(float)
    if positives is not None:
        label[:] = 0.0
        label[np.argsort(-days)[:positives]] = 1.0
    days[dice.random(count) < null_share] = np.nan
    frame = {SILENCE.feature.name: days, FALL.feature.name: dice.choice([0.2, 0.5, 0.9, np.nan], count)}
    quota = np.where(label == 1, 0.95, dice.random(count))
    return pd.DataFrame({**frame, QUOTA.feature.name: quota, "label": label})


def by_sklearn(design: np.ndarray, label: pd.Series) -> np.ndarray:
    return LogisticRegression(C=10, tol=1e-10, max_iter=5000).fit(design, label).decision_function(design)


@pytest.mark.parametrize("null_share", [0.0, 0.1, 0.5])
def test_the_margin_of_a_ranking_rule_is_a_logistic_regression_on_rank_upper_part_and_null(null_share):
    frame = rows(null_share=null_share)
    rule = fit_rule(frame, SILENCE, target="churn")
    values = frame[SILENCE.feature.name]
    rank = np.where(values.isna(), 0.5, (values.rank(method="average") - 0.5) / values.notna().sum())
    design = np.column_stack([rank, np.maximum(rank - 0.8, 0.0), values.isna()])
    assert rule.margin(frame) == pytest.approx(by_sklearn(design, frame["label"]), abs=1e-5)
    assert np.isfinite(rule.margin(frame)).all()


@pytest.mark.parametrize(("form", "holds"), [(FALL, lambda v: v <= 0.5), (QUOTA, lambda v: v >= 0.9)])
def test_the_margin_of_a_yes_or_no_rule_has_two_values(form, holds):
    frame, target = rows(), "upsell" if form is QUOTA else "churn_inactivity"
    if form is FALL:
        frame["label"] = (frame[form.feature.name] <= 0.5) & (np.arange(len(frame)) % 3 == 0)
    rule = fit_rule(frame, form, target=target)
    held = holds(frame[form.feature.name]).to_numpy(dtype=float)[:, None]  # a null is none of it
    assert rule.margin(frame) == pytest.approx(by_sklearn(held, frame["label"]), abs=1e-5)
    assert len(np.unique(rule.margin(frame))) == 2


@pytest.mark.parametrize("form", [SILENCE, FALL, QUOTA])
def test_base_and_the_contribution_of_its_one_feature_are_the_margin(form):
    frame = rows()
    rule = fit_rule(frame, form, target="upsell" if form is QUOTA else "churn")
    assert rule.base_margin + rule.contribution(frame) == pytest.approx(rule.margin(frame), abs=1e-9)
    assert rule.contribution(frame).mean() == pytest.approx(0.0, abs=1e-9)
    assert rule.family == form.feature.family


def test_a_direction_that_is_certain_is_never_turned_around():
    frame = rows()
    frame["label"] = 1.0 - frame["label"]  # as a handful of events may have it
    silence = fit_rule(frame, SILENCE, target="churn")
    days = pd.DataFrame({SILENCE.feature.name: np.linspace(0, 60, 61)})
    assert (np.diff(silence.margin(days)) >= 0).all()
    shortest_first = fit_rule(frame, SILENCE, target="upsell")  # of an upgrade nothing is certain
    assert shortest_first.margin(days)[0] > shortest_first.margin(days)[-1]


def test_one_positive_is_enough_and_none_is_refused():
    margin = fit_rule(rows(positives=1), SILENCE, target="churn").margin(rows())
    assert np.isfinite(margin).all()
    with pytest.raises(
        WorkFailedError, match=r'The rule "days since the last call" .* none of 400 rows is positive\. Load a longer'
    ):
        fit_rule(rows(positives=0), SILENCE, target="churn")
    with pytest.raises(WorkFailedError, match="every one of 400 rows is positive"):
        fit_rule(rows().assign(label=1.0), SILENCE, target="churn")


def test_what_is_the_same_in_every_row_is_no_rule():
    with pytest.raises(WorkFailedError, match="tells no two of 400 rows apart"):
        fit_rule(rows().assign(**{SILENCE.feature.name: np.nan}), SILENCE, target="churn")


def test_a_feature_that_is_missing_or_infinite_is_named():
    rule = fit_rule(rows(), SILENCE, target="churn")
    with pytest.raises(InputError, match=r"days_since_last_call, which the rule .* reads, is missing"):
        rule.margin({"calls_7d": np.zeros(2)})
    with pytest.raises(InputError, match="days_since_last_call holds infinite values"):
        rule.margin({"days_since_last_call": np.array([1.0, np.inf])})


@pytest.mark.parametrize("form", [SILENCE, FALL])
def test_its_file_gives_it_back_to_the_last_digit(form):
    rule = fit_rule(rows(), form, target="churn")
    assert read_rule(rule.as_json) == rule


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"mood": 1}, "mood"),
        ({"weight": None}, "weight"),
        ({"ranks": [0.5]}, "knots and ranks do not fit"),
        ({"knots": [], "ranks": []}, "neither knots nor a bound"),
        ({"at_most": 1.0}, "both knots and a bound"),
    ],
)
def test_a_file_that_says_anything_else_is_refused(change, reason):
    content = json.loads(fit_rule(rows(), SILENCE, target="churn").as_json)
    with pytest.raises(InputError, match=f"This is no rule: .*{reason}"):
        read_rule(json.dumps(content | change))


def test_it_is_frozen():
    rule = fit_rule(rows(), FALL, target="churn")
    with pytest.raises(dataclasses.FrozenInstanceError):
        rule.weight = 0.0
