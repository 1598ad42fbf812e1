"""The gate: whether a judged model may answer for anybody, as one pure function of numbers with three answers."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from statistics import NormalDist

from features.exceptions import counted
from training.judging.power import power_in_words
from training.models.bundle import Verdict

__all__ = ["CALIBRATION_BOUNDS", "FEWEST_EVENTS", "Estimate", "Evidence", "ruling"]


CALIBRATION_BOUNDS: Mapping[str, tuple[float, float, str]] = {
    "calibration_slope": (0.8, 1.25, "calibration slope"),
    "predicted_over_observed": (0.85, 1.15, "sum of predicted over observed events"),
}
"""Metric to its bounds and name. A small book measures these with much noise, so the gate refuses when the whole 95 %
interval lies outside, and remarks when only the figure does."""

TELLS_FROM = 0.95
"""Lower bound of a single feature's ROC-AUC from which on it tells the label: it was made from it."""

FEWEST_EVENTS = 10
"""Below, an interval is too narrow to be believed: what is resampled is the same few accounts."""

WORSE_BY = 0.01
"""What a new recipe may be worse than the reference by, at most."""

_LEVEL = 0.05
_FEW_TRIES = 3
_FAR_OFF = 2.0  # times a calibration bound: no few events excuse that


@dataclass(frozen=True)
class Estimate:
    """A figure with its account-bootstrap 95 % interval."""

    value: float
    low: float
    high: float

    @property
    def is_measured(self) -> bool:
        """Whether there are numbers."""
        return all(math.isfinite(number) for number in (self.value, self.low, self.high))

    def low_at(self, level: float) -> float:
        """Lower end at another level than 0.95, as if the figure were normally distributed."""
        normal = NormalDist()
        return self.value - (self.value - self.low) * normal.inv_cdf((1 + level) / 2) / normal.inv_cdf(0.975)

    def __str__(self) -> str:
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


@dataclass(frozen=True)
class Evidence:
    """What a judgement measured. Differences are in ROC-AUC; above 0 the model is better.

    Attributes
    ----------
    events, days
        Distinct (account, event) among the judged rows, and the days their label windows span.
    brier_skill
        Over the base rate.
    calibration
        An estimate for each of :data:`CALIBRATION_BOUNDS`.
    rules
        Counting rule, in words, to the model's difference against it.
    champion, reference
        Difference against the champion's recipe and against the best recipe promoted so far, each fitted on the same
        cutoffs. No champion: None, also where a rule is champion. No reference: the champion is it.
    is_refresh
        Whether recipe and feature service are the champion's.
    recall, champion_recall
        Recall at capacity, and the champion's when it was judged; None where it is not known.
    tells
        Feature to its ROC-AUC alone, of those that are not known to tell the label.
    judged_recipes
        How many recipes were judged since the last promotion, this one with them: k of the level 1 - 0.05/k.
    faults
        What is missing or failed: signature, fingerprint, verification.
    """

    events: int
    days: float
    brier_skill: Estimate
    calibration: Mapping[str, Estimate]
    rules: Mapping[str, Estimate]
    champion: Estimate | None = None
    reference: Estimate | None = None
    is_refresh: bool = False
    recall: Estimate | None = None
    champion_recall: Estimate | None = None
    tells: Mapping[str, Estimate] = field(default_factory=dict)
    judged_recipes: int = 1
    faults: tuple[str, ...] = ()

    @property
    def can_show(self) -> bool:
        """Whether there are events enough for an interval to be believed."""
        return self.events >= FEWEST_EVENTS


def ruling(evidence: Evidence) -> Verdict:
    """Weigh a judgement; the first line that holds decides.

    1. *Refused*: something is missing or could not be measured; a single feature tells the label; Brier skill shown
       below 0; a calibration interval wholly outside its bounds; shown worse than a counting rule or the champion.
    2. *Not shown*: no event to judge by.
    3. *Passes* as a refresh of the champion, unless its recall at capacity lies wholly below the champion's.
    4. Without a model as champion *passes* when shown better than every counting rule, with a Brier skill above 0.
    5. Another recipe *passes* when no worse than the champion, and shown not worse than the reference by 0.01 at level
       1 - 0.05/k (Bonferroni): against the latest champion alone small losses would add up.
    6. Else *not shown*.
    """
    remarks = tuple(_remarks(evidence))
    refusals = tuple(_refusals(evidence))
    if refusals:
        return Verdict("refused", refusals[0], (*refusals[1:], *remarks))
    if not evidence.events:
        why = "The judged cutoffs hold none of the events to foretell, so nothing is shown. Load a longer history."
        return Verdict("not_shown", why, remarks)
    doubts = tuple(_doubts(evidence))
    if doubts:
        return Verdict("not_shown", doubts[0], (*doubts[1:], *remarks))
    return Verdict("passes", _why_it_passes(evidence), remarks)


def _refusals(evidence: Evidence) -> Iterator[str]:
    """Line 1."""
    for fault in evidence.faults:
        yield f"It lacks its {fault}. Train again with `bellwether train`."
    for feature, area in evidence.tells.items():
        if evidence.can_show and area.low >= TELLS_FROM:
            yield (
                f"{feature} alone tells the label (ROC-AUC {area}): it was probably made from it. Leave it out, or "
                "name it in the setting known_tells if it may."
            )
    if not evidence.can_show:  # a slope may not exist then: all of a handful may have the highest scores
        return
    yield from _unmeasured(evidence)
    if evidence.brier_skill.high < 0:
        yield f"Its probabilities are worse than the base rate alone (Brier skill {evidence.brier_skill})."
    for name, (lowest, highest, title) in CALIBRATION_BOUNDS.items():
        figure = evidence.calibration[name]
        if figure.high < lowest or figure.low > highest:
            yield f"Its probabilities are off: its {title} is {figure}, bounds {lowest} to {highest}."
    for name, difference in _rivals(evidence).items():
        if difference.high < 0:
            lower = f"its ROC-AUC is lower by {-difference.value:.3f}, at least {-difference.high:.3f}"
            yield f"It ranks worse than {name}: {lower}."


