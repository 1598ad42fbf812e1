"""Which verdict a rule gets, and what it foretells where it tells nobody apart."""

import numpy as np
import pandas as pd
import pytest

from features.definitions.catalog import BUILT_IN
from training.judging.gate import Estimate
from training.judging.rule_judge import _ruling
from training.models.fitted_rule import fit_rule_like_a_model, foretold_by_rule
from training.models.rule import CountingRule

SILENCE = CountingRule("days since the last call", BUILT_IN.spec("days_since_last_call"))


@pytest.mark.parametrize(
    ("events", "area", "answer", "reason"),
    [
        (40, Estimate(0.7, 0.6, 0.8), "passes", "shown to rank better than chance on 40 events: ROC-AUC 0.700"),
        (40, Estimate(0.55, 0.45, 0.65), "not_shown", "not shown to rank better than chance on 40 events"),
        (40, Estimate(0.4, 0.3, 0.45), "not_shown", "not shown to rank better than chance"),
        (9, Estimate(0.9, 0.8, 0.95), "not_shown", "9 events can show nothing of it; it takes 10 at least"),
        (0, Estimate(*[float("nan")] * 3), "not_shown", "0 events can show nothing of it"),
        (40, Estimate(*[float("nan")] * 3), "not_shown", "not shown to rank better than chance"),
    ],
)
def test_a_rule_is_shown_or_not_and_never_refused(events, area, answer, reason):
    verdict = _ruling("days since the last call", events, area)
    assert verdict.answer == answer
    assert verdict.reason.startswith('It is the rule "days since the last call"')
    assert reason in verdict.reason


def rows(count: int = 300, *, positives: int = 30) -> pd.DataFrame:
    dice = np.random.default_rng(2)
    days = np.round(dice.exponential(5.0, count))
    label = np.zeros(count)
    label[np.argsort(-days)[: 2 * positives : 2]] = 1.0
    cutoffs = pd.to_datetime(["2026-01-05", "2026-01-12", "2026-01-19"], utc=True)
    return pd.DataFrame(
        {
            "account_id": [f"a{number % 100}" for number in range(count)],
            "cutoff": cutoffs[np.arange(count) % 3],
            "days_since_last_call": days,
            "label": label,
        }
    )


def test_its_probabilities_add_up_to_what_was_observed():
    frame = rows()
    rule, unseen = fit_rule_like_a_model(frame, SILENCE, target="churn")
    assert rule.probability(frame).sum() == pytest.approx(frame["label"].sum(), rel=0.1)
    assert np.corrcoef(unseen, rule.margin(frame))[0, 1] > 0.95
    assert (unseen != rule.margin(frame)).all()


@pytest.mark.parametrize("positives", [1, 2])
def test_one_positive_or_two_are_enough(positives):
    rule, unseen = fit_rule_like_a_model(rows(positives=positives), SILENCE, target="churn")
    assert rule.calibration.method == "none"
    assert np.isfinite(unseen).all()
    assert 0 < rule.probability(rows()).max() < 0.6


def test_where_it_tells_nobody_apart_everybody_has_the_base_rate():
    same = rows().assign(days_since_last_call=3.0)
    assert foretold_by_rule(same, rows(), SILENCE, target="churn").tolist() == [0.1] * 300
