"""Judges the best counting rule as if it were a model: on what came after the rows it had learnt from."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from features.definitions.feature import FeatureSpec
from features.exceptions import WorkFailedError, counted
from features.settings.fields import Settings
from training.judging.baselines import LAST_CALL, counting_rule
from training.judging.evaluate import CAPACITY_SHARE
from training.judging.gate import FEWEST_EVENTS, Estimate
from training.judging.judge import Judgement, distinct_events
from training.judging.measure import Measures, Scored, measure
from training.judging.recent_callers import recent_callers
from training.labels.dataset import Dataset
from training.models.bundle import Verdict
from training.models.fitted_rule import FittedRule, fit_rule_like_a_model, foretold_by_rule

__all__ = ["JudgedRule", "best_counting_rule", "judge_rule"]


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class JudgedRule:
    """The best counting rule, learnt on all closed cutoffs.

    Attributes
    ----------
    final, unseen
        The rule, and the log-odds of each of its rows by rules that do not know the account.
    scored, measures, verdict
        What rules learnt before each judged block foretold of it, what was measured of that, and whether it is shown to
        be worth anything.
    """

    final: FittedRule
    unseen: Floats
    scored: Scored
    measures: Measures
    verdict: Verdict


def best_counting_rule(judged: Judgement, features: Sequence[FeatureSpec]) -> str:
    """The counting rule that ranked the judged rows best, by the name it has among the rivals.

    One whose feature tells the label was made from it, and stands aside.

    Raises
    ------
    WorkFailedError
        When every rule does.
    """
    areas = {row.rival: row.other for row in judged.measures.comparisons if row.metric == "roc_auc"}
    honest = [
        name
        for name in judged.rules
        if not any(counting_rule(name, single, features).feature.name in judged.tells for single in judged.single_rules)
    ]
    if not honest:
        raise WorkFailedError("Every counting rule reads a feature that tells the label, so none can answer.")
    return max(honest, key=lambda name: _number(areas.get(name)))


def judge_rule(dataset: Dataset, judged: Judgement, settings: Settings) -> JudgedRule:
    """Learn the best counting rule on all closed cutoffs, and judge it on the rows the model was judged on.

    Raises
    ------
    WorkFailedError
        When there is none, or nothing to learn from.
    """
    name, target = best_counting_rule(judged, dataset.features), dataset.target.name
    probability = np.concatenate(
        [
            foretold_by_rule(
                dataset.rows(block.fitted),
                dataset.rows(block.judged, with_lead=True),
                counting_rule(name, single, dataset.features),
                target=target,
            )
            for block, single in zip(judged.blocks, judged.single_rules, strict=True)
        ]
    )
    scored = Scored(judged.scored.rows, probability, {})
    measures = measure(scored, capacity_share=CAPACITY_SHARE, seed=settings.seed, probabilistic=())
    if dataset.target.kind == "inactivity":
        days = dataset.rows(judged.judged_cutoffs, with_lead=True)[LAST_CALL].to_numpy(dtype=np.float64)
        figures, intervals = recent_callers(scored, days, seed=settings.seed)
        measures = replace(
            measures, metrics={**measures.metrics, **figures}, intervals={**measures.intervals, **intervals}
        )
    everything = dataset.rows(dataset.cutoffs)
    forms = [counting_rule(name, single, dataset.features) for single in judged.single_rules]
    final, unseen = fit_rule_like_a_model(everything, forms[-1], target=target)
    area = Estimate(measures.metrics["roc_auc"], *measures.intervals["roc_auc"])
    verdict = _ruling(final.rule.title, distinct_events(judged.rows), area)
    if len({form.feature.name for form in forms}) > 1:
        changed = "The best single feature was chosen anew before each judged block, and was not always this one."
        verdict = replace(verdict, remarks=(changed,))
    return JudgedRule(final, unseen, scored, measures, verdict)


def _ruling(title: str, events: int, area: Estimate) -> Verdict:
    """Whether the rule is shown to rank better than chance; a rule is never refused for showing little."""
    rule, on = f'It is the rule "{title}"', counted(events, "event|events")
    if events < FEWEST_EVENTS:
        return Verdict("not_shown", f"{rule}. {on} can show nothing of it; it takes {FEWEST_EVENTS} at least.")
    if area.low > 0.5:
        return Verdict("passes", f"{rule}, shown to rank better than chance on {on}: ROC-AUC {area}.")
    return Verdict("not_shown", f"{rule}, not shown to rank better than chance on {on}: ROC-AUC {area}.")


def _number(area: float | None) -> float:
    """A ROC-AUC that could not be measured is that of chance."""
    return 0.5 if area is None or math.isnan(area) else area
