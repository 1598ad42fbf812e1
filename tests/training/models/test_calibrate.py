"""Margins become probabilities that come true as often as they say."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training.models.calibrate import Later, calibrate, logistic_line


def draws(slope: float, intercept: float, rows: int = 4000):
    generator = np.random.default_rng(3)
    margin = generator.normal(size=rows)
    label = (generator.random(rows) < 1 / (1 + np.exp(-(slope * margin + intercept)))).astype(float)
    return margin, label


def test_the_line_equals_scikit_learn():
    margin, label = draws(1.7, -2.0)
    weight = np.random.default_rng(4).integers(0, 4, len(margin)).astype(float)
    other = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(margin[:, None], label, sample_weight=weight)
    assert logistic_line(margin, label, weight=weight) == pytest.approx(
        (other.coef_[0, 0], other.intercept_[0]), abs=1e-4
    )


ONE_WEEK = np.zeros(4000, dtype=np.int64)


@pytest.mark.parametrize(("accounts", "method"), [(50, "platt"), (49, "intercept"), (10, "intercept"), (9, "none")])
def test_how_much_is_fitted_depends_on_positive_accounts(accounts, method):
    assert calibrate(*draws(1.5, -1.0), ONE_WEEK, positive_accounts=accounts).method == method


def test_slope_and_intercept_are_those_of_platt():
    found = calibrate(*draws(1.5, -1.0), ONE_WEEK, positive_accounts=500)
    assert (found.slope, found.intercept) == pytest.approx(logistic_line(*draws(1.5, -1.0)), rel=1e-4)
    assert (found.slope, found.intercept) == pytest.approx((1.5, -1.0), rel=0.1)


def test_knowing_how_bad_each_week_was_makes_nothing_bolder():
    generator = np.random.default_rng(5)
    week = np.repeat(np.arange(40), 400)
    shock = generator.normal(0, 1.5, 40)[week]
    own = generator.normal(size=len(week))
    label = (generator.random(len(week)) < 1 / (1 + np.exp(-(own + shock - 2)))).astype(float)
    # A model that learnt half of each week's shock from other accounts' labels, and all there is of the account.
    margin = own + 0.5 * shock - 2
    assert logistic_line(margin, label)[0] > 1.1
    assert calibrate(margin, label, week, positive_accounts=500).slope == pytest.approx(1.0, abs=0.06)


def test_a_week_without_an_event_changes_no_slope():
    margin, label = draws(1.5, -1.0)
    longer = np.concatenate([margin, margin[:50]]), np.concatenate([label, np.zeros(50)])
    week = np.concatenate([ONE_WEEK, np.ones(50, dtype=np.int64)])
    found = calibrate(*longer, week, positive_accounts=500)
    assert found.slope == pytest.approx(calibrate(margin, label, ONE_WEEK, positive_accounts=500).slope)


@pytest.mark.parametrize("accounts", [20, 200])
def test_the_mean_probability_of_the_fitting_rows_is_the_base_rate(accounts):
    margin, label = draws(2.0, -3.0)
    found = calibrate(margin, label, ONE_WEEK, positive_accounts=accounts)
    assert found.probability(margin).mean() == pytest.approx(label.mean(), abs=1e-6)


def test_a_slope_that_turns_the_order_around_is_refused():
    margin, label = draws(-1.0, -1.0)
    assert calibrate(margin, label, ONE_WEEK, positive_accounts=500).method == "intercept"


def test_one_class_decides_nothing():
    assert np.isnan(logistic_line(np.arange(5.0), np.zeros(5))).all()


def weeks_of(slope: float, *, weeks: int, later_slope: float, rows: int = 1500):
    """Out-of-fold rows of some weeks, and the later half of them as models of the weeks before foretold it."""
    generator = np.random.default_rng(6)
    week = np.repeat(np.arange(weeks), rows)

    def labelled(margin, times):
        return (generator.random(len(margin)) < 1 / (1 + np.exp(-(times * margin - 2)))).astype(float)

    margin = generator.normal(size=len(week))
    own = generator.normal(size=len(week))
    label, known = labelled(margin, slope), labelled(own, later_slope)
    account = np.arange(len(week))
    later = [
        Later(
            own[week == number], known[week == number], week[week == number], account[week == number], np.arange(number)
        )
        for number in range(weeks // 2, weeks)
    ]
    return (margin, label, week), later


@pytest.mark.parametrize(
    ("slope", "later_slope", "methods"),
    [(1.6, 1.6, {"platt", "platt on later cutoffs"}), (0.6, 1.7, {"platt on later cutoffs"})],
)
def test_what_comes_truest_on_later_cutoffs_is_taken(slope, later_slope, methods):
    rows, later = weeks_of(slope, weeks=6, later_slope=later_slope)
    found = calibrate(*rows, positive_accounts=500, later=later)
    assert found.method in methods
    assert found.slope == pytest.approx(later_slope, rel=0.12)


@pytest.mark.parametrize(("slope", "method"), [(1.6, "platt"), (0.6, "intercept")])
def test_where_later_cutoffs_have_too_few_departures_to_learn_from_two_ways_are_tried(slope, method):
    rows, later = weeks_of(slope, weeks=6, later_slope=max(slope, 1.0))
    few = [replace(block, account=block.account % 49) for block in later]
    assert calibrate(*rows, positive_accounts=500, later=few).method == method


def test_the_least_loss_on_later_cutoffs_decides_however_little_less_it_is():
    rows, later = weeks_of(1.25, weeks=6, later_slope=1.0)
    few = [replace(block, account=block.account % 49) for block in later]
    assert calibrate(*rows, positive_accounts=500, later=few).method == "intercept"


def test_from_few_positive_accounts_no_slope_is_learnt_whatever_comes_later():
    rows, later = weeks_of(1.6, weeks=6, later_slope=1.6)
    assert calibrate(*rows, positive_accounts=49, later=later).method == "intercept"
