"""A scorecard adds up by family, keeps certain directions, and is the regression that scikit-learn would fit."""

import numpy as np
import pandas as pd
import pytest

from features.definitions.catalog import CATALOG, spec
from features.exceptions import InputError, WorkFailedError
from training.models.scorecard import STRENGTH, fit_scorecard, read_scorecard

UNCERTAIN = [spec(name) for name in ("error_rate_7d", "endpoints_used_28d", "latency_p95_ms_28d")]
CALLS, SILENCE = spec("calls_28d"), spec("days_since_last_call")


def company(rows=600, seed=3):
    """Rows in which few calls, a long silence and failures go with the label; every seventh has no error rate."""
    dice = np.random.default_rng(seed)
    health = dice.normal(size=rows)
    frame = pd.DataFrame({feature.name: dice.normal(size=rows) for feature in CATALOG if feature.kind != "category"})
    frame["calls_28d"] = np.round(np.exp(3 + health + dice.normal(size=rows) / 3))
    frame["calls_ewma_28d"] = np.log1p(frame["calls_28d"]) + dice.normal(size=rows) / 5
    frame["days_since_last_call"] = np.exp(-health + dice.normal(size=rows))
    frame["error_rate_7d"] = np.where(np.arange(rows) % 7, np.exp(-health / 2 + dice.normal(size=rows)), np.nan)
    frame["label"] = (dice.random(rows) < 1 / (1 + np.exp(1 + 2 * health))).astype(float)
    return frame


def test_without_certain_directions_it_is_the_regression_scikit_learn_fits():
    from sklearn.linear_model import LogisticRegression

    frame = company()
    card = fit_scorecard(frame, UNCERTAIN, target="churn")
    ranks = np.column_stack(
        [frame[term.feature].rank().sub(0.5).div(frame[term.feature].notna().sum()).fillna(0.5) for term in card.terms]
        + [frame["error_rate_7d"].isna()]
    )
    model = LogisticRegression(C=STRENGTH, tol=1e-10, max_iter=10_000).fit(ranks, frame["label"])
    expected = model.decision_function(ranks)
    assert np.corrcoef(card.margin(frame), expected)[0, 1] > 0.999
    assert card.margin(frame) == pytest.approx(expected, abs=0.01)  # ranks between 201 knots are interpolated
    assert [term.weight for term in card.terms] == pytest.approx(model.coef_[0, :3], abs=0.01)
    assert card.terms[0].null_weight == pytest.approx(model.coef_[0, 3], abs=0.01)


def test_ties_stand_at_their_middle_rank_and_values_between_and_beyond_are_placed():
    frame = pd.DataFrame({"error_rate_7d": [0, 0, 0, 0, 1, 2, 4, 4], "label": [0, 1, 0, 1, 0, 1, 0, 1]})
    (term,) = fit_scorecard(frame.astype(float), UNCERTAIN[:1], target="churn").terms
    assert (term.knots, term.ranks) == ((0, 1, 2, 4), (0.25, 0.5625, 0.6875, 0.875))
    steps = term.contribution(np.array([0.0, -9.0, 4.0, 99.0, 3.0, np.nan]))
    in_ranks = (steps - steps[0]) / term.weight
    assert in_ranks[:5] == pytest.approx([0, 0, 0.625, 0.625, (0.6875 + 0.875) / 2 - 0.25])
    assert steps[5] - steps[0] == pytest.approx(term.weight * 0.25 + term.null_weight)


def test_a_certain_direction_is_never_turned_around():
    frame = company()
    frame["label"] = 1 - frame["label"]  # now many calls go with the label
    card = fit_scorecard(frame, CATALOG, target="churn")
    weights = {term.feature: term.weight for term in card.terms}
    signs = {name: weight * spec(name).risk("churn").monotone for name, weight in weights.items()}
    assert min(signs.values()) >= 0
    assert weights["calls_28d"] == weights["days_since_last_call"] == 0
    assert fit_scorecard(frame, [CALLS], target="upsell").terms[0].weight > 0.1


def test_a_weight_that_would_cross_zero_beside_its_twin_stops_there():
    dice = np.random.default_rng(1)
    level = dice.normal(size=2000)
    recent = 0.9 * level + 0.4 * dice.normal(size=2000)
    # Few recent calls alone go with the label, but among accounts of one level many do.
    chance = 1 / (1 + np.exp(3 * level - 2 * recent))
    frame = pd.DataFrame({"calls_28d": level, "calls_7d": recent, "label": (dice.random(2000) < chance).astype(float)})
    alone = fit_scorecard(frame, [spec("calls_7d")], target="churn", strength=10).terms[0]
    recent_term, level_term = fit_scorecard(frame, [spec("calls_7d"), CALLS], target="churn", strength=10).terms
    assert alone.weight < -0.5
    assert recent_term.weight == 0
    (level_alone,) = fit_scorecard(frame, [CALLS], target="churn", strength=10).terms
    assert level_term.weight == pytest.approx(level_alone.weight, rel=1e-6)


