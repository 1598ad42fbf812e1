"""Pictures and the model card of one training run."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.definitions.catalog import Catalog
from features.definitions.sets import catalog_with, set_of
from features.settings.fields import Settings
from training.judging.evaluate import BINS
from training.judging.judge import Judgement, distinct_events
from training.labels.dataset import Dataset
from training.models.bundle import Bundle
from training.models.explain import by_family, explain
from training.models.model import Fitted

__all__ = ["model_card", "write_report"]


_MODEL = "#1f5fa8"
_RIVALS = ("#d9822b", "#7a7a7a", "#2e8b57", "#8a4fbf")
_BASE = "#b03a3a"
_MOST_EXPLAINED = 3000
_FEATURES_SHOWN = 15

Floats = npt.NDArray[np.float64]


def write_report(
    folder: Path, dataset: Dataset, judged: Judgement, final: Fitted, bundle: Bundle, settings: Settings
) -> None:
    """Write the plots (PNG, under ``plots/``) and ``model_card.md`` into ``folder``."""
    plots = folder / "plots"
    plots.mkdir(parents=True, exist_ok=True)
    label = judged.test["label"].to_numpy(dtype=np.float64)
    scores = {"model": judged.probability, **judged.scores}
    words = _words(judged)
    _precision_recall(plots / "precision_recall.png", label, scores, words)
    _reliability(plots / "reliability.png", label, judged, words)
    _lift(plots / "lift.png", label, scores, settings.capacity_share, words)
    _beeswarm(plots / "contributions.png", judged, settings.seed)
    (folder / "model_card.md").write_text(model_card(dataset, judged, final, bundle), encoding="utf-8")


def model_card(dataset: Dataset, judged: Judgement, final: Fitted, bundle: Bundle) -> str:
    """The model in one page of Markdown (after Mitchell et al., 2019, FAT*)."""
    target = dataset.target
    found = judged.metrics
    low, high = judged.intervals["roc_auc"]
    comparisons = "\n".join(
        f"| {row.rival} | {row.metric} | {row.model:.4f} | {row.other:.4f} | {row.difference:+.4f} "
        f"| {row.low:+.4f} to {row.high:+.4f} |"
        for row in judged.comparisons
    )
    spans = "\n".join(f"| {name} | {first} | {last} |" for name, (first, last) in bundle.spans.items())
    catalog = catalog_with(set_of(bundle.declared))
    families = "\n".join(
        f"| {catalog.families[name].title} | {share:.1%} |" for name, share in _family_shares(judged, catalog).items()
    )
    left_out = "\n".join(f"- `{name}`: {reason}" for name, reason in bundle.left_out.items()) or "None."
    population = "\n".join(f"- {reason}: {count:,}" for reason, count in dataset.left_out.items()) or "Nobody."
    verdict = "\n".join(f"- {line}" for line in (*judged.verdict.refusals, *judged.verdict.remarks))
    truth = "".join(f"| {name.replace('_', ' ')} | {value:.4f} |\n" for name, value in judged.truth.items())
    figures = "\n".join(f"| {name.replace('_', ' ')} | {value:.4f} |" for name, value in found.items())
    return f"""# {target.registered_name}

Probability of {target.title} in the {target.horizon_days} days that begin {target.lead_days} days after a cutoff.

{_words(judged)}. ROC-AUC {found["roc_auc"]:.3f} [{low:.3f}, {high:.3f}]. The registered model is the same recipe
fitted on all closed cutoffs; the figures are of the model fitted before the test began.

| span | first cutoff | last cutoff |
|---|---|---|
{spans}

## Verdict
{verdict}

## Figures on the test cutoffs
| metric | value |
|---|---|
{figures}
{truth}
## Beside its rivals
Differences above 0 favour the model. Intervals: paired bootstrap over accounts, 95 %.

| rival | metric | model | rival | difference | interval |
|---|---|---|---|---|---|
{comparisons}

