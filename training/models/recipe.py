"""The whole recipe on some rows: how many rounds, how far to trust the margins, and the fit on all of them."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.progress import Progress, silent
from features.settings.fields import Settings
from training.labels.dataset import Dataset
from training.labels.splits import folds
from training.models.calibrate import calibrate
from training.models.model import RECIPE, Fitted, Options, choose_rounds, encode, fit, out_of_fold

__all__ = ["fit_recipe", "unknown_parameters"]


Floats = npt.NDArray[np.float64]


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
    """The whole recipe on these rows: rounds, calibration, and the refit on all of them.

    Returns the model, and the log-odds of each row by models that do not know its account.

    Raises
    ------
    WorkFailedError
        When the rows are too few, or span too short a time, for one fold.
    """
    cutoffs = [moment.to_pydatetime() for moment in sorted(rows["cutoff"].unique())]
    options = Options(dataset.target.name, parameters, settings.seed, settings.threads)
    in_time = folds(cutoffs, gap_days=dataset.target.closing_days)
    rounds = choose_rounds(rows, in_time, dataset.features, options, progress=progress, stage=stage)
    unseen = out_of_fold(
        rows, dataset.features, options, rounds=rounds, progress=progress, stage=f"{stage}: calibration"
    )
    label = rows["label"].to_numpy(dtype=np.float64)
    calibration = calibrate(
        unseen,
        label,
        pd.factorize(rows["cutoff"])[0],
        positive_accounts=rows.loc[label == 1, "account_id"].nunique(),
    )
    encoding = encode(rows, dataset.features)
    booster = fit(rows, encoding, options, rounds=rounds)
    return Fitted(booster, encoding, calibration, rounds), unseen
