"""Fit on the past and judge once on what came after, beside every rival."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.exceptions import InputError, WorkFailedError, listed
from features.home.home import Home
from features.progress import Progress, silent
from features.settings.fields import Settings
from training.judging.baselines import LOGISTIC, best_rule, known_rule, logistic
from training.judging.evaluate import (
    Judged,
    account_weights,
    calibration_slope,
    compare,
    interval,
    metrics,
    predicted_over_observed,
    roc_auc,
)
from training.judging.gate import verdict
from training.labels.dataset import Dataset
from training.labels.splits import Split, folds, split
from training.labels.targets import Target
from training.models.bundle import Bundle, Comparison, Verdict
from training.models.calibrate import calibrate
from training.models.model import RECIPE, Fitted, Options, choose_rounds, encode, fit, out_of_fold

__all__ = ["Judgement", "call_chance", "distinct_events", "fit_and_judge", "fit_recipe"]


_REPETITIONS = 400
_MOST_WITHOUT_TRUTH = 0.01  # of the rows: a subscription paused without our knowing has no true risk

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """What one judgement found.

    Attributes
    ----------
    model
        Fitted on the fitting cutoffs alone.
    test, probability, scores
        The judged rows, the model's probability of each, and each rival's score.
    metrics
        Headline figures, without rows whose event fell in the lead.
    intervals
        Metric to its account-bootstrap 95 % interval.
    truth
        ROC-AUC of the true risk on the same rows, and the model's share of it; empty without a truth file.
    """

    split: Split
    fold_count: int
    model: Fitted
    test: pd.DataFrame
    probability: Floats
    scores: Mapping[str, Floats]
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    comparisons: tuple[Comparison, ...]
    verdict: Verdict
    truth: Mapping[str, float]


def fit_and_judge(
    dataset: Dataset,
    home: Home,
    *,
    champion: tuple[str, Bundle] | None = None,
    beside: Dataset | None = None,
    truth: pd.DataFrame | None = None,
    progress: Progress = silent,
) -> Judgement:
    """Fit the recipe on the fitting cutoffs and judge it on the test cutoffs.

    ``champion`` is the version and bundle to beat: its recipe is fitted on the same cutoffs. ``beside`` are the same
    rows with the features it reads, where the dataset has not all of them. ``truth`` has ``account_id``, ``cutoff`` and
    the target's ``truth_column``.

    Raises
    ------
    WorkFailedError
        When the history is too short, holds one account, or no label of the fitting span is positive.
    """
    parts = split(dataset.cutoffs, test_share=home.settings.test_share, gap_days=dataset.target.closing_days)
    fitted_rows, test = dataset.rows(parts.fitting), dataset.rows(parts.test).reset_index(drop=True)
    _refuse_empty(dataset, parts, fitted_rows, test)
    risk = None if truth is None else _true_risk(test, truth, dataset.target)
    model, _ = fit_recipe(fitted_rows, dataset, home.settings, RECIPE, progress=progress, stage="Fit the judged model")
    rule = best_rule(fitted_rows, model.encoding.features)
    known, holds = known_rule(dataset.target.name, test)
    regression = logistic(fitted_rows, model.encoding)
    scores = {rule.title: rule.score(test), known: holds, LOGISTIC: regression(test)}
    probabilistic = [LOGISTIC]
    if champion is not None:
        rival = f"champion, version {champion[0]}"
        if beside is None:
            scores[rival] = _champion(champion[1], fitted_rows, dataset, home, model).probability(test)
        else:
            own = beside.rows(parts.fitting)
            fitted, _ = fit_recipe(own, beside, home.settings, champion[1].recipe, stage="Fit the champion's recipe")
            scores[rival] = fitted.probability(beside.rows(parts.test).reset_index(drop=True))
        probabilistic.append(rival)
    probability = model.probability(test)
    accounts, numbers = np.unique(test["account_id"].to_numpy(dtype=str), return_inverse=True)
    rows = Judged(test["label"].to_numpy(dtype=np.float64), numbers.astype(np.int64), len(accounts))
    weights = account_weights(len(accounts), repetitions=_REPETITIONS, seed=home.settings.seed)
    progress("Judge", 0, 2)
    found = metrics(rows, probability, capacity_share=home.settings.capacity_share)
    found |= _recall(dataset.rows(parts.test, with_lead=True), model, home.settings.capacity_share)
    intervals = {
        "calibration_slope": interval(rows, weights, probability, calibration_slope),
        "predicted_over_observed": interval(rows, weights, probability, predicted_over_observed),
        "roc_auc": interval(rows, weights, probability, roc_auc),
    }
    progress("Judge", 1, 2)
    comparisons = tuple(compare(rows, weights, model=probability, rivals=scores, probabilities=probabilistic))
    progress("Judge", 2, 2)
    said = verdict(found, intervals, comparisons, champion=champion[0] if champion else None)
    return Judgement(
        split=parts,
        fold_count=len(folds(parts.fitting, gap_days=dataset.target.closing_days)),
        model=model,
        test=test,
        probability=probability,
        scores=scores,
        metrics=found,
        intervals=intervals,
        comparisons=comparisons,
        verdict=said,
        truth={} if risk is None else _against_truth(rows.label, probability, risk),
    )


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


def distinct_events(rows: pd.DataFrame) -> int:
    """Positives as people count them: distinct (account, event), however many rows look at each."""
    positive = rows[rows["label"] == 1]
    return len(positive[["account_id", "event_time"]].drop_duplicates())


def _champion(champion: Bundle, fitted: pd.DataFrame, dataset: Dataset, home: Home, model: Fitted) -> Fitted:
    """The champion's recipe fitted on the same cutoffs, with the features of its own service.

    The same recipe on the same features gives the same model.
    """
    features = home.catalog.features_of_service(champion.service)
    read = [feature for feature in dataset.features if feature.name in dataset.frame.columns]
    there = {(feature.name, feature.definition) for feature in read}
    missing = [feature.name for feature in features if (feature.name, feature.definition) not in there]
    if missing:
        raise WorkFailedError(
            f"The champion reads {champion.service}, of which {len(missing)} features are not in the rows of "
            f"{dataset.target.service}: {listed(missing)}. They cannot be compared on the same rows."
        )
    if dict(champion.recipe) == dict(RECIPE) and features == dataset.features:
        return model
    own = replace(dataset, features=features)
    return fit_recipe(fitted, own, home.settings, champion.recipe, stage="Fit the champion's recipe")[0]


def _recall(rows: pd.DataFrame, model: Fitted, share: float) -> dict[str, float]:
    """Share of distinct events caught among the highest scores: without and with events in the lead.

    As many rows are called as capacity allows; rows that tie at the edge are called with the chance each of them has,
    so that a model which gives everybody one score catches the share it calls, not everybody.
    """
    probability = model.probability(rows)
    recalls = {}
    for name, used in (
        ("recall_at_capacity", ~rows["in_lead"].to_numpy(dtype=bool)),
        ("recall_at_capacity_with_lead", np.ones(len(rows), dtype=bool)),
    ):
        called = np.zeros(len(rows))
        called[used] = call_chance(probability[used], share)
        events = rows[["account_id", "event_time"]].assign(called=called)[used & rows["event_time"].notna()]
        caught = events.groupby(["account_id", "event_time"])["called"].max()
        recalls[name] = float(caught.mean()) if len(caught) else float("nan")
    return recalls


def call_chance(score: Floats, share: float) -> Floats:
    """Chance of each row to be among the ``share`` highest; equal scores have equal chances.

    >>> call_chance(np.array([0.9, 0.5, 0.5, 0.1]), 0.5).tolist()
    [1.0, 0.5, 0.5, 0.0]
    """
    if not len(score):
        return score
    count = max(1, round(share * len(score)))
    edge = np.partition(score, -count)[-count]
    above, tied = score > edge, score == edge
    chance: Floats = above + tied * (count - above.sum()) / tied.sum()
    return chance


def _true_risk(test: pd.DataFrame, truth: pd.DataFrame, chosen: Target) -> Floats:
    """What nature knew at the cutoff of each row."""
    column = chosen.truth_column
    if column is None or column not in truth.columns:
        raise InputError(f"The truth file holds no true risk of {chosen.name}. Train it without --truth.")
    moments = truth.assign(cutoff=pd.to_datetime(truth["cutoff"], utc=True).astype("datetime64[us, UTC]"))
    risk = test[["account_id", "cutoff"]].merge(
        moments[["account_id", "cutoff", column]], how="left", on=["account_id", "cutoff"], validate="m:1"
    )[column]
    missing = int(risk.isna().sum())
    if missing > _MOST_WITHOUT_TRUTH * len(test):
        raise WorkFailedError(
            f"The truth file lacks {missing} of {len(test)} test rows. Give the one the events were simulated with."
        )
    return risk.to_numpy(dtype=np.float64)


def _against_truth(label: Floats, probability: Floats, risk: Floats) -> dict[str, float]:
    """The true risk ranks the same rows; nobody can rank better but by luck. Rows without one are left aside."""
    has = ~np.isnan(risk)
    best = roc_auc(label[has], risk[has])
    return {"true_risk_roc_auc": best, "share_of_true_risk_roc_auc": roc_auc(label[has], probability[has]) / best}


def _refuse_empty(dataset: Dataset, parts: Split, fitted: pd.DataFrame, test: pd.DataFrame) -> None:
    accounts, events = fitted["account_id"].nunique(), distinct_events(fitted)
    span = f"from {parts.fitting[0]:%Y-%m-%d} to {parts.fitting[-1]:%Y-%m-%d}"
    if accounts < 2:
        raise WorkFailedError(
            f"The {len(fitted)} fitting rows {span} are of {accounts} account(s); ranking takes at least two. "
            "Load more accounts."
        )
    if not events or events == len(fitted):
        lead = int(dataset.rows(parts.fitting, with_lead=True)["in_lead"].sum())
        raise WorkFailedError(
            f"{'No account' if not events else 'Every account'} of {accounts} {dataset.target.happened} in the label "
            f"windows of {len(parts.fitting)} fitting cutoffs {span} ({lead} rows with an event inside the lead are "
            "left out). Load a longer history, or more accounts."
        )
    if test.empty:
        raise WorkFailedError(
            f"The test cutoffs {parts.test[0]:%Y-%m-%d} to {parts.test[-1]:%Y-%m-%d} hold no account of the "
            "population. Load a longer history."
        )