def _unmeasured(evidence: Evidence) -> Iterator[str]:
    differences = _rivals(evidence)
    if evidence.reference is not None:
        differences["the best recipe so far"] = evidence.reference
    for name, difference in differences.items():
        if not difference.is_measured:
            yield f"Its difference to {name} could not be measured ({difference})."
    calibration = {CALIBRATION_BOUNDS[name][2]: figure for name, figure in evidence.calibration.items()}
    for title, figure in {**calibration, "Brier skill": evidence.brier_skill}.items():
        if not figure.is_measured:
            yield f"Its {title} could not be measured ({figure})."


def _doubts(evidence: Evidence) -> Iterator[str]:
    """What keeps lines 3 to 5 from holding."""
    for name, (lowest, highest, title) in CALIBRATION_BOUNDS.items():
        figure = evidence.calibration[name]
        if evidence.can_show and not lowest / _FAR_OFF <= figure.value <= highest * _FAR_OFF:
            yield f"Its probabilities are not shown to hold: its {title} is {figure}, bounds {lowest} to {highest}."
    if evidence.is_refresh:
        yield from _lost_recall(evidence)
    elif evidence.champion is None:
        yield from _not_better(evidence)
    else:
        yield from _not_as_good(evidence, evidence.champion, evidence.reference or evidence.champion)


def _lost_recall(evidence: Evidence) -> Iterator[str]:
    """Line 3."""
    now, before = evidence.recall, evidence.champion_recall
    if evidence.can_show and now is not None and before is not None and now.high < before.low:
        yield (
            f"It is the champion's recipe on newer data, and finds fewer at capacity: {now.value:.0%}, at most "
            f"{now.high:.0%}, where the champion found {before.value:.0%}, at least {before.low:.0%}."
        )


def _not_better(evidence: Evidence) -> Iterator[str]:
    """Line 4."""
    if not evidence.can_show:
        yield f"{_events(evidence)} can show nothing; it takes {FEWEST_EVENTS} at least."
        return
    open_rules = {name: difference for name, difference in evidence.rules.items() if not difference.low > 0}
    if open_rules:
        power = power_in_words(
            evidence.events, evidence.days, [(d.value, d.value - d.low) for d in open_rules.values()]
        )
        yield f"It is not shown to rank better than {_all_of(open_rules)}. {power}"
    if not evidence.brier_skill.value > 0:
        yield f"Its probabilities are no better than the base rate alone (Brier skill {evidence.brier_skill})."


def _not_as_good(evidence: Evidence, champion: Estimate, reference: Estimate) -> Iterator[str]:
    """Line 5."""
    if not evidence.can_show:
        yield f"{_events(evidence)} can show nothing; it takes {FEWEST_EVENTS} at least."
    elif not champion.value >= 0:
        yield f"Its ROC-AUC is {-champion.value:.3f} below that of the champion's recipe, which goes on answering."
    elif not reference.low_at(1 - _LEVEL / evidence.judged_recipes) >= -WORSE_BY:
        half = reference.value - reference.low_at(1 - _LEVEL / evidence.judged_recipes)
        power = power_in_words(evidence.events, evidence.days, [(reference.value + WORSE_BY, half)])
        tries = f" {evidence.judged_recipes} recipes were tried since the last promotion, so it takes more to be shown."
        yield (
            f"It is not shown to rank as well as the best recipe so far, within {WORSE_BY}."
            f"{tries if evidence.judged_recipes > _FEW_TRIES else ''} {power}"
        )


def _why_it_passes(evidence: Evidence) -> str:
    shown = [name for name, difference in evidence.rules.items() if evidence.can_show and difference.low > 0]
    better = f"shown to rank better than {_all_of(shown)} on {_events(evidence)}" if shown else ""
    if evidence.is_refresh:
        return f"It is the champion's recipe on newer data{f', {better}' if better else ''}."
    if evidence.champion is None:
        return f"It is {better}."
    return f"It ranks as well as the champion's recipe or better, on {_events(evidence)}."


def _remarks(evidence: Evidence) -> Iterator[str]:
    for name, difference in evidence.rules.items():
        if evidence.is_refresh and evidence.can_show and difference.low <= 0 <= difference.high:
            yield f"It is no longer shown to rank better than {name} (difference in ROC-AUC {difference})."
    for name, (lowest, highest, title) in CALIBRATION_BOUNDS.items():
        figure = evidence.calibration[name]
        if not lowest <= figure.value <= highest and figure.low <= highest and figure.high >= lowest:
            if name == "calibration_slope":
                what = f"Its scores may be too {'timid' if figure.value > 1 else 'bold'}"
            else:
                what = f"It may foretell too {'many' if figure.value > 1 else 'few'} events"
            yield f"{what}: its {title} is {figure}, not shown to lie in {lowest} to {highest}."


def _rivals(evidence: Evidence) -> dict[str, Estimate]:
    champion = {} if evidence.champion is None else {"the champion's recipe": evidence.champion}
    return {**evidence.rules, **champion}


def _events(evidence: Evidence) -> str:
    return counted(evidence.events, "event|events")


def _all_of(names: Mapping[str, Estimate] | list[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
