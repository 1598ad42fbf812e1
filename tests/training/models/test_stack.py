"""The weights of booster and scorecard, on margins whose worth is known."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from training.models.stack import BOOSTER_ALONE, Stack
from training.models.weights import learn_stack


def margins(
    *, seed: int = 0, accounts: int = 400, cutoffs: int = 10, worth: tuple[float, float] = (0.8, 0.6)
) -> dict[str, Any]:
    """Two halves that know different things, and labels that follow both by their worth; bad weeks among good ones."""
    dice = np.random.default_rng(seed)
    account = np.repeat(np.arange(accounts), cutoffs)
    cutoff = np.tile(np.arange(cutoffs), accounts)
    both = dice.normal(size=accounts)[account]
    booster = both + 0.7 * dice.normal(size=len(account)) - 2
    scorecard = both + 0.7 * dice.normal(size=len(account)) - 2
    margin = worth[0] * booster + worth[1] * scorecard + np.linspace(-1, 1, cutoffs)[cutoff]
    label = (dice.random(len(account)) < 1 / (1 + np.exp(-margin))).astype(float)
    return {"booster": booster, "scorecard": scorecard, "label": label, "cutoff": cutoff, "account": account}


def test_the_weights_are_those_labels_were_made_with():
    stack = learn_stack(**margins(accounts=4000), seed=1)
    assert stack.has_scorecard
    assert (stack.booster, stack.scorecard) == pytest.approx((0.8 / 1.4, 0.6 / 1.4), abs=0.03)
    weight, low, high = stack.learnt
    assert weight == pytest.approx(0.6, abs=0.06)
    assert low < 0.6 < high
    assert 0.05 < high - low < 0.2


def test_they_are_the_regression_with_an_intercept_per_cutoff():
    rows = margins()
    stack = learn_stack(**rows, seed=1)
    cutoffs = rows["cutoff"][:, None] == np.unique(rows["cutoff"])
    design = np.column_stack([rows["booster"], rows["scorecard"], cutoffs])
    model = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky", tol=1e-10)
    model.fit(design, rows["label"])
    first, second = model.coef_[0, :2]
    assert stack.learnt[0] == pytest.approx(second, abs=1e-6)
    assert stack.booster / stack.scorecard == pytest.approx(first / second, abs=1e-6)
    assert stack.booster + stack.scorecard == pytest.approx(1)


def test_the_margin_is_as_high_as_the_labels_say():
    rows = margins()
    stack = learn_stack(**rows, seed=1)
    chance = 1 / (1 + np.exp(-stack.margin(rows["booster"], rows["scorecard"])))
    assert chance.mean() == pytest.approx(rows["label"].mean(), abs=1e-6)


def test_the_interval_is_that_of_accounts_drawn_anew():
    rows = margins(accounts=150, cutoffs=4)
    _, low, high = learn_stack(**rows, seed=1).learnt
    dice = np.random.default_rng(2)
    weights = []
    for _ in range(200):
        drawn = dice.integers(150, size=150)
        places = (drawn[:, None] * 4 + np.arange(4)).ravel()
        design = np.column_stack([rows["booster"], rows["scorecard"], rows["cutoff"][:, None] == np.arange(4)])[places]
        model = LogisticRegression(C=np.inf, fit_intercept=False, solver="newton-cholesky")
        weights.append(max(0.0, float(model.fit(design, rows["label"][places]).coef_[0, 1])))
    expected = np.quantile(weights, [0.025, 0.975])
    assert (low, high) == pytest.approx(tuple(expected), abs=0.12)
    assert high - low == pytest.approx(expected[1] - expected[0], rel=0.2)


def test_rows_of_one_account_that_say_the_same_make_nothing_more_certain():
    rows = margins(accounts=150, cutoffs=4)
    _, low, high = learn_stack(**rows, seed=1).learnt
    again = {name: np.concatenate([values] * 5) for name, values in rows.items()}
    assert learn_stack(**again, seed=1).learnt[1:] == pytest.approx((low, high), abs=1e-6)


@pytest.mark.parametrize("worth", [0.0, -0.5])
def test_a_scorecard_that_adds_nothing_leaves_the_booster_as_it_is(worth):
    rows = margins(worth=(1.0, worth))
    stack = learn_stack(**rows, seed=1)
    assert (stack.booster, stack.scorecard, stack.intercept) == (1, 0, 0)
    weight, low, _ = stack.learnt
    assert weight >= low == 0
    assert (stack.margin(rows["booster"], None) == rows["booster"]).all()
    assert stack.in_words == "The scorecard adds nothing that could be told from chance and is left out."


def test_a_little_worth_is_told_only_from_enough_accounts():
    few, many = (learn_stack(**margins(accounts=n, worth=(1, 0.25)), seed=1) for n in (60, 4000))
    assert not few.has_scorecard
    assert many.has_scorecard
    assert few.learnt[0] > 0


def test_a_booster_worth_less_than_nothing_gets_no_weight():
    rows = margins(worth=(-0.5, 1.0))
    stack = learn_stack(**rows, seed=1)
    assert stack.booster == 0
    assert stack.scorecard > 0.5


def test_neither_is_worth_anything():
    stack = learn_stack(**margins(worth=(-0.5, -0.5)), seed=1)
    assert stack.learnt[0] == 0
    assert stack == Stack(1.0, 0.0, 0.0, stack.learnt)


def test_knowing_which_weeks_were_bad_earns_no_weight():
    dice = np.random.default_rng(0)
    rows = margins(worth=(1.0, 0.0))
    tells_weeks = np.linspace(-1, 1, 10)[rows["cutoff"]] + 0.1 * dice.normal(size=len(rows["label"]))
    stack = learn_stack(**{**rows, "scorecard": tells_weeks}, seed=1)
    assert not stack.has_scorecard


def test_halves_that_say_the_same_can_be_weighed():
    rows = margins(worth=(1.0, 0.0))
    stack = learn_stack(**{**rows, "scorecard": rows["booster"]}, seed=1)
    assert np.isfinite([stack.booster, stack.scorecard]).all()


@pytest.mark.parametrize(
    "change",
    [
        {"label": lambda rows: (rows["account"] < 9) & (rows["cutoff"] == 3)},  # nine accounts
        {"label": lambda rows: rows["cutoff"] == 3},  # every account, in one week
        {"label": lambda rows: rows["booster"] > -2},  # the booster knows the label
    ],
)
def test_what_cannot_be_learnt_is_the_booster_alone(change):
    rows = margins()
    rows |= {name: value(rows).astype(float) for name, value in change.items()}
    assert learn_stack(**rows, seed=1) == BOOSTER_ALONE
    assert BOOSTER_ALONE.in_words.startswith("The scorecard is left out: too few accounts")


def test_the_same_rows_and_seed_give_the_same_weights():
    assert learn_stack(**margins(), seed=1) == learn_stack(**margins(), seed=1)


def test_what_counts_is_said_in_words():
    stack = Stack(0.33, 0.67, 0.0, (0.76, 0.36, 1.1))
    assert stack.in_words == (
        "The scorecard makes 67 % of the score, the trees 33 %: its weight, 0.76, is told from chance (95 % interval "
        "0.36 to 1.10)."
    )
