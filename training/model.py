"""The model: one LightGBM booster, held back by monotone constraints, few leaves and large leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.catalog import FeatureSpec
from features.exceptions import WorkFailedError
from features.progress import Progress, silent
from training.bundle import OTHER, Calibration, Column, design_matrix
from training.calibrate import calibrate
from training.splits import Fold

__all__ = ["RECIPE", "Encoding", "Fitted", "OutOfFold", "encode", "fit", "out_of_fold", "rows_per_leaf"]

_MOST_VALUES = 12
_MOST_ROUNDS = 400
_ROWS_WORTH_THREADS = 100_000  # below, threads wait for each other longer than they work, above all on a busy machine
_ROWS_PER_LEAF = 100

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Encoding:
    """How features become model columns, learnt from the rows a model is fitted on."""

    features: tuple[FeatureSpec, ...]
    columns: tuple[Column, ...]
    vocabularies: Mapping[str, tuple[str, ...]]
    left_out: Mapping[str, str]

    def matrix(self, frame: pd.DataFrame) -> Floats:
        """Rows by model columns."""
        return design_matrix(
            self.columns,
            {f.name: list(frame[f.name]) if f.kind == "category" else frame[f.name] for f in self.features},
        )


@dataclass(frozen=True)
class OutOfFold:
    """What the folds found: how many rounds, and margins of rows the model had not seen.

    ``margin``, ``label`` and ``account`` have one value per judged row.
    """

    rounds: int
    log_loss: float
    margin: Floats
    label: Floats
    account: npt.NDArray[np.object_]
    calibration: Calibration


@dataclass(frozen=True)
class Fitted:
    """A booster with its encoding and calibration."""

    booster: lgb.Booster
    encoding: Encoding
    calibration: Calibration
    rounds: int

    def margin(self, frame: pd.DataFrame) -> Floats:
        """Log-odds of each row, before calibration."""
        return np.asarray(self.booster.predict(self.encoding.matrix(frame), raw_score=True), dtype=np.float64)

    def probability(self, frame: pd.DataFrame) -> Floats:
        """Calibrated probability of each row."""
        return self.calibration.probability(self.margin(frame))


RECIPE: Mapping[str, float] = {
    "num_leaves": 8,
    "min_data_in_leaf": 100,
    "learning_rate": 0.03,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
}
"""Booster parameters. LightGBM's defaults lose to a logistic regression on the same features."""


