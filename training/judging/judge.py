"""Fit on the past and judge on what came after, beside every rival."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.exceptions import InputError, WorkFailedError, listed
from features.home.home import Home
from features.progress import Progress, silent
from training.judging.baselines import (
    LAST_CALL,
    RECENCY,
    SingleFeatureRule,
    best_rule,
    known_rule,
    recency,
)
from training.judging.evaluate import CAPACITY_SHARE
from training.judging.gate import CALIBRATION_BOUNDS, Estimate, Evidence, ruling
from training.judging.measure import Measures, Scored, measure
from training.judging.rivals import MODELS, model_rivals
from training.judging.single_features import tells
from training.labels.dataset import Dataset
from training.labels.splits import Fold, folds, rolling_origin
from training.labels.targets import Target
from training.models.bundle import Verdict
from training.models.contest import Contest, Incumbent
from training.models.fitted import Fitted
from training.models.model import RECIPE
from training.models.recipe import fit_recipe

__all__ = ["BEST_SO_FAR", "CHAMPION", "Judgement", "distinct_events", "fit_and_judge"]


CHAMPION = "the champion's recipe"
BEST_SO_FAR = "the best recipe so far"
_KEYS = ["account_id", "cutoff", "label", "event_time", "in_lead"]
_MOST_WITHOUT_TRUTH = 0.01  # of the rows: a subscription paused without our knowing has no true risk

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Judgement:
    """What one judgement found.

    Attributes
    ----------
    blocks
        Cutoffs that were fitted, and those that were then judged, oldest first.
    fold_count
        Folds inside the newest block's fitting.
    model, newest
        The model that foretold the newest block, and that block's rows without those whose event fell in the lead.
    scored, rules
        Every judged row with what was foretold of it, and which rivals are counting rules.
    single_rules, tells
        The best single feature before each block, and features that alone tell the label.
    measures, verdict
        What was measured of them, and what the gate said.
    """

    blocks: tuple[Fold, ...]
    fold_count: int
    model: Fitted
    newest: pd.DataFrame
    scored: Scored
    rules: tuple[str, ...]
    measures: Measures
    verdict: Verdict
    single_rules: tuple[SingleFeatureRule, ...] = ()
    tells: tuple[str, ...] = ()

    @property
    def judged_cutoffs(self) -> tuple[datetime, ...]:
        """All judged cutoffs, ascending."""
        return tuple(cutoff for block in self.blocks for cutoff in block.judged)

    @property
    def rows(self) -> pd.DataFrame:
        """The judged rows, without those whose event fell in the lead."""
        return self.scored.rows[~self.scored.rows["in_lead"]]

    @property
    def scores(self) -> Mapping[str, Floats]:
        """What was foretold of :attr:`rows`: by ``model``, then by each rival."""
        is_judged = ~self.scored.rows["in_lead"].to_numpy(dtype=bool)
        scores = {"model": self.scored.probability, **self.scored.rivals}
        return {name: score[is_judged] for name, score in scores.items()}


@dataclass(frozen=True)
class _Foretold:
    """One block: its rows, what the model and every rival foretold of them, and the rule that was the best before."""

    rows: pd.DataFrame
    model: Fitted
    probability: Floats
    rivals: Mapping[str, Floats]
    rule: SingleFeatureRule
    rule_score: Floats


def fit_and_judge(
    dataset: Dataset,
    home: Home,
    *,
    contest: Contest | None = None,
    beside: Mapping[str, Dataset] | None = None,
    truth: pd.DataFrame | None = None,
    progress: Progress = silent,
) -> Judgement:
    """Judge the recipe by rolling origin: before each block of closed cutoffs it is fitted on what was closed then.

    All blocks together are the judged rows; a block before which nothing could be learnt is left out. ``contest`` names
    who is to be beaten: their recipes are fitted on the same cutoffs. ``beside`` has, by feature service, the same rows
    with the features it reads, where the dataset has not all of them. ``truth`` has ``account_id``, ``cutoff`` and the
    target's ``truth_column``.

    Raises
    ------
    WorkFailedError
        When the history is too short, holds one account, or no label of the fitting span is positive.
    """
    contest = contest or Contest()
    gap = dataset.target.lead_days + dataset.target.horizon_days
    planned = rolling_origin(dataset.cutoffs, blocks=home.settings.judging_blocks, gap_days=gap)
    _refuse_empty(dataset, planned[-1])
    blocks = [block for block in planned if _can_be_judged(dataset, block)]
    incumbents = {
        f"{name}, version {incumbent.version}": (incumbent, _dataset_of(incumbent, dataset, beside or {}, home))
        for name, incumbent in ((CHAMPION, contest.champion), (BEST_SO_FAR, contest.reference))
        if incumbent is not None
    }
    judged = dataset.rows([cutoff for block in blocks for cutoff in block.judged], with_lead=True)
    risk = None if truth is None else _true_risk(judged, truth, dataset.target)
    foretold = [
        _foretell(block, dataset, home, incumbents, progress=progress, stage=f"Judge, block {number} of {len(blocks)}")
        for number, block in enumerate(blocks, 1)
    ]
    scored, rules = _joined(foretold)
    progress("Measure", 0, 1)
    measures = measure(
        scored,
        capacity_share=CAPACITY_SHARE,
        seed=home.settings.seed,
        probabilistic=[name for name in scored.rivals if name not in rules],
        risk=risk,
    )
    evidence = _evidence(dataset, home, blocks, scored, rules, measures, contest)
    progress("Measure", 1, 1)
    champion = None if contest.champion is None else contest.champion.version
    verdict = ruling(evidence)
    return Judgement(
        blocks=tuple(blocks),
        fold_count=len(folds(blocks[-1].fitted, gap_days=dataset.target.closing_days)),
        model=foretold[-1].model,
        newest=dataset.rows(blocks[-1].judged),
        scored=scored,
        rules=rules,
        measures=measures,
        verdict=replace(
            verdict,
            remarks=(*verdict.remarks, *contest.remarks),
            champion=champion,
            judged_recipes=0 if evidence.is_refresh else evidence.judged_recipes,
        ),
        single_rules=tuple(block.rule for block in foretold),
        tells=tuple(evidence.tells),
    )


def distinct_events(rows: pd.DataFrame) -> int:
    """Positives as people count them: distinct (account, event), however many rows look at each."""
    positive = rows[rows["label"] == 1]
    return len(positive[["account_id", "event_time"]].drop_duplicates())


def _foretell(
    block: Fold,
    dataset: Dataset,
    home: Home,
    incumbents: Mapping[str, tuple[Incumbent, Dataset]],
    *,
    progress: Progress,
    stage: str,
) -> _Foretold:
    """Fit everything on the block's fitting cutoffs, and foretell its judged ones."""
    fitted, rows = dataset.rows(block.fitted), dataset.rows(block.judged, with_lead=True).reset_index(drop=True)
    model, _ = fit_recipe(fitted, dataset, home.settings, RECIPE, progress=progress, stage=stage)
    probability = model.probability(rows)
    known, holds = known_rule(dataset.target.name, rows)
    rule = best_rule(fitted, model.encoding.features)
    rivals: dict[str, Floats] = {
        RECENCY: recency(dataset.target.name, rows),
        known: holds,
        **model_rivals(fitted, rows, dataset, home.settings, model),
    }
    for name, (incumbent, own) in incumbents.items():
        if incumbent.is_recipe(dataset.target.service, RECIPE):
            rivals[name] = probability  # the same recipe on the same features gives the same model
            continue
        refitted, _ = fit_recipe(own.rows(block.fitted), own, home.settings, incumbent.parameters, stage=stage)
        rivals[name] = refitted.probability(own.rows(block.judged, with_lead=True))
    dated = rows[_KEYS].assign(fitted_until=pd.Timestamp(block.fitted[-1]).as_unit("us"))
    return _Foretold(dated, model, probability, rivals, rule, rule.score(rows))


