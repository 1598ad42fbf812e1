"""Train one target from start to end: dataset, judgement, refit on everything, bundle, registry."""

import platform
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.exceptions import InputError, WorkFailedError
from features.home.home import Home
from features.progress import Progress, silent
from features.settings.fields import Settings
from features.storage.passing import passing_folder
from features.version import bellwether_version
from features.windows import require_utc
from training.judging.judge import Judgement, distinct_events, fit_and_judge
from training.judging.recent_callers import with_recent_callers
from training.judging.report import write_report
from training.labels.dataset import Dataset, load, with_features_of
from training.labels.excluded import Excluded, nothing_left
from training.labels.left_out import IN_LEAD, LEFT_OUT
from training.labels.targets import Target, target
from training.models import bundle as bundles
from training.models.bands import BandRate, band_of, bands_of, rates_of
from training.models.bundle import Bundle, Comparison, Golden, Verdict
from training.models.fitted import Fitted
from training.models.history import entry_dates
from training.models.model import RECIPE, rows_per_leaf
from training.models.out_of_time import as_parquet
from training.models.recipe import fit_recipe
from training.registry import registry
from training.registry.contests import contest_of
from training.registry.mlflow_client import ui_command
from training.watching.drift import baseline_of

__all__ = ["TrainReport", "make_bundle", "train", "train_dataset"]

_GOLDEN_ROWS = 24
_LONGEST_PARAMETER = 6000  # letters, MLflow's limit


@dataclass(frozen=True)
class TrainReport:
    """What a training run found and registered.

    Attributes
    ----------
    metrics, intervals, comparisons, rules, verdict
        Of the judged model, on the judged cutoffs; ``rules`` are the rivals that only count.
    counts
        Rows, accounts, cutoffs and distinct events by part, and what was left out.
    excluded
        Abnormal spans, with how many closed cutoffs are left out for each.
    truth
        ROC-AUC of the true risk and the model's share of it, when a truth file was given.
    bands, band_rates
        As in the bundle: the smallest probability of each band that exists, and what was observed in each.
    halves
        Which of booster and scorecard count and why, in a sentence.
    happened
        What a positive account did.
    """

    target: str
    name: str
    version: str
    sha256: str
    fingerprint: str
    rounds: int
    rows_per_leaf: int
    calibration: str
    halves: str
    spans: Mapping[str, tuple[str, str]]
    counts: Mapping[str, int]
    excluded: tuple[Excluded, ...]
    left_out: Mapping[str, str]
    metrics: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]
    comparisons: tuple[Comparison, ...]
    rules: tuple[str, ...]
    verdict: Verdict
    truth: Mapping[str, float]
    bands: Mapping[str, float]
    band_rates: Mapping[str, BandRate]
    happened: str
    ui_command: str


def train(
    home: Home, target_name: str, *, now: datetime, truth: Path | None = None, progress: Progress | None = None
) -> TrainReport:
    """Train, judge and register a model of the target; it becomes the challenger.

    ``truth`` is the simulator's Parquet file of true risks, for the ceiling of what can be known.

    Raises
    ------
    InputError
        When there is no such target, or the truth file cannot be read.
    WorkFailedError
        When there is too little to learn from; nothing is registered.
    LockHeldError
        When another process is registering.
    """
    progress = progress or silent
    aim = target(target_name, home)
    risks = None if truth is None else _read_truth(truth, aim)
    progress("Join labels and features", 0, 1)
    dataset = load(home, aim)
    progress("Join labels and features", 1, 1)
    return train_dataset(dataset, home, now=now, truth=risks, progress=progress)


