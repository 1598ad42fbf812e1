"""What a person could do in an hour: two rules, and a logistic regression on ranks."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.definitions.feature import FeatureSpec
from features.exceptions import WorkFailedError
from training.judging.evaluate import roc_auc
from training.models.model import Encoding

__all__ = ["LOGISTIC", "SingleFeatureRule", "best_rule", "known_rule", "logistic"]


LOGISTIC = "logistic regression"
_TREND = "calls_28d_vs_prior_28d"
_QUOTA = "quota_used_share_28d"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SingleFeatureRule:
    """Sort accounts by one feature; a null stands in the middle."""

    feature: str
    meaning: str
    rising: bool
    middle: float

    @property
    def title(self) -> str:
        """The rule in words."""
        return f'"{self.meaning}" alone ({"highest" if self.rising else "lowest"} first)'

    def score(self, frame: pd.DataFrame) -> Floats:
        """Higher is riskier; one value per row."""
        values = frame[self.feature].fillna(self.middle).to_numpy(dtype=np.float64)
        return np.asarray(values if self.rising else -values, dtype=np.float64)


def best_rule(fitted: pd.DataFrame, features: Sequence[FeatureSpec]) -> SingleFeatureRule:
    """The single numeric feature, and its direction, with the largest ROC-AUC over the fitting rows.

    Raises
    ------
    WorkFailedError
        When no feature holds a number.
    """
    label = fitted["label"].to_numpy(dtype=np.float64)
    best: tuple[float, SingleFeatureRule] | None = None
    for feature in features:
        if feature.kind == "category" or not fitted[feature.name].notna().any():
            continue
        rule = SingleFeatureRule(feature.name, feature.meaning, True, float(fitted[feature.name].median()))
        area = roc_auc(label, rule.score(fitted))
        if area < 0.5:
            rule, area = replace(rule, rising=False), 1.0 - area
        if best is None or area > best[0]:
            best = area, rule
    if best is None:
        raise WorkFailedError(
            f"None of the {len(features)} features holds a number in the fitting rows. Look at the quality report of "
            "`bellwether ingest`: without calls there is nothing to learn from."
        )
    return best[1]


def known_rule(target: str, frame: pd.DataFrame) -> tuple[str, Floats]:
    """The rule everybody in the trade knows, in words, and where it holds: 1, else 0 (also where unknown).

    For upsell, 90 % of the quota used in 28 days; for every kind of churn, calls of 28 days at most half of those of
    the 28 days before.
    """
    if target == "upsell":
        return "90 % of the quota used", np.asarray(frame[_QUOTA] >= 0.9, dtype=np.float64)
    return "calls fell by half", np.asarray(frame[_TREND] <= 0.5, dtype=np.float64)


def logistic(fitted: pd.DataFrame, encoding: Encoding) -> Any:
    """Fit a logistic regression on rank-scaled columns; returns ``frame -> probability``.

    Ranks are learnt on the fitting rows. A null becomes the middle rank with an indicator of its own.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer

    pipeline = make_pipeline(
        QuantileTransformer(n_quantiles=min(1000, len(fitted)), subsample=None),
        SimpleImputer(strategy="constant", fill_value=0.5, add_indicator=True),
        LogisticRegression(C=1.0, max_iter=2000),
    )
    pipeline.fit(encoding.matrix(fitted), fitted["label"].to_numpy())

    def probability(frame: pd.DataFrame) -> Floats:
        return np.asarray(pipeline.predict_proba(encoding.matrix(frame))[:, 1], dtype=np.float64)

    return probability
