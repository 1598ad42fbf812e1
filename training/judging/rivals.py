"""Models that are only printed beside the one that is judged: what a simpler or a freer recipe foretells."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.exceptions import WorkFailedError
from features.settings.fields import Settings
from training.judging.anchor import ANCHOR, anchor
from training.judging.baselines import LOGISTIC, logistic
from training.labels.dataset import Dataset
from training.models.fitted import Fitted
from training.models.model import RECIPE, Options, fit, free_trees
from training.models.scorecard import fit_scorecard

__all__ = ["MODELS", "model_rivals"]


FREE_TREES = "free trees"
SCORECARD = "the scorecard alone"
MODELS = (ANCHOR, LOGISTIC, FREE_TREES, SCORECARD)

Floats = npt.NDArray[np.float64]


def model_rivals(
    fitted: pd.DataFrame, rows: pd.DataFrame, dataset: Dataset, settings: Settings, model: Fitted
) -> Mapping[str, Floats]:
    """What each of :data:`MODELS` foretells of the rows, before calibration, learnt from the fitted ones.

    The blend that a data scientist builds in a day; a logistic regression on the columns of the model; its trees
    without the rule of one family, as many rounds long; and the scorecard. The first and the last are missing where
    nothing they read differs from row to row.
    """
    options = Options(dataset.target.name, free_trees(RECIPE), settings.seed, settings.threads)
    booster = fit(fitted, model.encoding, options, rounds=model.rounds)
    blend = anchor(fitted, rows, seed=settings.seed)
    rivals = {
        **({} if blend is None else {ANCHOR: blend}),
        LOGISTIC: logistic(fitted, model.encoding)(rows),
        FREE_TREES: np.asarray(booster.predict(model.encoding.matrix(rows)), dtype=np.float64),
    }
    try:
        scorecard = fit_scorecard(fitted, dataset.features, target=dataset.target.name)
    except WorkFailedError:
        return rivals
    return rivals | {SCORECARD: 1.0 / (1.0 + np.exp(-scorecard.margin(rows)))}