def train_dataset(
    dataset: Dataset,
    home: Home,
    *,
    now: datetime,
    truth: pd.DataFrame | None = None,
    progress: Progress = silent,
) -> TrainReport:
    """Train, judge and register on a dataset that is at hand.

    Raises
    ------
    InputError
        When abnormal spans leave too little to learn from or judge by.
    WorkFailedError
        When there is too little to learn from; nothing is registered.
    """
    name = dataset.target.name
    contest = contest_of(home, name)
    services = {incumbent.service for incumbent in (contest.champion, contest.reference) if incumbent is not None}
    others = {service: with_features_of(dataset, service, home) for service in sorted(services)}
    beside = {service: rows for service, rows in others.items() if rows is not None}
    try:
        judged = fit_and_judge(dataset, home, contest=contest, beside=beside, truth=truth, progress=progress)
    except WorkFailedError as error:
        if any(span.cutoffs for span in dataset.excluded):
            left_out = nothing_left(dataset.excluded, dataset.target)
            raise InputError(f"Too little is left to train on. {error} Mind {left_out}") from error
        raise
    judged = with_recent_callers(judged, dataset, seed=home.settings.seed)
    everything = dataset.rows(dataset.cutoffs)
    final, unseen = fit_recipe(
        everything, dataset, home.settings, RECIPE, progress=progress, stage="Fit on every closed cutoff"
    )
    closing_days, log_start = dataset.target.closing_days, dataset.log_start
    final = final.telling(
        entry_dates(dataset.features, dataset.cutoffs, log_start=log_start, closing_days=closing_days)
    )
    bundle = make_bundle(dataset, judged, final, unseen, home)
    with passing_folder() as scratch:
        folder, pictures = scratch / "bundle", scratch / "report"
        scores = judged.scored.rows.assign(probability=judged.scored.probability)
        sha256 = bundles.write(bundle, folder, out_of_time=as_parquet(scores))
        progress("Draw the report", 0, 1)
        write_report(pictures, dataset, judged, final, bundle, home.settings)
        progress("Draw the report", 1, 1)
        matrix = final.encoding.matrix(everything.head(5))
        progress("Register", 0, 1)
        registered = registry.register(
            home,
            registry.TrainingRun(
                target=name,
                bundle=bundle,
                bundle_folder=folder,
                sha256=sha256,
                pictures=pictures,
                example=pd.DataFrame(matrix, columns=[column.name for column in bundle.columns]),
                parameters=_parameters(dataset, judged, final, home.settings, now=now),
                requirements=[f"{package}=={version(package)}" for package in ("lightgbm", "numpy", "mlflow")],
            ),
        )
        progress("Register", 1, 1)
    return TrainReport(
        target=name,
        name=dataset.target.registered_name,
        version=registered,
        sha256=sha256,
        fingerprint=dataset.fingerprint,
        rounds=final.rounds,
        rows_per_leaf=rows_per_leaf(len(everything), RECIPE),
        calibration=final.calibration.method,
        halves=final.halves,
        spans=bundle.spans,
        counts=_counts(dataset, judged),
        excluded=dataset.excluded,
        left_out=final.left_out,
        metrics=judged.measures.metrics,
        intervals=judged.measures.intervals,
        comparisons=judged.measures.comparisons,
        rules=judged.rules,
        verdict=judged.verdict,
        truth=judged.measures.truth,
        bands=bundle.bands,
        band_rates=bundle.band_rates,
        happened=dataset.target.happened,
        ui_command=ui_command(home),
    )


def make_bundle(
    dataset: Dataset, judged: Judgement, final: Fitted, unseen: npt.NDArray[np.float64], home: Home
) -> Bundle:
    """Everything serving needs: the model refitted on all closed cutoffs, with the metrics of the one that was judged.

    ``unseen`` are the log-odds of its rows by models that do not know their accounts: bands are made of them.
    """
    rows = dataset.rows(dataset.cutoffs)
    probability, label = final.calibration.probability(unseen), rows["label"].to_numpy(dtype=np.float64)
    bands = bands_of(probability, base_rate=float(label.mean()))
    features = final.features
    return Bundle(
        target=dataset.target.name,
        title=dataset.target.title,
        service=dataset.target.service,
        horizon_days=dataset.target.horizon_days,
        lead_days=dataset.target.lead_days,
        features=tuple(feature.name for feature in features),
        kinds={feature.name: feature.kind for feature in features},
        vocabularies=final.encoding.vocabularies,
        columns=final.columns,
        left_out=final.left_out,
        bands=bands,
        band_rates=rates_of(band_of(probability, bands), label, rows["account_id"].to_numpy()),
        calibration=final.calibration,
        statistics={feature.name: baseline_of(rows[feature.name], feature.kind) for feature in features},
        golden=_golden(rows, final),
        spans={
            "fitting": _span(judged.blocks[-1].fitted),
            "judged": _span(judged.judged_cutoffs),
            "registered": _span(dataset.cutoffs),
        },
        metrics={**judged.measures.metrics, **judged.measures.truth},
        intervals=judged.measures.intervals,
        comparisons=judged.measures.comparisons,
        verdict=judged.verdict,
        recipe=dict(RECIPE),
        rounds=final.rounds,
        fingerprint=dataset.fingerprint,
        versions={
            "bellwether": bellwether_version(),
            "python": platform.python_version(),
            **{package: version(package) for package in ("lightgbm", "numpy", "pandas", "scikit-learn")},
        },
        commit=_commit(),
        model_text=final.booster.model_to_string(),
        declared=home.set_of_service(dataset.target.service).as_json,
        stack=final.stack,
        scorecard=final.scorecard,
    )


