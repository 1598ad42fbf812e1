"""The gate: whether a judged model may answer for anybody."""

import math
from collections.abc import Mapping, Sequence

from training.models.bundle import Comparison, Verdict

__all__ = ["CALIBRATION_BOUNDS", "MOST_CALIBRATION_ERROR", "verdict"]


CALIBRATION_BOUNDS: Mapping[str, tuple[float, float, str]] = {
    "calibration_slope": (0.8, 1.25, "calibration slope"),
    "predicted_over_observed": (0.85, 1.15, "sum of predicted over observed events"),
}
"""Metric to its bounds and name. A small test span measures these with much noise, so the gate refuses when the whole
95 % interval lies outside, and remarks when only the figure does."""

MOST_CALIBRATION_ERROR = 0.1
"""Largest expected calibration error that passes."""

_TITLES = {"roc_auc": "ROC-AUC", "pr_auc": "PR-AUC", "log_loss": "log loss"}


def verdict(
    metrics: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    comparisons: Sequence[Comparison],
    *,
    champion: str | None,
) -> Verdict:
    """Weigh a judgement: refusals keep a model from promotion, remarks go with it.

    An interval wholly below 0 refuses: in any metric against the champion, in ROC-AUC against a rule or regression,
    whose other metrics are only said. What could not be measured refuses.
    """
    refusals: list[str] = []
    remarks: list[str] = []
    if not metrics["base_rate"] > 0:
        refusals.append(
            "The test cutoffs hold none of the events to foretell, so nothing was proven. Load a longer history."
        )
    for row in comparisons:
        is_champion = row.rival.startswith("champion")
        title = _TITLES.get(row.metric, row.metric)
        figures = (
            f"{title} {row.model:.3f} against {row.other:.3f}, difference {_range(row.difference, row.low, row.high)}"
        )
        if not all(math.isfinite(value) for value in (row.difference, row.low, row.high)):
            refusals.append(f"The comparison with the {row.rival} could not be measured ({figures}).")
        elif row.high < 0 and (is_champion or row.metric == "roc_auc"):
            refusals.append(f"It is worse than the {row.rival} ({figures}).")
        elif row.high < 0:
            remarks.append(f"It is worse than the {row.rival} in one figure ({figures}).")
        elif row.metric == "roc_auc":
            claim = "Beats" if row.low > 0 else "Not shown to beat"
            remarks.append(f"{claim} the {row.rival} ({figures}).")
    for name, (lowest, highest, title) in CALIBRATION_BOUNDS.items():
        value, (low, high) = metrics[name], intervals[name]
        figures = f"its {title} is {_range(value, low, high)}, bounds {lowest} to {highest}"
        if not all(math.isfinite(number) for number in (value, low, high)):
            refusals.append(f"Calibration could not be measured: {figures}.")
        elif high < lowest or low > highest:
            refusals.append(f"Calibration is out of bounds: {figures}.")
        elif not lowest <= value <= highest:
            remarks.append(f"Calibration is not shown to hold: {figures}.")
    if not metrics["ece"] <= MOST_CALIBRATION_ERROR:
        refusals.append(
            f"Calibration is out of bounds: its expected calibration error is {metrics['ece']:.3f}, "
            f"at most {MOST_CALIBRATION_ERROR}."
        )
    return Verdict(tuple(refusals), tuple(remarks), champion)


def _range(value: float, low: float, high: float) -> str:
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
