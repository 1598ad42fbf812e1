"""What a training run shows in MLflow's table: figures with their intervals, rivals, and what the gate said."""

import math
import re
from collections.abc import Mapping

from training.models.bundle import Bundle, Comparison

__all__ = ["run_metrics", "run_name", "run_tags", "whole_span"]


_SHORT = {
    "quick blend on plain counts": "anchor",
    "days since the last call": "recency",
    "the champion's recipe": "champion_recipe",
    "the best recipe so far": "best_recipe",
    "the scorecard alone": "scorecard",
}
_SINGLE_FEATURE = re.compile(r"^the best single feature|, (highest|lowest) first$")
_VERSION = re.compile(r", version \S+$")


def run_name(bundle: Bundle) -> str:
    """What a run is called: target, the last cutoff it was fitted on, and the gate's answer."""
    _, last = whole_span(bundle)
    return f"{bundle.target} until {last}: {bundle.verdict.answer.replace('_', ' ')}"


def whole_span(bundle: Bundle) -> tuple[str, str]:
    """The first and the last cutoff of all its spans."""
    return min(first for first, _ in bundle.spans.values()), max(last for _, last in bundle.spans.values())


def run_metrics(bundle: Bundle) -> dict[str, float]:
    """Every figure by name; an interval as ``NAME_low`` and ``NAME_high``. What could not be measured is left out.

    A rival has ``rival_NAME_METRIC``, and by how much the model is ahead of it ``rival_NAME_METRIC_difference``, above
    0 where the model is better, with its interval.
    """
    figures = _finite(bundle.metrics)
    for name, edges in bundle.intervals.items():
        figures |= _edges(name, edges)
    for row in bundle.comparisons:
        name = f"rival_{_slug(row)}_{row.metric}"
        figures |= _finite({name: row.other, f"{name}_difference": row.difference})
        figures |= _edges(f"{name}_difference", (row.low, row.high))
    return figures | _bands(bundle) | {"judged_recipes": float(bundle.verdict.judged_recipes)}


def run_tags(bundle: Bundle) -> dict[str, str]:
    """The gate's answer, the rows' fingerprint, the code's commit where it is known, and a note in words."""
    tags = {
        "verdict": bundle.verdict.answer,
        "dataset_fingerprint": bundle.fingerprint,
        "service": bundle.service,
        "mlflow.source.name": f"bellwether train --target {bundle.target}",
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": "\n\n".join([*bundle.verdict.sentences, bundle.stack.in_words]),
    }
    return tags if bundle.commit is None else tags | {"mlflow.source.git.commit": bundle.commit}


def _slug(row: Comparison) -> str:
    name = _VERSION.sub("", row.rival)
    if name in _SHORT:
        return _SHORT[name]
    return (
        "best_single_feature" if _SINGLE_FEATURE.search(name) else re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
    )


def _bands(bundle: Bundle) -> dict[str, float]:
    """Where bands begin and what was observed in them."""
    return {f"band_{band}_from": start for band, start in bundle.bands.items()} | {
        f"band_{band}_{name}": value
        for band, rate in bundle.band_rates.items()
        for name, value in (("rate", rate.rate), ("rate_low", rate.low), ("rate_high", rate.high))
    }


def _edges(name: str, edges: tuple[float | None, float | None]) -> dict[str, float]:
    return _finite(dict(zip((f"{name}_low", f"{name}_high"), edges, strict=True)))


def _finite(figures: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in figures.items() if value is not None and math.isfinite(value)}