def _golden(rows: pd.DataFrame, final: Fitted) -> Golden:
    """Rows spread evenly over the order of their margins, so that every part of the model is touched."""
    margin = final.margin(rows)
    order = np.argsort(margin, kind="stable")
    places = order[np.linspace(0, len(rows) - 1, _GOLDEN_ROWS).round().astype(int)]
    values = {
        feature.name: tuple(None if pd.isna(value) else value for value in rows[feature.name].iloc[places].tolist())
        for feature in final.features
    }
    return Golden(values, tuple(float(value) for value in margin[places]))


def _counts(dataset: Dataset, judged: Judgement) -> dict[str, int]:
    counts: dict[str, int] = {"open cutoffs": len(dataset.open_cutoffs), "blocks": len(judged.blocks)}
    newest = judged.blocks[-1]
    for name, cutoffs in (
        ("fitting", newest.fitted),
        ("judged", judged.judged_cutoffs),
        ("closed", tuple(dataset.cutoffs)),
    ):
        rows = dataset.rows(cutoffs)
        counts |= {
            f"{name} cutoffs": len(cutoffs),
            f"{name} rows": len(rows),
            f"{name} accounts": int(rows["account_id"].nunique()),
            f"{name} events": distinct_events(rows),
        }
    in_lead = int(dataset.frame["in_lead"].sum())
    counts |= {"folds": judged.fold_count, f"{LEFT_OUT}{IN_LEAD}": in_lead}
    counts |= {"cutoffs left out: abnormal": sum(span.cutoffs for span in dataset.excluded)}
    return counts | {f"{LEFT_OUT}{reason}": count for reason, count in dataset.left_out.items()}


def _parameters(
    dataset: Dataset, judged: Judgement, final: Fitted, settings: Settings, *, now: datetime
) -> dict[str, object]:
    return {
        **RECIPE,
        "rounds": final.rounds,
        "judged_rounds": judged.model.rounds,
        "calibration": final.calibration.method,
        "trees": "random splits" if final.has_random_splits else "best splits",
        "weight_of_booster": final.stack.booster,
        "weight_of_scorecard": final.stack.scorecard,
        "horizon_days": dataset.target.horizon_days,
        "lead_days": dataset.target.lead_days,
        "settlement_days": dataset.target.settlement_days,
        "seed": settings.seed,
        "service": dataset.target.service,
        "dataset_fingerprint": dataset.fingerprint,
        "abnormal_spans": "; ".join(span.in_words for span in dataset.excluded)[:_LONGEST_PARAMETER] or "none",
        "trained_at": require_utc(now, what="now").isoformat(timespec="seconds"),
        **{name.replace(":", ""): count for name, count in _counts(dataset, judged).items()},
    }


def _read_truth(path: Path, target: Target) -> pd.DataFrame:
    if target.truth_column is None:
        raise InputError(f"No true risk of {target.name} is simulated. Leave --truth out.")
    try:
        return pd.read_parquet(path, columns=["account_id", "cutoff", target.truth_column], partitioning=None)
    except (OSError, ValueError) as error:  # pyarrow's errors are ValueErrors
        raise InputError(
            f"{path} cannot be read as the simulator's truth: {error}. Give the truth.parquet that "
            "`bellwether simulate` wrote, or leave --truth out."
        ) from error


def _span(cutoffs: Sequence[datetime]) -> tuple[str, str]:
    return cutoffs[0].date().isoformat(), cutoffs[-1].date().isoformat()


def _commit() -> str | None:
    """Commit of the checkout this code runs from, if it is one."""
    try:
        answer = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
