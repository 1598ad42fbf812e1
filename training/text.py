"""Training and promotion in words, for a terminal."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from features.exceptions import counted, listed
from features.shares import percent
from features.text_table import text_table
from training.judging.evaluate import CAPACITY_SHARE
from training.judging.recent_callers import RECENT_CALLERS, RECENT_DAYS, RECENT_FIGURES
from training.labels.left_out import IN_LEAD, LEFT_OUT, in_words
from training.models.bands import bands_in_words
from training.models.history import entries_told

if TYPE_CHECKING:
    from training.flow import TrainReport
    from training.models.bundle import Comparison
    from training.registry.promotion import PromoteReport
    from training.watching.backtesting import Backtested

__all__ = ["backtest_parts", "promote_lines", "train_json", "train_lines"]


_ANSWERS = {"passes": "passes", "not_shown": "not shown", "refused": "refused"}
_HARDLY = 1.5  # times: scores that lie closer together tell accounts apart by next to nothing


def train_json(report: "TrainReport") -> dict[str, Any]:
    """Everything a training run reports, for programs."""
    return asdict(report)


def train_lines(report: "TrainReport", *, width: int | None = None, verbose: bool = False) -> Iterator[str]:
    """A short report of one training run, line by line; its table fits ``width``.

    ``verbose`` adds what an expert asks for.
    """
    counts, metrics = report.counts, report.metrics
    yield f"{report.name} version {report.version} is registered as the challenger."
    first, last = report.spans["judged"]
    yield (
        f"  Judged on what it had not seen: {counted(counts['judged rows'], 'row|rows')} of "
        f"{counted(counts['judged accounts'], 'account|accounts')} from {first} to {last}, "
        f"{counted(counts['judged events'], 'event|events')}, {percent(metrics['base_rate'])} of the rows."
    )
    in_lead = counts[f"{LEFT_OUT}{IN_LEAD}"]
    if in_lead:
        yield f"  {in_words(IN_LEAD, in_lead, target=report.target)}."
    for span in report.excluded:
        yield f"  Left out as abnormal: {span.in_words}."
    yield ""
    yield from _ranking(report, width=width)
    yield ""
    yield from _use(report)
    yield f"  {report.halves}"
    if verbose:
        yield ""
        yield from _technical(report)
    yield ""
    yield f"Verdict: {_ANSWERS[report.verdict.answer]}. {report.verdict.reason}"
    for line in report.verdict.remarks:
        yield f"  {line}"
    if report.verdict.answer != "passes":
        yield f"  {_who_answers(report)}"
    yield f"Look at it: {report.ui_command}"


def _who_answers(report: "TrainReport") -> str:
    """Who does while the model may not, and who could."""
    if report.rule_in_office is not None:
        return f'Until one passes, the rule "{report.rule_in_office}" answers.'
    if report.champion is not None:
        return f"Until one passes, the champion, version {report.champion}, answers."
    if report.rule is None:
        return "Until one passes, nobody answers."
    can = f'the rule "{report.rule}" can: `bellwether promote --target {report.target} --rule`.'
    return f"Until one passes, nobody answers; {can}"


def _ranking(report: "TrainReport", *, width: int | None) -> Iterator[str]:
    """The model beside whatever it is held against: rules, other models, and what nature knew."""
    rows = [["model", f"{report.metrics['roc_auc']:.3f}", ""]]
    for row in report.comparisons:
        if row.metric == "roc_auc":
            name = f'"{row.rival}"' if row.rival in report.rules else row.rival
            rows.append([name, f"{row.other:.3f}", _difference(row)])
    if report.truth:
        ceiling, share = report.truth["true_risk_roc_auc"], report.truth["share_of_true_risk_roc_auc"]
        # Where chance alone may lift it above what can be known, the share says nothing.
        is_told = report.intervals["share_of_true_risk_roc_auc"][1] <= 1
        rows.append(["true risk", f"{ceiling:.3f}", f"the model reaches {percent(share)} of it" if is_told else ""])
    names = ("How well it ranks", "ROC-AUC", "model ahead by")
    yield from text_table(names, rows, at_right=(False, True, False), width=width)


def _difference(row: "Comparison") -> str:
    return f"{row.difference:+.3f} [{row.low:+.3f}, {row.high:+.3f}]"


def _use(report: "TrainReport") -> Iterator[str]:
    metrics = report.metrics
    low, high = report.intervals["recall_at_capacity"]
    yield (
        f"  Of those who {report.happened}, {percent(metrics['recall_at_capacity'])} were among the "
        f"{percent(CAPACITY_SHARE)} highest scores of a week beforehand (95 % interval {percent(low)} to "
        f"{percent(high)})."
    )
    if f"{RECENT_CALLERS}_rows" in metrics:
        yield f"  {_recent_callers(report)}"
    lowest, highest = metrics["low_score"], metrics["high_score"]
    if highest < _HARDLY * lowest:
        yield f"  Its scores hardly differ: {percent(lowest)} to {percent(highest)}."
    for band, words in bands_in_words(report.bands, report.band_rates, happened=report.happened).items():
        yield f"  Band {band} {words}."


def _recent_callers(report: "TrainReport") -> str:
    """How it does on accounts that had just called, which is harder than to name those already silent."""
    figures = {name: report.metrics.get(f"{RECENT_CALLERS}_{name}", math.nan) for name in RECENT_FIGURES}
    who = (
        f"Of accounts that called in the {RECENT_DAYS} days before, {counted(int(figures['rows']), 'row|rows')} with "
        f"{counted(int(figures['events']), 'event|events')}"
    )
    if math.isnan(figures["roc_auc"]):
        return f"{who}: they cannot be ranked."
    low, high = report.intervals[f"{RECENT_CALLERS}_roc_auc"]
    return (
        f"{who}, {percent(figures['base_rate'])} of the rows: ROC-AUC {figures['roc_auc']:.3f} "
        f"[{low:.3f}, {high:.3f}], {percent(figures['recall_at_capacity'])} among their "
        f"{percent(CAPACITY_SHARE)} highest scores."
    )


def _technical(report: "TrainReport") -> Iterator[str]:
    counts, metrics = report.counts, report.metrics
    for name, label in (("fitting", "newest fitting"), ("judged", "judged"), ("registered", "registered")):
        first, last = report.spans[name]
        part = "closed" if name == "registered" else name
        yield (
            f"  {label:<15}{first} to {last}: {counted(counts[f'{part} cutoffs'], 'cutoff|cutoffs')}, "
            f"{counted(counts[f'{part} rows'], 'row|rows')}, "
            f"{counted(counts[f'{part} accounts'], 'account|accounts')}, "
            f"{counted(counts[f'{part} events'], 'event|events')}"
        )
    for name, count in counts.items():
        if name.startswith(LEFT_OUT) and name != f"{LEFT_OUT}{IN_LEAD}" and count:
            yield f"  {in_words(name.removeprefix(LEFT_OUT), count, target=report.target)}"
    yield (
        f"  model          {counted(report.rounds, 'round|rounds')} from {counted(counts['folds'], 'fold|folds')}, at "
        f"least {counted(report.rows_per_leaf, 'row|rows')} a leaf, calibration {report.calibration}"
    )
    if report.left_out:
        yield f"  not used       {listed(report.left_out)}"
        yield from (f"  {name} {reason}" for name, reason in entries_told(report.left_out).items())
    yield ""
    for name, title in (
        ("calibration_slope", "calibration slope"),
        ("predicted_over_observed", "predicted / observed"),
        ("brier_skill", "Brier skill"),
    ):
        low, high = report.intervals[name]
        yield f"  {title:<24}{metrics[name]:>7.3f}   [{low:.3f}, {high:.3f}]"
    yield f"  {'calibration error':<24}{metrics['ece']:>7.3f}"
    lift = f"lift {metrics['lift_at_capacity']:.1f}"
    yield f"  {'precision at capacity':<24}{percent(metrics['precision_at_capacity']):>7}   {lift}"
    yield f"  {'recall with lead events':<24}{percent(metrics['recall_at_capacity_with_lead']):>7}"
    for row in report.comparisons:
        if row.metric != "roc_auc":
            yield f"  {row.metric} against {row.rival}: {row.model:.4f}, {row.other:.4f}, {_difference(row)}"


def backtest_parts(past: "Backtested") -> dict[str, tuple[str, list[Mapping[str, object]]]]:
    """The tables of a backtest by the name of their part, each below a sentence."""
    found, share = past.backtest, percent(CAPACITY_SHARE)
    rule = "" if past.rule is None else f" Rule: {past.rule}."
    who = f"{past.model.name} version {past.model.version}, judged on what it had not seen.{rule}"
    left = f"{counted(found.events, 'account|accounts')} that {past.target.happened}"
    missed = counted(len(found.misses), "was|were")
    return {
        "months": (
            f"{who} By month of the cutoff; found: among the {share} highest scores of a week.",
            list(found.months),
        ),
        "warning": (f"How many were among the {share} highest scores so many days before.", list(found.warnings)),
        "misses": (f"Of {left}, {missed} never among them, the newest first.", list(found.misses)),
    }


def promote_lines(report: "PromoteReport") -> Iterator[str]:
    """What a promotion did, line by line."""
    before = "nobody" if report.previous is None else f"version {report.previous}"
    yield f"{report.name} version {report.version} is the champion; before it, {before}."
    if report.rule is not None:
        yield f"  Rule: {report.rule}."
    for line in report.remarks:
        yield f"  {line}"