def rows_per_leaf(rows: int, parameters: Mapping[str, float]) -> int:
    """Smallest leaf: the recipe's, or a fortieth of the rows where that is less (never under 10)."""
    return int(max(10, min(parameters["min_data_in_leaf"], rows // 40)))


def encode(frame: pd.DataFrame, features: Sequence[FeatureSpec]) -> Encoding:
    """Learn the model columns from fitting rows.

    A category has an indicator for each of its twelve most frequent values and one for all others. A feature that is
    null or the same in every row is left out and listed.

    Raises
    ------
    WorkFailedError
        When no feature is left.
    """
    columns: list[Column] = []
    vocabularies: dict[str, tuple[str, ...]] = {}
    left_out: dict[str, str] = {}
    for feature in features:
        values = frame[feature.name]
        if not values.notna().any():
            left_out[feature.name] = "null in every fitting row"
        elif values.nunique(dropna=False) == 1:
            left_out[feature.name] = "the same in every fitting row"
        elif feature.kind == "category":
            counts = values.value_counts()
            frequent = sorted(counts.index, key=lambda value: (-counts[value], value))[:_MOST_VALUES]
            vocabularies[feature.name] = tuple(frequent)
            columns += [
                Column(_column_name(feature.name, place, value), feature.name, value)
                for place, value in enumerate((*frequent, OTHER))
            ]
        else:
            columns.append(Column(feature.name, feature.name))
    if not columns:
        raise WorkFailedError(
            f"All {len(features)} features are null or the same in every fitting row, so there is nothing to learn "
            "from. Look at them with `bellwether features describe` and at the quality report of `bellwether ingest`."
        )
    used = tuple(feature for feature in features if feature.name not in left_out)
    return Encoding(used, tuple(columns), vocabularies, left_out)


def fit(
    frame: pd.DataFrame,
    encoding: Encoding,
    *,
    target: str,
    rounds: int,
    parameters: Mapping[str, float],
    seed: int,
    threads: int,
) -> lgb.Booster:
    """Fit one booster; the same rows, seed and threads give the same model text."""
    return lgb.train(
        _parameters(encoding, target, parameters, seed, threads, len(frame)),
        _lgb_dataset(frame, encoding),
        num_boost_round=rounds,
    )


def out_of_fold(
    dataset_rows: "pd.DataFrame",
    folds: Sequence[Fold],
    features: Sequence[FeatureSpec],
    *,
    target: str,
    parameters: Mapping[str, float],
    seed: int,
    threads: int,
    progress: Progress = silent,
    stage: str = "Folds",
) -> OutOfFold:
    """Choose the number of rounds and the calibration on rows each fold's model has not seen.

    The number of rounds is the one with the least log loss over the pooled rows of all folds.

    Raises
    ------
    WorkFailedError
        When no fold has a positive label on both sides.
    """
    losses: list[Floats] = []
    staged: list[tuple[lgb.Booster, Encoding, pd.DataFrame]] = []
    for place, fold in enumerate(folds):
        fitted, judged = _rows(dataset_rows, fold.fitted), _rows(dataset_rows, fold.judged)
        if fitted["label"].sum() and len(judged):
            encoding = encode(fitted, features)
            booster, loss = _traced(fitted, judged, encoding, target, parameters, seed, threads)
            losses.append(loss * len(judged))
            staged.append((booster, encoding, judged))
        progress(stage, place + 1, len(folds))
    positives = sum(int(judged["label"].sum()) for _, _, judged in staged)
    if not positives:
        raise WorkFailedError(
            f"None of the {len(folds)} folds has an event to foretell both among the rows it is fitted on and among "
            "those it is judged on. Load a longer history, or more accounts."
        )
    pooled = np.sum(losses, axis=0) / sum(len(judged) for _, _, judged in staged)
    rounds = int(np.argmin(pooled)) + 1
    margin = np.concatenate(
        [np.asarray(b.predict(e.matrix(rows), raw_score=True, num_iteration=rounds)) for b, e, rows in staged]
    )
    label = np.concatenate([rows["label"].to_numpy(dtype=np.float64) for _, _, rows in staged])
    account = np.concatenate([rows["account_id"].to_numpy(dtype=object) for _, _, rows in staged])
    judged_by = np.repeat(np.arange(len(staged), dtype=np.int64), [len(rows) for _, _, rows in staged])
    found = calibrate(margin, label, judged_by, positive_accounts=len(set(account[label == 1])))
    return OutOfFold(rounds, float(pooled[rounds - 1]), margin, label, account, found)


def _traced(
    fitted: pd.DataFrame,
    judged: pd.DataFrame,
    encoding: Encoding,
    target: str,
    parameters: Mapping[str, float],
    seed: int,
    threads: int,
) -> tuple[lgb.Booster, Floats]:
    """A booster of the most rounds, and its log loss on the judged rows after each of them."""
    losses: dict[str, dict[str, list[float]]] = {}
    data = _lgb_dataset(fitted, encoding)
    booster = lgb.train(
        {**_parameters(encoding, target, parameters, seed, threads, len(fitted)), "metric": "binary_logloss"},
        data,
        num_boost_round=_MOST_ROUNDS,
        valid_sets=[_lgb_dataset(judged, encoding, reference=data)],
        valid_names=["judged"],
        callbacks=[lgb.record_evaluation(losses)],
    )
    return booster, np.asarray(losses["judged"]["binary_logloss"])


def _parameters(
    encoding: Encoding, target: str, parameters: Mapping[str, float], seed: int, threads: int, rows: int
) -> dict[str, object]:
    directions = {feature.name: feature.risk(target).monotone for feature in encoding.features}
    return {
        **parameters,
        "min_data_in_leaf": rows_per_leaf(rows, parameters),
        "objective": "binary",
        "monotone_constraints": [directions[c.feature] if c.value is None else 0 for c in encoding.columns],
        "monotone_constraints_method": "intermediate",
        "deterministic": True,
        "force_row_wise": True,
        "seed": seed,
        "num_threads": threads if rows >= _ROWS_WORTH_THREADS else 1,
        "verbosity": -1,
    }


def _lgb_dataset(frame: pd.DataFrame, encoding: Encoding, *, reference: lgb.Dataset | None = None) -> lgb.Dataset:
    return lgb.Dataset(
        encoding.matrix(frame),
        label=frame["label"].to_numpy(dtype=np.float64),
        feature_name=[column.name for column in encoding.columns],
        reference=reference,
        free_raw_data=True,
        params={"verbosity": -1},
    )


def _rows(frame: pd.DataFrame, cutoffs: Sequence[datetime]) -> pd.DataFrame:
    return frame[frame["cutoff"].isin(list(cutoffs))]


def _column_name(feature: str, place: int, value: str) -> str:
    """LightGBM refuses JSON's characters in a name and turns spaces into underscores."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in value)
    return f"{feature}_is_{place}_{plain.strip('_') if value != OTHER else 'other'}"
