"""The whole recipe on some rows: how many rounds, how far to trust the margins, and the fit on all of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.progress import Progress, silent
from features.settings.fields import Settings
from training.labels.dataset import Dataset
from training.labels.splits import folds
from training.models.calibrate import Later, calibrate
from training.models.model import RECIPE, Fitted, Options, choose_rounds, encode, fit, out_of_fold

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
    """The whole recipe on these rows: rounds, calibration, and the refit on all of them.

    Returns the model, and the log-odds of each row by models that do not know its account.

    Raises
    ------
    WorkFailedError
        When there is no event to learn from.
    """
    cutoffs = [moment.to_pydatetime() for moment in sorted(rows["cutoff"].unique())]
    options = Options(dataset.target.name, parameters, settings.seed, settings.threads)
    in_time = folds(cutoffs, gap_days=dataset.target.closing_days)
    chosen = choose_rounds(rows, in_time, dataset.features, options, progress=progress, stage=stage)
    unseen = out_of_fold(
        rows, dataset.features, options, rounds=chosen.count, progress=progress, stage=f"{stage}: calibration"
    )
    label = rows["label"].to_numpy(dtype=np.float64)
    calibration = calibrate(
        unseen,
        label,
        _numbers(rows["cutoff"], rows["cutoff"]),
        positive_accounts=rows.loc[label == 1, "account_id"].nunique(),
        later=[_later(rows, fitted, judged, margin) for fitted, judged, margin in chosen.later],
    )
    encoding = encode(rows, dataset.features)
    booster = fit(rows, encoding, options, rounds=chosen.count)
    return Fitted(booster, encoding, calibration, chosen.count), unseen


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