def _joined(foretold: Sequence[_Foretold]) -> tuple[Scored, tuple[str, ...]]:
    """All blocks below each other, and which of the rivals are counting rules.

    Which single feature ranked best may change from block to block; where it always was the last call, it is no rival
    of its own.
    """
    names = [name for name in foretold[-1].rivals if all(name in block.rivals for block in foretold)]
    rivals = {name: np.concatenate([block.rivals[name] for block in foretold]) for name in names}
    known = [name for name in rivals if name not in (RECENCY, *MODELS) and not name.startswith((CHAMPION, BEST_SO_FAR))]
    rules: dict[str, Floats] = {name: rivals[name] for name in (RECENCY, *known)}
    titles = {block.rule.title for block in foretold}
    if {block.rule.feature for block in foretold} != {LAST_CALL}:
        title = titles.pop() if len(titles) == 1 else f"the best single feature, now {foretold[-1].rule.title}"
        rules[title] = np.concatenate([block.rule_score for block in foretold])
    rows = pd.concat([block.rows for block in foretold], ignore_index=True)
    probability = np.concatenate([block.probability for block in foretold])
    return Scored(rows, probability, {**rules, **{n: s for n, s in rivals.items() if n not in rules}}), tuple(rules)


def _evidence(
    dataset: Dataset,
    home: Home,
    blocks: Sequence[Fold],
    scored: Scored,
    rules: Sequence[str],
    measures: Measures,
    contest: Contest,
) -> Evidence:
    """The judgement as the numbers the gate weighs."""
    target = dataset.target
    judged = scored.rows[~scored.rows["in_lead"]]
    ranking = {row.rival: row for row in measures.comparisons if row.metric == "roc_auc"}

    def difference(name: str) -> Estimate | None:
        rows = [row for rival, row in ranking.items() if rival.startswith(name)]
        return Estimate(rows[0].difference, rows[0].low, rows[0].high) if rows else None

    def figure(name: str) -> Estimate:
        return Estimate(measures.metrics[name], *measures.intervals[name])

    champion = contest.champion
    recall = None if champion is None or champion.recall is None else champion.recall
    cutoffs = [cutoff for block in blocks for cutoff in block.judged]
    alone = tells(
        dataset.rows(cutoffs),
        dataset.features,
        known={*target.known_tells, *home.settings.known_tells},
        seed=home.settings.seed,
    )
    return Evidence(
        events=distinct_events(judged),
        days=(cutoffs[-1] - cutoffs[0]).days + target.horizon_days,
        brier_skill=figure("brier_skill"),
        calibration={name: figure(name) for name in CALIBRATION_BOUNDS},
        rules={f'"{name}"': estimate for name in rules if (estimate := difference(name)) is not None},
        champion=difference(CHAMPION),
        reference=difference(BEST_SO_FAR),
        is_refresh=champion is not None and champion.is_recipe(target.service, RECIPE),
        recall=figure("recall_at_capacity"),
        champion_recall=None if recall is None else Estimate(sum(recall) / 2, *recall),
        tells={name: Estimate(*numbers) for name, numbers in alone.items()},
        judged_recipes=contest.judged_recipes + 1,
    )


