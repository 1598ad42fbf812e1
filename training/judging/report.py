"""Draws the pictures of one training run and writes them with its model card."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import Any

import numpy as np
import numpy.typing as npt

from features.settings.fields import Settings
from features.shares import percent
from training.judging.evaluate import BINS, CAPACITY_SHARE, account_weights, percentiles
from training.judging.judge import Judgement
from training.judging.model_card import model_card, rows_in_words
from training.labels.dataset import Dataset
from training.models.bundle import Bundle
from training.models.explain import explain
from training.models.fitted import Fitted

__all__ = ["write_report"]


_MODEL = "#1f5fa8"
_RIVALS = ("#d9822b", "#7a7a7a", "#2e8b57", "#8a4fbf", "#17a2b8", "#c44e9a", "#a0522d", "#b8a100", "#444444")
_BASE = "#b03a3a"
_MOST_EXPLAINED = 3000
_FEATURES_SHOWN = 15
_REPETITIONS = 400
_LONGEST_NAME = 48

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
    _reliability(plots / "reliability.png", label, judged, words, seed=settings.seed)
    _lift(plots / "lift.png", label, judged, CAPACITY_SHARE, words)
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
                label=f"{_short(name)}: {area:.3f}",
                drawstyle="steps-post",
            )
        axes.axhline(label.mean(), color=_BASE, linestyle=":", label=f"base rate: {label.mean():.3f}")
        axes.set(
            xlabel="Recall (share of the events' rows found)", ylabel="Precision (share of flagged rows with an event)"
        )
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        _titled(figure, axes, "Precision and recall", words)
        axes.legend(title="PR-AUC", frameon=False, loc="upper right", fontsize=8)
        _caption(figure, "Further up and to the right is better: more of the events found, with fewer false alarms.")


def _reliability(path: Path, label: Floats, judged: Judgement, words: str, *, seed: int) -> None:
    probability = judged.scores["model"]
    groups = _groups(judged.rows["account_id"].to_numpy(dtype=str), label, probability, seed=seed)
    predicted, observed, low, high = groups
    figures = judged.measures.metrics
    floor = 0.5 * float(min(predicted.min(), np.min(observed[observed > 0], initial=1.0)))
    shown, below = np.maximum(observed, floor), np.maximum(low, floor)
    with _figure(path) as (figure, axes):
        axes.set(xscale="log", yscale="log")
        axes.plot([floor, 1], [floor, 1], color="#999999", linestyle="--", label="perfect")
        axes.axhline(label.mean(), color=_BASE, linestyle=":", label=f"base rate: {label.mean():.3f}")
        axes.errorbar(
            predicted,
            shown,
            yerr=np.vstack([np.maximum(shown - below, 0.0), np.maximum(high - shown, 0.0)]),
            color=_MODEL,
            fmt="o-",
            capsize=3,
            label="model, ten equal groups (95 %, accounts drawn anew)",
        )
        edge = min(1.0, 1.6 * float(max(high.max(), predicted.max())))
        axes.set(xlabel="Mean predicted probability", ylabel="Observed share with an event")
        axes.set(xlim=(floor, edge), ylim=(floor, edge))
        _as_percent(axes)
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
        holds = int(np.sum((low <= predicted) & (predicted <= high)))
        _caption(
            figure,
            f"Of {len(predicted)} groups of rows with like scores, {holds} saw as many events as foretold, within what "
            "chance between accounts would do.",
        )


def _groups(account: Any, label: Floats, probability: Floats, *, seed: int) -> tuple[Floats, Floats, Floats, Floats]:
    """Mean prediction and observed share of ten groups of equal size, and the interval of that share."""
    parts = [part for part in np.array_split(np.argsort(probability, kind="stable"), BINS) if len(part)]
    names, number = np.unique(account, return_inverse=True)
    weights = account_weights(len(names), repetitions=_REPETITIONS, seed=seed)
    predicted = np.array([probability[part].mean() for part in parts])
    observed = np.array([label[part].mean() for part in parts])
    edges = []
    for part in parts:
        size = np.bincount(number[part], minlength=len(names))
        events = np.bincount(number[part], weights=label[part], minlength=len(names))
        edges.append(percentiles((weights @ events) / np.maximum(weights @ size, 1.0)))
    low, high = np.array(edges).T
    return predicted, observed, low, high


def _lift(path: Path, label: Floats, judged: Judgement, capacity_share: float, words: str) -> None:
    """The model beside the counting rules: what a person could do without it."""
    scores = {name: score for name, score in judged.scores.items() if name in ("model", *judged.rules)}
    at_capacity: dict[str, float] = {}
    shares = np.linspace(0.01, 1.0, 100)
    counts = np.maximum(1, np.round(shares * len(label)).astype(int))
    with _figure(path) as (figure, axes):
        for name, score, colour, width in _lines(scores):
            # Rows that tie are taken at their mean, as if drawn by lot.
            table = {value: label[score == value].mean() for value in np.unique(score)} if _is_coarse(score) else None
            ordered = np.argsort(-score, kind="stable")
            hits = np.cumsum(np.array([table[value] for value in score[ordered]]) if table else label[ordered])
            lift = hits[counts - 1] / counts / label.mean()
            axes.plot(100 * shares, lift, color=colour, linewidth=width, label=_short(name))
            at_capacity[name] = float(np.interp(capacity_share, shares, lift))
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
        rule = max(judged.rules, key=lambda name: at_capacity[name])
        _caption(
            figure,
            f"Among the {percent(capacity_share)} highest scores events are {at_capacity['model']:.1f} times as "
            f"frequent as among all rows; by the best rule there, {_short(rule)}, {at_capacity[rule]:.1f} times.",
        )


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


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _as_percent(axes: Any) -> None:
    """Ticks of both logarithmic axes as 1 %, 2 %, 5 %, 10 %."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
        axis.set_minor_formatter(NullFormatter())


def _caption(figure: Any, words: str) -> None:
    """A sentence under the picture."""
    figure.supxlabel(fill(words, 110), x=0.02, ha="left", fontsize=9, color="#333333")


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
