"""The model: one LightGBM booster, held back by monotone constraints, few leaves and large leaves."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.definitions.feature import FeatureSpec
from features.exceptions import WorkFailedError
from features.progress import Progress, silent
from training.labels.splits import Fold, account_folds
from training.models.bundle import OTHER, Calibration, Column
from training.models.history import dated, too_young
from training.models.matrix import design_matrix

__all__ = ["RECIPE", "Encoding", "Fitted", "Options", "choose_rounds", "encode", "fit", "out_of_fold", "rows_per_leaf"]


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

    def telling(self, entries: Mapping[str, date]) -> "Fitted":
        """The same model, which says of a feature the log is too young for from when on it will be read."""
        return replace(self, encoding=replace(self.encoding, left_out=dated(self.encoding.left_out, entries)))


@dataclass(frozen=True)
class Options:
    """What all fits of one model share: target, booster parameters, seed, and threads at most."""

    target: str
    parameters: Mapping[str, float]
    seed: int
    threads: int


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
    null or the same in every row is left out and listed, and so are those that the history is too short for and those
    that are for the scorecard alone.

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
        young = too_young(frame, feature)
        if "booster" not in feature.readers:
            left_out[feature.name] = "trees gain nothing from it"
        elif young is not None:
            left_out[feature.name] = young
        elif not values.notna().any():
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
    trees = sum("booster" in feature.readers for feature in features)
    if not columns:
        raise WorkFailedError(
            f"All {trees} features are null or the same in every fitting row, or known in too few, so there is "
            "nothing to learn from. Look at them with `bellwether features describe` and at the quality report of "
            "`bellwether ingest`."
        )
    used = tuple(feature for feature in features if feature.name not in left_out)
    return Encoding(used, tuple(columns), vocabularies, left_out)


def fit(frame: pd.DataFrame, encoding: Encoding, options: Options, *, rounds: int) -> lgb.Booster:
    """Fit one booster; the same rows, seed and threads give the same model text."""
    return lgb.train(
        _parameters(encoding, options, len(frame)),
        _lgb_dataset(frame, encoding),
        num_boost_round=rounds,
    )


def choose_rounds(
    rows: pd.DataFrame,
    folds: Sequence[Fold],
    features: Sequence[FeatureSpec],
    options: Options,
    *,
    progress: Progress = silent,
    stage: str = "Folds",
) -> int:
    """Number of rounds with the least log loss over the pooled rows that come after what each fold is fitted on.

    Raises
    ------
    WorkFailedError
        When no fold has a positive label on both sides.
    """
    losses: list[Floats] = []
    positives = judged_rows = 0
    for place, fold in enumerate(folds):
        fitted, judged = _rows(rows, fold.fitted), _rows(rows, fold.judged)
        if fitted["label"].sum() and len(judged):
            loss = _traced(fitted, judged, encode(fitted, features), options)
            losses.append(loss * len(judged))
            positives += int(judged["label"].sum())
            judged_rows += len(judged)
        progress(stage, place + 1, len(folds))
    if not positives:
        raise WorkFailedError(
            f"None of the {len(folds)} folds has an event to foretell both among the rows it is fitted on and among "
            "those it is judged on. Load a longer history, or more accounts."
        )
    return int(np.argmin(np.sum(losses, axis=0) / judged_rows)) + 1


def out_of_fold(
    rows: pd.DataFrame,
    features: Sequence[FeatureSpec],
    options: Options,
    *,
    rounds: int,
    progress: Progress = silent,
    stage: str = "Out of fold",
) -> Floats:
    """Log-odds of each row by a model fitted on the same cutoffs of other accounts.

    Each of these models sees four fifths of what the final one sees, so its margins are as bold as the final ones
    will be on accounts it does not know. Folds in time cannot tell that: the gap leaves them a fraction of the
    cutoffs, and the fewer rows, the more a booster exaggerates. Where one account alone has events, nothing can be
    learnt without it, and the model that judges it knows it.
    """
    part = account_folds(rows["account_id"].to_numpy(dtype=str), rows["label"].to_numpy(dtype=np.float64))
    margin = np.empty(len(rows))
    count = int(part.max()) + 1
    for number in range(count):
        fitted, judged = rows[(part != number) | (count == 1)], rows[part == number]
        encoding = encode(fitted, features)
        booster = fit(fitted, encoding, options, rounds=rounds)
        margin[part == number] = booster.predict(encoding.matrix(judged), raw_score=True)
        progress(stage, number + 1, count)
    return margin


def _traced(fitted: pd.DataFrame, judged: pd.DataFrame, encoding: Encoding, options: Options) -> Floats:
    """Log loss on the judged rows after each round of a booster of the most rounds."""
    losses: dict[str, dict[str, list[float]]] = {}
    data = _lgb_dataset(fitted, encoding)
    lgb.train(
        {**_parameters(encoding, options, len(fitted)), "metric": "binary_logloss"},
        data,
        num_boost_round=_MOST_ROUNDS,
        valid_sets=[_lgb_dataset(judged, encoding, reference=data)],
        valid_names=["judged"],
        callbacks=[lgb.record_evaluation(losses)],
    )
    return np.asarray(losses["judged"]["binary_logloss"])


def _parameters(encoding: Encoding, options: Options, rows: int) -> dict[str, object]:
    directions = {feature.name: feature.risk(options.target).monotone for feature in encoding.features}
    return {
        **options.parameters,
        "min_data_in_leaf": rows_per_leaf(rows, options.parameters),
        "objective": "binary",
        "monotone_constraints": [directions[c.feature] if c.value is None else 0 for c in encoding.columns],
        "monotone_constraints_method": "intermediate",
        "deterministic": True,
        "force_row_wise": True,
        "seed": options.seed,
        "num_threads": options.threads if rows >= _ROWS_WORTH_THREADS else 1,
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
