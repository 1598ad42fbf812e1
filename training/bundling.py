"""Puts all that serving needs to score with a model, or with a rule, into one bundle."""

import platform
import subprocess
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.definitions.feature import FeatureSpec
from features.home.home import Home
from features.version import bellwether_version
from training.judging.judge import Judgement
from training.judging.rule_judge import JudgedRule
from training.labels.dataset import Dataset
from training.models.bands import band_of, bands_of, rates_of
from training.models.bundle import Bundle, Calibration, Column, Golden
from training.models.fitted import Fitted
from training.models.model import RECIPE
from training.watching.drift import baseline_of

__all__ = ["make_bundle", "make_rule_bundle"]


_GOLDEN_ROWS = 24

Floats = npt.NDArray[np.float64]


def make_bundle(dataset: Dataset, judged: Judgement, final: Fitted, unseen: Floats, home: Home) -> Bundle:
    """The model refitted on all closed cutoffs, with the metrics of the one that was judged.

    ``unseen`` are the log-odds of its rows by models that do not know their accounts: bands are made of them.
    """
    rows = dataset.rows(dataset.cutoffs)
    return Bundle(
        **_shared(dataset, judged, home),
        **_of_features(rows, final.features),
        **_of_scores(rows, final.calibration, unseen),
        vocabularies=final.encoding.vocabularies,
        columns=final.columns,
        left_out=final.left_out,
        golden=_golden(rows, final.margin(rows), final.features),
        metrics={**judged.measures.metrics, **judged.measures.truth},
        intervals=judged.measures.intervals,
        comparisons=judged.measures.comparisons,
        verdict=judged.verdict,
        recipe=dict(RECIPE),
        rounds=final.rounds,
        model_text=final.booster.model_to_string(),
        stack=final.stack,
        scorecard=final.scorecard,
    )


def make_rule_bundle(dataset: Dataset, judged: Judgement, best: JudgedRule, home: Home) -> Bundle:
    """The best counting rule, learnt on all closed cutoffs, with the metrics of the ones that were judged."""
    rows, rule = dataset.rows(dataset.cutoffs), best.final.rule
    features = tuple(feature for feature in dataset.features if feature.name == rule.feature)
    return Bundle(
        **_shared(dataset, judged, home),
        **_of_features(rows, features),
        **_of_scores(rows, best.final.calibration, best.unseen),
        vocabularies={},
        columns=(Column(rule.feature, rule.feature),),
        left_out={},
        golden=_golden(rows, rule.margin(rows), features),
        metrics=best.measures.metrics,
        intervals=best.measures.intervals,
        comparisons=best.measures.comparisons,
        verdict=best.verdict,
        recipe={},
        rounds=0,
        model_text="",
        rule=rule,
    )


def _shared(dataset: Dataset, judged: Judgement, home: Home) -> dict[str, Any]:
    """What a model and the rule of the same training have in common."""
    return {
        "target": dataset.target.name,
        "title": dataset.target.title,
        "service": dataset.target.service,
        "horizon_days": dataset.target.horizon_days,
        "lead_days": dataset.target.lead_days,
        "spans": {
            "fitting": _span(judged.blocks[-1].fitted),
            "judged": _span(judged.judged_cutoffs),
            "registered": _span(dataset.cutoffs),
        },
        "fingerprint": dataset.fingerprint,
        "versions": {
            "bellwether": bellwether_version(),
            "python": platform.python_version(),
            **{package: version(package) for package in ("lightgbm", "numpy", "pandas", "scikit-learn")},
        },
        "commit": _commit(),
        "declared": home.set_of_service(dataset.target.service).as_json,
    }


def _of_features(rows: pd.DataFrame, features: Sequence[FeatureSpec]) -> dict[str, Any]:
    return {
        "features": tuple(feature.name for feature in features),
        "kinds": {feature.name: feature.kind for feature in features},
        "statistics": {feature.name: baseline_of(rows[feature.name], feature.kind) for feature in features},
    }


def _of_scores(rows: pd.DataFrame, calibration: Calibration, unseen: Floats) -> dict[str, Any]:
    probability, label = calibration.probability(unseen), rows["label"].to_numpy(dtype=np.float64)
    bands = bands_of(probability, base_rate=float(label.mean()))
    return {
        "calibration": calibration,
        "bands": bands,
        "band_rates": rates_of(band_of(probability, bands), label, rows["account_id"].to_numpy()),
    }


def _golden(rows: pd.DataFrame, margin: Floats, features: Sequence[FeatureSpec]) -> Golden:
    """Rows spread evenly over the order of their margins, so that every part of the model is touched."""
    order = np.argsort(margin, kind="stable")
    places = order[np.linspace(0, len(rows) - 1, _GOLDEN_ROWS).round().astype(int)]
    values = {
        feature.name: tuple(None if pd.isna(value) else value for value in rows[feature.name].iloc[places].tolist())
        for feature in features
    }
    return Golden(values, tuple(float(value) for value in margin[places]))


def _span(cutoffs: Sequence[datetime]) -> tuple[str, str]:
    return cutoffs[0].date().isoformat(), cutoffs[-1].date().isoformat()


def _commit() -> str | None:
    """Commit of the checkout this code runs from, if it is one."""
    try:
        answer = subprocess.run(  # noqa: S603 - fixed words
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return answer.stdout.strip()
