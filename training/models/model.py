"""The model: a LightGBM booster whose trees ask about one family each, held back by directions and large leaves."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import lightgbm as lgb
import numpy as np
import numpy.typing as npt
import pandas as pd

from features.definitions.feature import FeatureSpec
from features.exceptions import WorkFailedError
from features.progress import Progress, silent
from training.labels.splits import Fold, account_folds
from training.models.bundle import OTHER, Column
from training.models.history import too_young
from training.models.matrix import design_matrix

__all__ = [
    "RANDOM_SPLITS",
    "RECIPE",
    "SCORECARD",
    "Encoding",
    "Options",
    "Rounds",
    "choose_rounds",
    "encode",
    "fit",
    "foretold",
    "free_trees",
    "out_of_fold",
    "rows_per_leaf",
]


_MOST_VALUES = 12
_MOST_ROUNDS = 400
_PATIENCE = 100  # rounds without a smaller loss, after which none is looked for
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
class Options:
    """What all fits of one model share: target, booster parameters, seed, and threads at most.

    ``has_random_splits`` says whether trees draw the value they split a feature at, and take the best of the features
    (LightGBM's ``extra_trees``), where else they take the best value of each.
    """

    target: str
    parameters: Mapping[str, float]
    seed: int
    threads: int
    has_random_splits: bool = False


RECIPE: Mapping[str, float] = {
    "num_leaves": 8,
    "min_data_in_leaf": 100,
    "learning_rate": 0.03,
    "feature_fraction": 0.5,
    "lambda_l2": 5.0,
    "one_family_per_tree": 1,
    "scorecard": 1,
    "random_splits": 1,
}
"""Booster parameters, and what is ours. LightGBM's defaults lose to a logistic regression on the same features.

``one_family_per_tree`` is ours: the margin is then a sum of functions of one family each, so that what a family
contributes is exact and the same whatever the others say. Measured on seven worlds it costs nothing (ROC-AUC between
+0.009 and -0.003 against free trees). A recipe without it, as those up to version 0.2, has free trees.
``scorecard``: a scorecard is fitted beside the trees and joins them where its weight can be told from chance.
``random_splits``: trees that split at drawn values are tried beside them, and taken where they foretell accounts they
do not know with less loss.
"""

_ONE_FAMILY = "one_family_per_tree"
SCORECARD, RANDOM_SPLITS = "scorecard", "random_splits"
_OURS = (_ONE_FAMILY, SCORECARD, RANDOM_SPLITS)


def free_trees(parameters: Mapping[str, float]) -> dict[str, float]:
    """The booster's own parameters: the recipe's trees alone, which may ask about several families."""
    return {name: value for name, value in parameters.items() if name not in _OURS}


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
        _lgb_dataset(frame, encoding, threads=_threads(options, len(frame))),
        num_boost_round=rounds,
    )


@dataclass(frozen=True)
class Rounds:
    """How many rounds a booster has, and what the folds in time foretold with as many.

    ``later`` holds, oldest first, the rows each fold was fitted on, those it judged, and their log-odds; empty where
    there was no fold in time.
    """

    count: int
    later: tuple[tuple[pd.DataFrame, pd.DataFrame, Floats], ...]


def choose_rounds(
    rows: pd.DataFrame,
    folds: Sequence[Fold],
    features: Sequence[FeatureSpec],
    options: Options,
    *,
    progress: Progress = silent,
    stage: str = "Folds",
) -> Rounds:
    """The number of rounds with the least log loss over the pooled rows that come after what each fold is fitted on.

    Where no fold in time has a positive label on both sides, as in a short history, folds of accounts take their place.

    Raises
    ------
    WorkFailedError
        When these have none either.
    """
    in_time = _telling((_rows(rows, fold.fitted), _rows(rows, fold.judged)) for fold in folds)
    pairs = in_time or _telling(_across_accounts(rows))
    if not pairs:
        raise WorkFailedError(
            f"None of the {len(folds)} folds has an event to foretell both among the rows it is fitted on and among "
            "those it is judged on. Load a longer history, or more accounts."
        )
    encodings = [encode(fitted, features) for fitted, _ in pairs]
    traced = [_traced(*pair, encoding, options) for pair, encoding in zip(pairs, encodings, strict=True)]
    sizes = [len(judged) for _, judged in pairs]
    losses: list[float] = []
    while len(losses) < _MOST_ROUNDS and len(losses) - int(np.argmin(losses or [0.0])) <= _PATIENCE:
        losses.append(sum(_one_round(booster) * size for booster, size in zip(traced, sizes, strict=True)))
        progress(stage, len(losses), _MOST_ROUNDS)
    progress(stage, _MOST_ROUNDS, _MOST_ROUNDS)
    best = int(np.argmin(losses)) + 1
    if not in_time:
        return Rounds(best, ())
    later = (
        (fitted, judged, _margin(booster, encoding, judged, rounds=best))
        for (fitted, judged), booster, encoding in zip(pairs, traced, encodings, strict=True)
    )
    return Rounds(best, tuple(later))


def _margin(booster: lgb.Booster, encoding: Encoding, rows: pd.DataFrame, *, rounds: int) -> Floats:
    return np.asarray(booster.predict(encoding.matrix(rows), raw_score=True, num_iteration=rounds), dtype=np.float64)


def out_of_fold(
    rows: pd.DataFrame,
    foretell: Callable[[pd.DataFrame, pd.DataFrame], Floats],
    *,
    progress: Progress = silent,
    stage: str = "Out of fold",
) -> Floats:
    """Log-odds of each row by a model fitted on the same cutoffs of other accounts: ``foretell(fitted, judged)``.

    Each of these models sees four fifths of what the final one sees, so its margins are as bold as the final ones
    will be on accounts it does not know. Folds in time cannot tell that: the gap leaves them a fraction of the
    cutoffs, and the fewer rows, the more a booster exaggerates. Where one account alone has events, nothing can be
    learnt without it, and the model that judges it knows it.
    """
    part = account_folds(rows["account_id"].to_numpy(dtype=str), rows["label"].to_numpy(dtype=np.float64))
    margin = np.empty(len(rows))
    count = int(part.max()) + 1
    for number in range(count):
        margin[part == number] = foretell(rows[(part != number) | (count == 1)], rows[part == number])
        progress(stage, number + 1, count)
    return margin


def foretold(
    fitted: pd.DataFrame, judged: pd.DataFrame, features: Sequence[FeatureSpec], options: Options, *, rounds: int
) -> Floats:
    """Log-odds of the judged rows by a booster of the fitted ones."""
    encoding = encode(fitted, features)
    return _margin(fit(fitted, encoding, options, rounds=rounds), encoding, judged, rounds=rounds)


def _telling(pairs: Iterable[tuple[pd.DataFrame, pd.DataFrame]]) -> list[tuple[pd.DataFrame, pd.DataFrame]]:
    """The pairs with an event to learn from and rows to judge; none of them where nothing they judge is positive."""
    telling = [(fitted, judged) for fitted, judged in pairs if fitted["label"].sum() and len(judged)]
    return telling if any(judged["label"].any() for _, judged in telling) else []


def _across_accounts(rows: pd.DataFrame) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    part = account_folds(rows["account_id"].to_numpy(dtype=str), rows["label"].to_numpy(dtype=np.float64))
    for number in range(int(part.max()) + 1):
        yield rows[part != number], rows[part == number]


def _traced(fitted: pd.DataFrame, judged: pd.DataFrame, encoding: Encoding, options: Options) -> lgb.Booster:
    """A booster without a round yet, that knows the rows it will be judged on."""
    threads = _threads(options, len(fitted))
    data = _lgb_dataset(fitted, encoding, threads=threads)
    booster = lgb.Booster({**_parameters(encoding, options, len(fitted)), "metric": "binary_logloss"}, data)
    booster.add_valid(_lgb_dataset(judged, encoding, threads=threads, reference=data), "judged")
    return booster


def _one_round(booster: lgb.Booster) -> float:
    """Log loss on the judged rows after one more round."""
    booster.update()
    ((_, _, loss, _),) = booster.eval_valid()
    return float(loss)


def _parameters(encoding: Encoding, options: Options, rows: int) -> dict[str, object]:
    directions = {feature.name: feature.risk(options.target).monotone for feature in encoding.features}
    return {
        **free_trees(options.parameters),
        **({"interaction_constraints": _families(encoding)} if options.parameters.get(_ONE_FAMILY) else {}),
        "min_data_in_leaf": rows_per_leaf(rows, options.parameters),
        "objective": "binary",
        "extra_trees": options.has_random_splits,
        "monotone_constraints": [directions[c.feature] if c.value is None else 0 for c in encoding.columns],
        "monotone_constraints_method": "intermediate",
        "deterministic": True,
        "force_row_wise": True,
        "seed": options.seed,
        "num_threads": _threads(options, rows),
        "verbosity": -1,
    }


def _threads(options: Options, rows: int) -> int:
    return options.threads if rows >= _ROWS_WORTH_THREADS else 1


def _families(encoding: Encoding) -> list[list[int]]:
    """Places of the columns of each family: a tree that begins with one goes on with the same."""
    family_of = {feature.name: feature.family for feature in encoding.features}
    places: dict[str, list[int]] = {}
    for place, column in enumerate(encoding.columns):
        places.setdefault(family_of[column.feature], []).append(place)
    return list(places.values())


def _lgb_dataset(
    frame: pd.DataFrame, encoding: Encoding, *, threads: int, reference: lgb.Dataset | None = None
) -> lgb.Dataset:
    # LightGBM's number of threads is one for the process: a data set that names none sets it back for every booster.
    return lgb.Dataset(
        encoding.matrix(frame),
        label=frame["label"].to_numpy(dtype=np.float64),
        feature_name=[column.name for column in encoding.columns],
        reference=reference,
        free_raw_data=True,
        params={"verbosity": -1, "num_threads": threads},
    )


def _rows(frame: pd.DataFrame, cutoffs: Sequence[datetime]) -> pd.DataFrame:
    return frame[frame["cutoff"].isin(list(cutoffs))]


def _column_name(feature: str, place: int, value: str) -> str:
    """LightGBM refuses JSON's characters in a name and turns spaces into underscores."""
    plain = "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._-") else "_" for letter in value)
    return f"{feature}_is_{place}_{plain.strip('_') if value != OTHER else 'other'}"