def _dataset_of(incumbent: Incumbent, dataset: Dataset, beside: Mapping[str, Dataset], home: Home) -> Dataset:
    """The same rows with the features that a promoted recipe reads."""
    if incumbent.service in beside:
        return beside[incumbent.service]
    features = home.catalog.features_of_service(incumbent.service)
    read = [feature for feature in dataset.features if feature.name in dataset.frame.columns]
    present = {(feature.name, feature.definition) for feature in read}
    missing = [feature.name for feature in features if (feature.name, feature.definition) not in present]
    if missing:
        raise WorkFailedError(
            f"Version {incumbent.version} reads {incumbent.service}, of which {len(missing)} features are not in the "
            f"rows of {dataset.target.service}: {listed(missing)}. They cannot be compared on the same rows."
        )
    return replace(dataset, features=features)


def _true_risk(rows: pd.DataFrame, truth: pd.DataFrame, target: Target) -> Floats:
    """What nature knew at the cutoff of each row."""
    column = target.truth_column
    if column is None or column not in truth.columns:
        raise InputError(f"The truth file holds no true risk of {target.name}. Train it without --truth.")
    moments = truth.assign(cutoff=pd.to_datetime(truth["cutoff"], utc=True).astype("datetime64[us, UTC]"))
    risk = rows[["account_id", "cutoff"]].merge(
        moments[["account_id", "cutoff", column]], how="left", on=["account_id", "cutoff"], validate="m:1"
    )[column]
    is_judged = ~rows["in_lead"].to_numpy(dtype=bool)
    missing = int(risk[is_judged].isna().sum())
    if missing > _MOST_WITHOUT_TRUTH * is_judged.sum():
        raise WorkFailedError(
            f"The truth file lacks {missing} of {is_judged.sum()} judged rows. Give the one the events were simulated "
            "with."
        )
    return risk.to_numpy(dtype=np.float64)


def _can_be_judged(dataset: Dataset, block: Fold) -> bool:
    """Whether there is something to learn before the block, and somebody in it."""
    fitted = dataset.rows(block.fitted)
    return bool(
        fitted["label"].nunique() == 2 and fitted["account_id"].nunique() > 1 and len(dataset.rows(block.judged))
    )


def _refuse_empty(dataset: Dataset, block: Fold) -> None:
    fitted, judged = dataset.rows(block.fitted), dataset.rows(block.judged)
    accounts, events = fitted["account_id"].nunique(), distinct_events(fitted)
    span = f"from {block.fitted[0]:%Y-%m-%d} to {block.fitted[-1]:%Y-%m-%d}"
    if accounts < 2:
        raise WorkFailedError(
            f"The {len(fitted)} fitting rows {span} are of {accounts} account(s); ranking takes at least two. "
            "Load more accounts."
        )
    if not events or events == len(fitted):
        lead = int(dataset.rows(block.fitted, with_lead=True)["in_lead"].sum())
        raise WorkFailedError(
            f"{'No account' if not events else 'Every account'} of {accounts} {dataset.target.happened} in the label "
            f"windows of {len(block.fitted)} fitting cutoffs {span} ({lead} rows with an event inside the lead are "
            "left out). Load a longer history, or more accounts."
        )
    if judged.empty:
        raise WorkFailedError(
            f"The judged cutoffs {block.judged[0]:%Y-%m-%d} to {block.judged[-1]:%Y-%m-%d} hold no account of the "
            "population. Load a longer history."
        )
