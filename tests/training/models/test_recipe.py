"""Both halves of a model fitted on the same folds, and the model they make, as it is kept and explained."""

from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest

from features.home.home import Home
from training.flow import make_bundle
from training.labels.splits import account_folds
from training.models import bundle as bundles
from training.models.calibrate import logistic_line
from training.models.contest import Incumbent
from training.models.explain import TOLERANCE, by_family, explain
from training.models.model import RANDOM_SPLITS, RECIPE, SCORECARD, Options, Rounds, foretold, out_of_fold
from training.models.recipe import _Trees, fit_recipe
from training.models.scorecard import fit_scorecard
from training.models.stack import BOOSTER_ALONE, Stack
from training.models.verify import load_booster

pytestmark = pytest.mark.slow  # models are trained

BOTH = Stack(0.7, 0.4, 0.1, (0.4, 0.2, 0.6))


@pytest.fixture(scope="module")
def both(small_company, plain):
    """The small company's model as it is when the scorecard counts: its weights and what they were learnt from."""
    dataset, _ = small_company
    learnt = {}

    def weights(*margins, seed):
        learnt["halves"] = margins[:2]
        return BOTH

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.models.recipe.learn_stack", weights)
        model, unseen = fit_recipe(dataset.rows(dataset.cutoffs[:18]), dataset, plain, RECIPE, stage="Fit")
    return model, unseen, learnt["halves"]


def test_both_halves_are_learnt_from_on_the_same_folds_of_accounts(small_company, plain, both):
    dataset, _ = small_company
    rows = dataset.rows(dataset.cutoffs[:18])
    model, unseen, (of_booster, of_scorecard) = both
    options = Options("churn", RECIPE, plain.seed, plain.threads, model.has_random_splits)
    expected = out_of_fold(rows, partial(foretold, features=dataset.features, options=options, rounds=model.rounds))
    assert (of_booster == expected).all()
    part = account_folds(rows["account_id"].to_numpy(dtype=str), rows["label"].to_numpy(dtype=np.float64))
    for number in np.unique(part):
        card = fit_scorecard(rows[part != number], dataset.features, target="churn")
        assert of_scorecard[part == number] == pytest.approx(card.margin(rows[part == number]), abs=1e-12)
    assert unseen == pytest.approx(0.7 * of_booster + 0.4 * of_scorecard + 0.1, abs=1e-12)


def test_calibration_is_of_the_margins_of_both(small_company, both):
    dataset, _ = small_company
    model, unseen, _ = both
    label = dataset.rows(dataset.cutoffs[:18])["label"].to_numpy(dtype=np.float64)
    assert model.calibration.method in ("platt", "intercept")
    _, intercept = logistic_line(unseen, label, fixed_slope=model.calibration.slope)
    assert model.calibration.intercept == pytest.approx(intercept, abs=1e-9)


def test_the_bundle_has_both_halves_and_its_golden_rows_are_theirs(small_company, plain, judged, both, tmp_path):
    dataset, _ = small_company
    model, unseen, _ = both
    rows = dataset.rows(dataset.cutoffs)
    bundle = make_bundle(dataset, judged, model, np.resize(unseen, len(rows)), Home(plain))
    assert set(bundle.features) == {column.feature for column in bundle.columns} | set(model.scorecard.features)
    assert list(bundle.features) == [f.name for f in dataset.features if f.name in bundle.features]
    assert not set(bundle.left_out) & set(bundle.features)
    kept = bundles.read(tmp_path, sha256=bundles.write(bundle, tmp_path))
    golden = pd.DataFrame(dict(kept.golden.features))
    explained = explain(kept, load_booster(kept), model.encoding.matrix(golden), kept.golden.features)
    assert explained.margin == pytest.approx(kept.golden.margins, abs=TOLERANCE)
    _, families = by_family(explained.columns, explained.contributions)
    assert explained.base_margin + families.sum(axis=1) == pytest.approx(kept.golden.margins, abs=TOLERANCE)


def test_a_recipe_of_before_has_no_scorecard_and_is_another(small_company, plain):
    dataset, _ = small_company
    earlier = {name: value for name, value in RECIPE.items() if name != SCORECARD}
    model, _ = fit_recipe(dataset.rows(dataset.cutoffs[:12]), dataset, plain, earlier, stage="Fit")
    assert (model.stack, model.scorecard) == (BOOSTER_ALONE, None)
    assert model.features == model.encoding.features
    assert not Incumbent("4", "churn_v3", earlier).is_recipe("churn_v3", RECIPE)


@pytest.mark.parametrize("is_better", [True, False])
def test_trees_with_random_splits_are_taken_where_they_foretell_unknown_accounts_with_less_loss(
    small_company, plain, monkeypatch, is_better
):
    dataset, _ = small_company
    rows = dataset.rows(dataset.cutoffs[:12])
    boldness = rows["label"].to_numpy(dtype=np.float64) * 4 - 3

    def trees(_rows, _dataset, options, **_):
        is_random = options.has_random_splits
        return _Trees(options, Rounds(5 + is_random, ()), boldness * (1.0 if is_random == is_better else 0.5))

    monkeypatch.setattr("training.models.recipe._trees", trees)
    model, _ = fit_recipe(rows, dataset, plain, RECIPE, stage="Fit")
    assert (model.has_random_splits, model.rounds) == (is_better, 6 if is_better else 5)
    assert ("[extra_trees: 1]" in model.booster.model_to_string()) == is_better
    assert ("Its trees split at drawn values" in model.halves) == is_better
    earlier = {name: value for name, value in RECIPE.items() if name != RANDOM_SPLITS}
    assert not fit_recipe(rows, dataset, plain, earlier, stage="Fit")[0].has_random_splits


def test_where_no_feature_is_for_a_scorecard_the_booster_is_the_model(small_company, plain):
    dataset, _ = small_company
    trees_only = tuple(feature for feature in dataset.features if "scorecard" not in feature.readers)
    own = replace(dataset, features=trees_only)
    model, _ = fit_recipe(own.rows(own.cutoffs[:12]), own, plain, RECIPE, stage="Fit")
    assert model.stack == BOOSTER_ALONE


def test_the_report_says_which_halves_count(registered):
    assert registered.report.halves == "The scorecard adds nothing that could be told from chance and is left out."
    assert registered.bundle.stack.learnt is not None
    assert registered.bundle.scorecard is None
