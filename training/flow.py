"""Train one target from start to end: dataset, judgement, refit on everything, bundle, registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib.metadata import version
from pathlib import Path

import pandas as pd

from features.exceptions import InputError, WorkFailedError
from features.home.home import Home
from features.progress import Progress, silent
from features.settings.fields import Settings
from features.storage.passing import passing_folder
from features.windows import require_utc
from training.bundling import make_bundle, make_rule_bundle
from training.judging.judge import Judgement, distinct_events, fit_and_judge
from training.judging.recent_callers import with_recent_callers
from training.judging.report import write_report
from training.judging.rule_card import rule_card
from training.judging.rule_judge import judge_rule
from training.labels.dataset import Dataset, load, with_features_of
from training.labels.excluded import Excluded, nothing_left
from training.labels.left_out import IN_LEAD, LEFT_OUT
from training.labels.targets import Target, target
from training.models import bundle as bundles
from training.models.bands import BandRate
from training.models.bundle import Comparison, Verdict
from training.models.fitted import Fitted
from training.models.history import entry_dates
from training.models.model import RECIPE, rows_per_leaf
from training.models.out_of_time import as_parquet
from training.models.recipe import fit_recipe
from training.registry import registry
from training.registry.champions import champion_version
from training.registry.contests import contest_of
from training.registry.mlflow_client import ui_command

__all__ = ["TrainReport", "train", "train_dataset"]

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
    rule
        The best counting rule in words, which could answer in its place; None where none could be learnt.
    champion, rule_in_office
        Version of the champion, and the rule in words where it is one; None without.
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
    rule: str | None = None
    champion: str | None = None
    rule_in_office: str | None = None


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
        rule = _rule(dataset, judged, home, Path(scratch) / "rule")
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
                rule=rule,
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
        rule=None if rule is None else rule.title,
        champion=champion_version(home, name),
        rule_in_office=contest.rule,
    )


def _rule(dataset: Dataset, judged: Judgement, home: Home, folder: Path) -> registry.TrainedRule | None:
    """The best counting rule as a bundle in ``folder``, with its card; None where none can be learnt."""
    try:
        best = judge_rule(dataset, judged, home.settings)
    except WorkFailedError:
        return None
    bundle, scores = make_rule_bundle(dataset, judged, best, home), best.scored
    table = as_parquet(scores.rows.assign(probability=scores.probability))
    sha256 = bundles.write(bundle, folder / "bundle", out_of_time=table)
    (folder / "model_card.md").write_text(rule_card(dataset, judged, best, bundle), encoding="utf-8")
    return registry.TrainedRule(best.final.rule.title, folder, sha256)


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
