"""What keeps a model from promotion, and what is only said."""

import pytest

from training.judging.gate import verdict
from training.models.bundle import Comparison

GOOD = {"base_rate": 0.03, "calibration_slope": 1.0, "predicted_over_observed": 1.0, "ece": 0.01}
WIDE = {"calibration_slope": (0.7, 1.4), "predicted_over_observed": (0.8, 1.2)}


def against(low: float, high: float) -> Comparison:
    return Comparison("rule", "roc_auc", 0.8, 0.7, (low + high) / 2, low, high)


def test_a_rule_beaten_a_rule_not_shown_to_be_beaten_and_a_better_rule():
    assert verdict(GOOD, WIDE, [against(0.01, 0.2)], champion=None).remarks[0].startswith("Beats the rule")
    spans = verdict(GOOD, WIDE, [against(-0.01, 0.2)], champion=None)
    assert spans.refusals == ()
    assert spans.remarks[0].startswith("Not shown to beat the rule")
    assert (
        verdict(GOOD, WIDE, [against(-0.2, -0.01)], champion=None).refusals[0].startswith("It is worse than the rule")
    )


@pytest.mark.parametrize(
    ("metrics", "intervals", "text"),
    [
        ({"base_rate": 0.0}, {}, "none of the events to foretell"),
        ({"calibration_slope": 0.5}, {"calibration_slope": (0.3, 0.79)}, "calibration slope is 0.500"),
        ({"predicted_over_observed": 2.0}, {"predicted_over_observed": (1.16, 3.0)}, "predicted over observed"),
        ({"ece": 0.11}, {}, "expected calibration error is 0.110"),
        ({"ece": float("nan")}, {}, "expected calibration error is nan"),
    ],
)
def test_refusals(metrics, intervals, text):
    assert text in " ".join(verdict(GOOD | metrics, WIDE | intervals, [], champion=None).refusals)


def test_a_figure_out_of_bounds_within_its_noise_is_said():
    said = verdict(GOOD | {"calibration_slope": 1.3}, WIDE, [], champion=None)
    assert said.refusals == ()
    assert "not shown to hold" in said.remarks[0]


@pytest.mark.parametrize("metric", ["roc_auc", "pr_auc", "log_loss"])
def test_any_metric_wholly_below_the_champion_refuses_and_only_ranking_below_a_rule(metric):
    def said(rival):
        return verdict(GOOD, WIDE, [Comparison(rival, metric, 0.7, 0.8, -0.1, -0.2, -0.01)], champion="1")

    assert said("champion, version 1").refusals[0].startswith("It is worse than the champion, version 1")
    assert bool(said("logistic regression").refusals) == (metric == "roc_auc")
    assert "worse" in " ".join((*said("logistic regression").refusals, *said("logistic regression").remarks))


def test_what_could_not_be_measured_is_refused():
    nan = float("nan")
    unmeasured = verdict(GOOD, WIDE, [Comparison("rule", "roc_auc", 0.7, nan, nan, nan, nan)], champion=None)
    assert "rule could not be measured" in unmeasured.refusals[0]
    loose = verdict(GOOD, WIDE | {"calibration_slope": (nan, 1.0)}, [], champion=None)
    assert "Calibration could not be measured" in loose.refusals[0]
