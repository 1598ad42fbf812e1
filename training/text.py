"""Training and promotion in words, for a terminal."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from features.exceptions import listed
from features.shares import percent
from features.text_table import text_table
from training.models.history import entries_told

if TYPE_CHECKING:
    from training.flow import TrainReport
    from training.registry.promotion import PromoteReport

__all__ = ["promote_lines", "train_json", "train_lines"]


def train_json(report: "TrainReport") -> dict[str, Any]:
    """Everything a training run reports, for programs."""
    return asdict(report)


def train_lines(report: "TrainReport", *, width: int | None = None) -> Iterator[str]:
    """A short report of one training run, line by line; its table fits ``width``."""
    counts, metrics = report.counts, report.metrics
    yield f"{report.name} version {report.version} is registered as the challenger."
    for name in ("fitting", "test"):
        first, last = report.spans[name]
        yield (
            f"  {name:<8} {first} to {last}: {counts[f'{name} cutoffs']} cutoffs, {counts[f'{name} rows']:,} rows, "
            f"{counts[f'{name} accounts']:,} accounts, {counts[f'{name} events']:,} events"
        )
    gone = [
        (name.removeprefix("rows left out: ").replace("_", " "), n)
        for name, n in counts.items()
        if name.startswith("rows left") and n
    ]
    if gone:
        yield f"  left out {', '.join(f'{count:,} rows {name}' for name, count in gone)}"
    yield (
        f"  model    {report.rounds} rounds from {counts['folds']} folds, at least {report.rows_per_leaf} rows a leaf, "
        f"calibration {report.calibration}"
    )
    if report.left_out:
        yield f"  features not used: {listed(report.left_out)}"
        yield from (f"  {name} {reason}" for name, reason in entries_told(report.left_out).items())
    yield ""
    rows = [["model", f"{metrics['roc_auc']:.3f}", f"{metrics['pr_auc']:.3f}", ""]]
    by_rival = {(row.rival, row.metric): row for row in report.comparisons}
    for rival in dict.fromkeys(row.rival for row in report.comparisons):
        ranking, precision = by_rival[rival, "roc_auc"], by_rival[rival, "pr_auc"]
        difference = f"{ranking.difference:+.3f} [{ranking.low:+.3f}, {ranking.high:+.3f}]"
        rows.append([rival, f"{ranking.other:.3f}", f"{precision.other:.3f}", difference])
    if report.truth:
        share = report.truth["share_of_true_risk_roc_auc"]
        ceiling = report.truth["true_risk_roc_auc"]
        rows.append(["true risk", f"{ceiling:.3f}", "", f"the model reaches {percent(share)} of it"])
    names = ("on the test cutoffs", "ROC-AUC", "PR-AUC", "difference in ROC-AUC")
    yield from text_table(names, rows, at_right=(False, True, True, False), width=width)
    yield ""
    yield (
        f"  base rate {percent(metrics['base_rate'])}   calibration error {metrics['ece']:.3f}   "
        f"slope {metrics['calibration_slope']:.2f}   predicted / observed {metrics['predicted_over_observed']:.2f}   "
        f"Brier skill {metrics['brier_skill']:.3f}"
    )
    yield (
        f"  at capacity: precision {percent(metrics['precision_at_capacity'])}, "
        f"lift {metrics['lift_at_capacity']:.1f}, "
        f"recall {percent(metrics['recall_at_capacity'])} "
        f"({percent(metrics['recall_at_capacity_with_lead'])} with events in the lead)"
    )
    yield ""
    yield "Verdict: " + ("refused by the gate." if report.verdict.refusals else "may be promoted.")
    for line in (*report.verdict.refusals, *report.verdict.remarks):
        yield f"  {line}"
    yield f"Look at it: {report.ui_command}"


def promote_lines(report: "PromoteReport") -> Iterator[str]:
    """What a promotion did, line by line."""
    before = "nobody" if report.previous is None else f"version {report.previous}"
    yield f"{report.name} version {report.version} is the champion; before it, {before}."
    for line in report.remarks:
        yield f"  {line}"
