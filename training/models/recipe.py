"""The whole recipe on some rows: rounds, the weight of each half, how far to trust the margins, and the fit on all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.exceptions import WorkFailedError
from features.progress import Progress, silent
from features.settings.fields import Settings
from training.labels.dataset import Dataset
from training.labels.splits import folds
from training.models.calibrate import Later, calibrate
from training.models.fitted import Fitted
from training.models.model import (
    RANDOM_SPLITS,
    RECIPE,
    SCORECARD,
    Options,
    Rounds,
    choose_rounds,
    encode,
    fit,
    foretold,
    out_of_fold,
)
from training.models.scorecard import fit_scorecard
from training.models.stack import BOOSTER_ALONE, Stack
from training.models.weights import learn_stack

__all__ = ["fit_recipe", "unknown_parameters"]


Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def unknown_parameters(parameters: Mapping[str, float]) -> list[str]:
    """Parameters of a recipe that nothing here knows: a later version's. LightGBM would leave them aside in silence."""
    return sorted(set(parameters) - set(RECIPE))


def fit_recipe(
    rows: pd.DataFrame,
    dataset: Dataset,
    settings: Settings,
    parameters: Mapping[str, float],
    *,
    progress: Progress = silent,
    stage: str,
) -> tuple[Fitted, Floats]:
    """The whole recipe on these rows: rounds, weights, calibration, and the refit on all of them.

    Returns the model, and the log-odds of each row by models that do not know its account.

    Raises
    ------
    WorkFailedError
        When there is no event to learn from.
    """
    options = Options(dataset.target.name, parameters, settings.seed, settings.threads)
    label = rows["label"].to_numpy(dtype=np.float64)
    trees = _trees(rows, dataset, options, progress=progress, stage=stage)
    if parameters.get(RANDOM_SPLITS):
        others = _trees(rows, dataset, replace(options, has_random_splits=True), progress=progress, stage=stage)
        trees = min(trees, others, key=lambda tried: _loss(tried.unseen, label))
    of_booster, rounds = trees.unseen, trees.rounds
    of_scorecard = _scorecard_out_of_fold(rows, dataset) if parameters.get(SCORECARD) else None
    stack = BOOSTER_ALONE
    if of_scorecard is not None:
        cutoff, account = _numbers(rows["cutoff"], rows["cutoff"]), _numbers(rows["account_id"], rows["account_id"])
        stack = learn_stack(of_booster, of_scorecard, label, cutoff, account, seed=settings.seed)
    unseen = stack.margin(of_booster, of_scorecard)
    calibration = calibrate(
        unseen,
        label,
        _numbers(rows["cutoff"], rows["cutoff"]),
        positive_accounts=rows.loc[label == 1, "account_id"].nunique(),
        later=list(_later_blocks(rows, rounds.later, dataset, stack)),
    )
    encoding = encode(rows, dataset.features)
    booster = fit(rows, encoding, trees.options, rounds=rounds.count)
    model = Fitted(
        booster,
        encoding,
        calibration,
        rounds.count,
        encoding.features,
        stack,
        has_random_splits=trees.options.has_random_splits,
    )
    return _with_scorecard(model, rows, dataset) if stack.has_scorecard else model, unseen


@dataclass(frozen=True)
class _Trees:
    """One kind of trees: how many rounds, and the log-odds of each row by boosters that do not know its account."""

    options: Options
    rounds: Rounds
    unseen: Floats


def _trees(rows: pd.DataFrame, dataset: Dataset, options: Options, *, progress: Progress, stage: str) -> _Trees:
    cutoffs = [moment.to_pydatetime() for moment in sorted(rows["cutoff"].unique())]
    in_time = folds(cutoffs, gap_days=dataset.target.closing_days)
    rounds = choose_rounds(rows, in_time, dataset.features, options, progress=progress, stage=stage)
    unseen = out_of_fold(
        rows,
        partial(foretold, features=dataset.features, options=options, rounds=rounds.count),
        progress=progress,
        stage=f"{stage}: calibration",
    )
    return _Trees(options, rounds, unseen)


def _loss(margin: Floats, label: Floats) -> float:
    """Log loss of these log-odds."""
    return float(np.logaddexp(0.0, margin).sum() - label @ margin)


def _scorecard_out_of_fold(rows: pd.DataFrame, dataset: Dataset) -> Floats | None:
    """Log-odds of each row by a scorecard of the other accounts; None where one of these has nothing to learn from."""
    try:
        return out_of_fold(rows, partial(_by_scorecard, dataset=dataset))
    except WorkFailedError:
        return None


def _by_scorecard(fitted: pd.DataFrame, judged: pd.DataFrame, dataset: Dataset) -> Floats:
    """Log-odds of the judged rows by a scorecard of the fitted ones."""
    return fit_scorecard(fitted, dataset.features, target=dataset.target.name).margin(judged)


def _later_blocks(
    rows: pd.DataFrame, blocks: Sequence[tuple[pd.DataFrame, pd.DataFrame, Floats]], dataset: Dataset, stack: Stack
) -> Iterator[Later]:
    """Later cutoffs as both halves foretold them; a block before which no scorecard could be learnt is left out."""
    for fitted, judged, of_booster in blocks:
        try:
            of_scorecard = _by_scorecard(fitted, judged, dataset) if stack.has_scorecard else None
        except WorkFailedError:
            continue
        yield _later(rows, fitted, judged, stack.margin(of_booster, of_scorecard))


def _with_scorecard(model: Fitted, rows: pd.DataFrame, dataset: Dataset) -> Fitted:
    """The model with a scorecard of all rows, which reads features of its own beside the booster's."""
    scorecard = fit_scorecard(rows, dataset.features, target=dataset.target.name)
    read = {feature.name for feature in model.encoding.features} | set(scorecard.features)
    features = tuple(feature for feature in dataset.features if feature.name in read)
    return replace(model, features=features, scorecard=scorecard)


def _later(rows: pd.DataFrame, fitted: pd.DataFrame, judged: pd.DataFrame, margin: Floats) -> Later:
    return Later(
        margin,
        judged["label"].to_numpy(dtype=np.float64),
        _numbers(judged["cutoff"], rows["cutoff"]),
        _numbers(judged["account_id"], rows["account_id"]),
        np.unique(_numbers(fitted["cutoff"], rows["cutoff"])),
    )


def _numbers(values: "pd.Series[Any]", everything: "pd.Series[Any]") -> Integers:
    """The place of each value among all there are, ascending."""
    return np.searchsorted(np.sort(everything.unique()), values.to_numpy()).astype(np.int64)