def test_it_settles_on_few_rows_whose_use_is_told_many_times():
    families = ("usage_level", "silence")
    use = [feature for feature in CATALOG if "scorecard" in feature.readers and feature.family in families]
    dice = np.random.default_rng(6)
    level = dice.normal(size=520)
    turned = {"usage_level": level, "silence": -level}
    frame = pd.DataFrame(
        {f.name: np.round(np.exp(turned[f.family] + dice.normal(size=520) * 0.3), 1) for f in use}
    ).assign(label=(dice.random(520) < 1 / (1 + np.exp(1 + 2 * level))).astype(float))
    weights = {term.feature: term.weight for term in fit_scorecard(frame, use, target="churn").terms}
    assert weights.pop("days_since_last_call") >= 0
    assert max(weights.values()) <= 0
    assert min(weights.values()) < 0


def test_it_reads_the_core_and_fading_use_alone():
    frame = company()
    card = fit_scorecard(frame.assign(calls_7d=3.0, calls_91d=np.nan), CATALOG, target="churn")
    expected = {f.name for f in CATALOG if "scorecard" in f.readers} - {"calls_7d", "calls_91d"}
    assert set(card.features) == expected
    assert len(expected) == 29


def test_contributions_add_up_to_the_margin_and_are_0_on_average():
    frame = company()
    card = fit_scorecard(frame, CATALOG, target="churn")
    parts = card.contributions(frame)
    assert card.base_margin + parts.sum(axis=1) == pytest.approx(card.margin(frame), abs=1e-12)
    assert parts.mean(axis=0) == pytest.approx(np.zeros(len(card.terms)), abs=1e-12)
    assert card.by_family(parts).sum(axis=1) == pytest.approx(parts.sum(axis=1), abs=1e-12)


def test_what_others_say_moves_no_family():
    frame = company()
    card = fit_scorecard(frame, CATALOG, target="churn")
    before = card.by_family(card.contributions(frame))
    for place, family in enumerate(card.families):
        own = [feature.name for feature in CATALOG if feature.family == family]
        others = frame.drop(columns=[name for name in own if name in frame]).sample(frac=1, random_state=1)
        shuffled = pd.concat([others.reset_index(drop=True), frame[[name for name in own if name in frame]]], axis=1)
        after = card.by_family(card.contributions(shuffled))
        assert (after[:, place] == before[:, place]).all()
        assert (np.delete(after, place, axis=1) != np.delete(before, place, axis=1)).any()


def test_the_same_rows_give_the_same_text_and_the_text_the_same_scores():
    frame = company()
    card = fit_scorecard(frame, CATALOG, target="churn")
    assert fit_scorecard(frame, CATALOG, target="churn").as_json == card.as_json
    again = read_scorecard(card.as_json)
    assert again == card
    assert (again.margin(frame) == card.margin(frame)).all()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[:-9], "This is no scorecard"),
        (lambda text: text.replace('"weight"', '"wait"', 1), r"weight: Field required|wait: Unexpected"),
        (lambda text: text.replace('"knots": [', '"knots": [1e9, ', 1), "knots and ranks do not fit"),
        (lambda _: '{"base_margin": 0.0, "terms": []}', "it has no terms"),
    ],
)
def test_a_text_that_is_no_scorecard_is_refused(change, reason):
    text = fit_scorecard(company(60), [SILENCE], target="churn").as_json
    with pytest.raises(InputError, match=reason):
        read_scorecard(change(text))


def test_features_that_are_missing_or_infinite_are_named():
    frame = company(60)
    card = fit_scorecard(frame, [CALLS, SILENCE], target="churn")
    with pytest.raises(InputError, match="1 features the scorecard reads are missing: calls_28d"):
        card.margin(frame.drop(columns="calls_28d"))
    with pytest.raises(InputError, match="1 features hold infinite values: calls_28d"):
        card.margin(frame.assign(calls_28d=np.inf))


@pytest.mark.parametrize("change", [{"label": 0.0}, {"calls_28d": 5.0}, {"calls_28d": np.nan}])
def test_nothing_to_learn_from_is_said(change):
    with pytest.raises(WorkFailedError, match=r"nothing to learn from: [01] of 1 features differ"):
        fit_scorecard(company(60).assign(**change), [CALLS], target="churn")
