"""Figures equal those of scikit-learn, and resampling accounts equals repeating their rows."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, log_loss, roc_auc_score

from training.judging.evaluate import (
    Judged,
    account_weights,
    compare,
    expected_calibration_error,
    metrics,
    pr_auc,
    roc_auc,
)


def judged(rows: int = 600, accounts: int = 80):
    generator = np.random.default_rng(5)
    chance = np.round(generator.beta(1, 8, rows), 2)  # rounded: ties
    label = (generator.random(rows) < chance).astype(float)
    return Judged(label, generator.integers(0, accounts, rows), accounts), chance


def test_areas_equal_scikit_learn_with_weights_and_ties():
    rows, chance = judged()
    weight = np.random.default_rng(6).integers(0, 3, len(chance)).astype(float)
    assert roc_auc(rows.label, chance, weight) == pytest.approx(
        roc_auc_score(rows.label, chance, sample_weight=weight), abs=1e-12
    )
    assert pr_auc(rows.label, chance, weight) == pytest.approx(
        average_precision_score(rows.label, chance, sample_weight=weight), abs=1e-12
    )


def test_metrics_of_a_table_one_can_count():
    label = np.array([1.0, 0, 0, 0, 1, 0, 0, 0, 0, 0])
    chance = np.array([0.9, 0.8, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1])
    found = metrics(Judged(label, np.arange(10), 10), chance, capacity_share=0.2)
    assert found["precision_at_capacity"] == 0.5
    assert found["lift_at_capacity"] == pytest.approx(2.5)
    assert found["predicted_over_observed"] == pytest.approx(2.5 / 2)
    assert found["brier"] == pytest.approx((0.01 + 0.64 + 7 * 0.01 + 0.81) / 10)
    assert found["log_loss"] == pytest.approx(log_loss(label, chance))


def test_ties_at_the_edge_of_capacity_count_with_their_mean():
    label = np.array([1.0, 0, 0, 0])
    found = metrics(Judged(label, np.arange(4), 4), np.full(4, 0.3), capacity_share=0.5)
    assert found["precision_at_capacity"] == 0.25


def test_calibration_error_of_two_groups():
    label = np.repeat([0.0, 1.0], 50)
    assert expected_calibration_error(label, np.repeat([0.1, 0.7], 50)) == pytest.approx((0.1 + 0.3) / 2)


def test_weights_draw_as_many_accounts_as_there_are_and_repeat_with_the_seed():
    weights = account_weights(30, repetitions=5, seed=1)
    assert (weights.sum(axis=1) == 30).all()
    assert (weights == account_weights(30, repetitions=5, seed=1)).all()


def test_a_model_against_itself_differs_by_nothing():
    rows, chance = judged()
    found = compare(rows, account_weights(80, repetitions=50, seed=1), model=chance, rivals={"twin": chance})
    assert {(row.difference, row.low, row.high) for row in found} == {(0.0, 0.0, 0.0)}


def test_an_interval_covers_the_resampled_rows():
    rows, chance = judged()
    noise = np.random.default_rng(7).random(len(chance))
    weights = account_weights(80, repetitions=60, seed=2)
    row = compare(rows, weights, model=chance, rivals={"noise": noise})[0]
    drawn = []
    for weight in weights:  # the slow way: repeat each account's rows as often as it was drawn
        places = np.repeat(np.arange(len(chance)), weight[rows.account].astype(int))
        drawn.append(
            roc_auc_score(rows.label[places], chance[places]) - roc_auc_score(rows.label[places], noise[places])
        )
    assert (row.low, row.high) == pytest.approx(tuple(np.percentile(drawn, [2.5, 97.5])), abs=1e-12)


def test_a_smaller_log_loss_counts_for_the_model():
    rows, chance = judged()
    found = compare(
        rows,
        account_weights(80, repetitions=20, seed=1),
        model=chance,
        rivals={"flat": np.full(len(chance), 0.5)},
        probabilities=["flat"],
    )
    assert next(row for row in found if row.metric == "log_loss").difference > 0
