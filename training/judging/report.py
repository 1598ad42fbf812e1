"""Draws the pictures of one training run and writes them with its model card."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from features.settings.fields import Settings
from features.shares import percent
from training.judging.evaluate import BINS, CAPACITY_SHARE
from training.judging.judge import Judgement
from training.judging.model_card import model_card, rows_in_words
from training.labels.dataset import Dataset
from training.models.bundle import Bundle
from training.models.explain import explain
from training.models.fitted import Fitted

__all__ = ["write_report"]


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
    label = judged.rows["label"].to_numpy(dtype=np.float64)
    scores = judged.scores
    words = rows_in_words(judged)
    _precision_recall(plots / "precision_recall.png", label, scores, words)
    _reliability(plots / "reliability.png", label, judged, words)
    _lift(plots / "lift.png", label, scores, CAPACITY_SHARE, words)
    _beeswarm(plots / "contributions.png", judged, settings.seed)
    (folder / "model_card.md").write_text(model_card(dataset, judged, final, bundle), encoding="utf-8")


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
    probability = judged.scores["model"]
    parts = [p for p in np.array_split(np.argsort(probability, kind="stable"), BINS) if len(p)]
    predicted = np.array([probability[p].mean() for p in parts])
    observed = np.array([label[p].mean() for p in parts])
    error = 1.96 * np.sqrt(np.maximum(observed * (1 - observed), 1e-12) / [len(p) for p in parts])
    figures = judged.measures.metrics
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
            f"ECE {figures['ece']:.3f}\nslope {figures['calibration_slope']:.2f}\n"
            f"predicted / observed {figures['predicted_over_observed']:.2f}\nBrier skill {figures['brier_skill']:.3f}",
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
            f"capacity: top {percent(capacity_share)}",
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

        newest = judged.newest
        if len(newest) > _MOST_EXPLAINED:
            newest = newest.sample(_MOST_EXPLAINED, random_state=seed).sort_index()
        model = judged.model
        matrix = model.encoding.matrix(newest)
        explained = explain(model, model.booster, matrix, newest)
        of_scorecard = [newest[column.feature] for column in explained.columns[len(model.columns) :]]
        units = {feature.name: feature.unit for feature in model.features}
        plt.figure()
        shap.plots.beeswarm(
            shap.Explanation(
                values=explained.contributions,
                base_values=explained.base_margin,
                data=np.column_stack([matrix, *of_scorecard]).astype(np.float64),
                feature_names=[
                    _title(column.feature, column.value, units) + ("" if place < len(model.columns) else ", scorecard")
                    for place, column in enumerate(explained.columns)
                ],
            ),
            max_display=_FEATURES_SHOWN,
            show=False,
            plot_size=(10, 7),
            color_bar_label="Feature value",
        )
        figure = plt.gcf()
        axes = figure.axes[0]
        axes.set_xlabel("Contribution to the margin (log-odds; right raises the risk; grey: no value)")
        axes.set_title(f"What moves the scores: {len(newest):,} judged rows", loc="left", fontsize=13, pad=12)
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