## How it is made
LightGBM, {final.rounds} rounds chosen by {judged.fold_count} purged folds, calibration: {final.calibration.method}
(slope {final.calibration.slope:.3f}, intercept {final.calibration.intercept:+.3f}).
Bands: high from {bundle.bands["high"]:.3f}, medium from {bundle.bands["medium"]:.3f}.
Features: {len(bundle.features)} of `{bundle.service}`. Dataset `{bundle.fingerprint[:16]}`.

## What it looks at
Share of the mean absolute contribution over the test rows.

| family | share |
|---|---|
{families}

## Features left out
{left_out}

## Who is left out
Pairs of account and cutoff that are not in the population:

{population}

The model ranks accounts of the company it was trained on, and says nothing about why an account acts: contributions
are what moved the score, not causes.
"""


def _words(judged: Judgement) -> str:
    test = judged.test
    first, last = judged.split.test[0], judged.split.test[-1]
    return (
        f"Test cutoffs {first:%Y-%m-%d} to {last:%Y-%m-%d}: {len(test):,} rows, "
        f"{test['account_id'].nunique():,} accounts, {distinct_events(test):,} events"
    )


def _family_shares(judged: Judgement, catalog: Catalog) -> dict[str, float]:
    columns = judged.model.encoding.columns
    parts = explain(judged.model.booster, judged.model.encoding.matrix(judged.test)).contributions
    names, sums = by_family(columns, parts, catalog)
    sizes = dict(zip(names, np.abs(sums).mean(axis=0).tolist(), strict=True))
    total = sum(sizes.values()) or 1.0
    return {name: size / total for name, size in sorted(sizes.items(), key=lambda item: -item[1])}


def _precision_recall(path: Path, label: Floats, scores: Mapping[str, Floats], words: str) -> None:
    from sklearn.metrics import average_precision_score, precision_recall_curve

    with _figure(path) as (figure, axes):
        for name, score, colour, width in _lines(scores):
            precision, recall, _ = precision_recall_curve(label, score)
            # The last point (recall 0, precision 1) is a convention, no data.
            area = average_precision_score(label, score)
            axes.plot(
                recall[:-1],
                precision[:-1],
                color=colour,
                linewidth=width,
                label=f"{name}: {area:.3f}",
                drawstyle="steps-post",
            )
        axes.axhline(label.mean(), color=_BASE, linestyle=":", label=f"base rate: {label.mean():.3f}")
        axes.set(
            xlabel="Recall (share of the events' rows found)", ylabel="Precision (share of flagged rows with an event)"
        )
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        _titled(figure, axes, "Precision and recall", words)
        axes.legend(title="PR-AUC", frameon=False, loc="upper right")


def _reliability(path: Path, label: Floats, judged: Judgement, words: str) -> None:
    probability = judged.probability
    parts = [p for p in np.array_split(np.argsort(probability, kind="stable"), BINS) if len(p)]
    predicted = np.array([probability[p].mean() for p in parts])
    observed = np.array([label[p].mean() for p in parts])
    error = 1.96 * np.sqrt(np.maximum(observed * (1 - observed), 1e-12) / [len(p) for p in parts])
    found = judged.metrics
    edge = 1.08 * float(max((observed + error).max(), predicted.max(), 0.01))
    with _figure(path) as (figure, axes):
        axes.plot([0, edge], [0, edge], color="#999999", linestyle="--", label="perfect")
        axes.axhline(label.mean(), color=_BASE, linestyle=":", label=f"base rate: {label.mean():.3f}")
        axes.errorbar(
            predicted,
            observed,
            yerr=np.vstack([np.minimum(error, observed), error]),
            color=_MODEL,
            fmt="o-",
            capsize=3,
            label="model, ten equal groups (95 % binomial)",
        )
        axes.set(xlabel="Mean predicted probability", ylabel="Observed share with an event")
        axes.set(xlim=(0, edge), ylim=(0, 1.25 * edge))  # room for the legend
        _titled(figure, axes, "Reliability", words)
        axes.legend(frameon=False, loc="upper left")
        axes.text(
            0.98,
            0.03,
            f"ECE {found['ece']:.3f}\nslope {found['calibration_slope']:.2f}\n"
            f"predicted / observed {found['predicted_over_observed']:.2f}\nBrier skill {found['brier_skill']:.3f}",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            bbox={"facecolor": "white", "edgecolor": "#cccccc", "boxstyle": "round,pad=0.4"},
        )


def _lift(path: Path, label: Floats, scores: Mapping[str, Floats], capacity_share: float, words: str) -> None:
    shares = np.linspace(0.01, 1.0, 100)
    counts = np.maximum(1, np.round(shares * len(label)).astype(int))
    with _figure(path) as (figure, axes):
        for name, score, colour, width in _lines(scores):
            # Rows that tie are taken at their mean, as if drawn by lot.
            table = {value: label[score == value].mean() for value in np.unique(score)} if _is_coarse(score) else None
            ordered = np.argsort(-score, kind="stable")
            hits = np.cumsum(np.array([table[value] for value in score[ordered]]) if table else label[ordered])
            lift = hits[counts - 1] / counts / label.mean()
            axes.plot(100 * shares, lift, color=colour, linewidth=width, label=name)
        axes.axhline(1, color=_BASE, linestyle=":", label="base rate")
        axes.axvline(100 * capacity_share, color="#999999", linestyle="--", linewidth=1)
        axes.annotate(
            f"capacity: top {capacity_share:.0%}",
            (100 * capacity_share, 0.0),
            xytext=(4, 4),
            textcoords="offset points",
            color="#666666",
        )
        axes.set(xlabel="Rows flagged, highest scores first (%)", ylabel="Lift over the base rate (times)")
        axes.set(xlim=(0, 100))
        axes.set_ylim(bottom=0)
        _titled(figure, axes, "Lift", words)
        axes.legend(frameon=False, loc="upper right")


def _beeswarm(path: Path, judged: Judgement, seed: int) -> None:
    with _quiet():
        import matplotlib as mpl

        mpl.use("Agg")
        import shap
        from matplotlib import pyplot as plt

        test = judged.test
        if len(test) > _MOST_EXPLAINED:
            test = test.sample(_MOST_EXPLAINED, random_state=seed).sort_index()
        encoding = judged.model.encoding
        matrix = encoding.matrix(test)
        explained = explain(judged.model.booster, matrix)
        units = {feature.name: feature.unit for feature in encoding.features}
        plt.figure()
        shap.plots.beeswarm(
            shap.Explanation(
                values=explained.contributions,
                base_values=explained.base_margin,
                data=matrix,
                feature_names=[_title(column.feature, column.value, units) for column in encoding.columns],
            ),
            max_display=_FEATURES_SHOWN,
            show=False,
            plot_size=(10, 7),
            color_bar_label="Feature value",
        )
        figure = plt.gcf()
        axes = figure.axes[0]
        axes.set_xlabel("Contribution to the margin (log-odds; right raises the risk; grey: no value)")
        axes.set_title(f"What moves the scores: {len(test):,} test rows", loc="left", fontsize=13, pad=12)
        figure.savefig(path, dpi=130, bbox_inches="tight")
        plt.close(figure)


def _title(feature: str, value: str | None, units: Mapping[str, str]) -> str:
    unit = units[feature]
    return f"{feature} is {value}" if value is not None else f"{feature} ({unit})"


def _lines(scores: Mapping[str, Floats]) -> Iterator[tuple[str, Floats, str, float]]:
    rivals = iter(_RIVALS)
    for name, score in scores.items():
        yield (name, score, _MODEL, 2.4) if name == "model" else (name, score, next(rivals, "#444444"), 1.3)


def _is_coarse(score: Floats) -> bool:
    return len(np.unique(score)) <= 200


def _titled(figure: Any, axes: Any, title: str, words: str) -> None:
    figure.suptitle(title, x=0.02, ha="left", fontsize=14)
    axes.set_title(words, loc="left", fontsize=9, color="#555555")


@contextmanager
def _figure(path: Path) -> Iterator[tuple[Any, Any]]:
    """A figure of its own, without pyplot's global state, saved on leaving the block."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5.4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(visible=True, alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    yield figure, axes
    figure.savefig(path, dpi=130)


@contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # shap uses deprecated calls of its own dependencies
        yield
