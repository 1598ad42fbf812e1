"""The gate: whether a judged model may answer for anybody."""

from collections.abc import Mapping, Sequence

from training.bundle import Comparison, Verdict

__all__ = ["CALIBRATION_BOUNDS", "MOST_CALIBRATION_ERROR", "verdict"]

CALIBRATION_BOUNDS: Mapping[str, tuple[float, float, str]] = {
    "calibration_slope": (0.8, 1.25, "calibration slope"),
    "predicted_over_observed": (0.85, 1.15, "sum of predicted over observed events"),
}
"""Metric to its bounds and name. A small test span measures these with much noise, so the gate refuses when the whole
95 % interval lies outside, and remarks when only the figure does."""

MOST_CALIBRATION_ERROR = 0.1
"""Largest expected calibration error that passes."""


def verdict(
    metrics: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    comparisons: Sequence[Comparison],
    *,
    champion: str | None,
) -> Verdict:
    """Weigh a judgement: refusals keep a model from promotion, remarks go with it.

    A rival is judged by ROC-AUC. An interval wholly below 0 refuses; one that spans 0 is said.
    """
    refusals: list[str] = []
    remarks: list[str] = []
    if not metrics["base_rate"] > 0:
        refusals.append("The test cutoffs hold no account that left, so nothing was proven. Load a longer history.")
    for row in comparisons:
        if row.metric != "roc_auc":
            continue
        figures = (
            f"ROC-AUC {row.model:.3f} against {row.other:.3f}, difference {_range(row.difference, row.low, row.high)}"
        )
        if row.high < 0:
            refusals.append(f"It is worse than the {row.rival} ({figures}).")
        elif row.low > 0:
            remarks.append(f"Beats the {row.rival} ({figures}).")
        else:
            remarks.append(f"Not shown to beat the {row.rival} ({figures}).")
    for name, (lowest, highest, title) in CALIBRATION_BOUNDS.items():
        value, (low, high) = metrics[name], intervals[name]
        figures = f"its {title} is {_range(value, low, high)}, bounds {lowest} to {highest}"
        if high < lowest or low > highest:
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
