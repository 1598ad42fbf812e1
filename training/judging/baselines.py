"""What a person could do in an hour: counting rules, and a logistic regression on ranks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.definitions.feature import FeatureSpec
from features.exceptions import WorkFailedError
from training.judging.evaluate import roc_auc
from training.models.model import Encoding
from training.models.rule import CountingRule

__all__ = [
    "LAST_CALL",
    "LOGISTIC",
    "RECENCY",
    "SingleFeatureRule",
    "best_rule",
    "counting_rule",
    "known_rule",
    "logistic",
    "logistic_on",
    "recency",
]


LOGISTIC = "logistic regression"
RECENCY = "days since the last call"
LAST_CALL = "days_since_last_call"
_NEVER = 1e6  # days: longer than anybody has been silent
_FALL = ("calls fell by half", "calls_28d_vs_prior_28d")
_QUOTA = ("90 % of the quota used", "quota_used_share_28d")
_HALF, _NEARLY_ALL = 0.5, 0.9

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SingleFeatureRule:
    """Sort accounts by one feature; a null stands in the middle.

    ``meaning`` says in words what the feature is, ``fitted`` are its ascending values over the fitting rows, nulls in
    the middle.
    """

    feature: str
    meaning: str
    rising: bool
    middle: float
    fitted: Floats

    @property
    def title(self) -> str:
        """The rule in words."""
        return f"{self.meaning.partition(';')[0]}, {'highest' if self.rising else 'lowest'} first"

    def score(self, frame: pd.DataFrame) -> Floats:
        """Share of the fitting rows that are less risky, those that tie by half: 0 to 1, one value per row.

        A share, so that scores of rules that were chosen at different times can stand in one ranking.
        """
        values = frame[self.feature].fillna(self.middle).to_numpy(dtype=np.float64)
        below = np.searchsorted(self.fitted, values, side="left") + np.searchsorted(self.fitted, values, side="right")
        share = below / (2 * len(self.fitted))
        return np.asarray(share if self.rising else 1.0 - share, dtype=np.float64)


def best_rule(fitted: pd.DataFrame, features: Sequence[FeatureSpec]) -> SingleFeatureRule:
    """The single numeric feature, and its direction, with the largest ROC-AUC over the fitting rows.

    Raises
    ------
    WorkFailedError
        When no feature holds a number.
    """
    label = fitted["label"].to_numpy(dtype=np.float64)
    best: tuple[float, FeatureSpec, bool] | None = None
    for feature in features:
        if feature.kind == "category" or not fitted[feature.name].notna().any():
            continue
        area = roc_auc(label, _filled(fitted, feature.name))
        rising = not area < 0.5
        if best is None or max(area, 1.0 - area) > best[0]:
            best = max(area, 1.0 - area), feature, rising
    if best is None:
        raise WorkFailedError(
            f"None of the {len(features)} features holds a number in the fitting rows. Look at the quality report of "
            "`bellwether ingest`: without calls there is nothing to learn from."
        )
    _, feature, rising = best
    middle = float(fitted[feature.name].median())
    return SingleFeatureRule(feature.name, feature.meaning, rising, middle, np.sort(_filled(fitted, feature.name)))


def _filled(frame: pd.DataFrame, name: str) -> Floats:
    return frame[name].fillna(frame[name].median()).to_numpy(dtype=np.float64)


def recency(target: str, frame: pd.DataFrame) -> Floats:
    """The rule :data:`RECENCY`: the longest silence first, before all who never called; for upsell the shortest."""
    days = frame[LAST_CALL].fillna(_NEVER).to_numpy(dtype=np.float64)
    return -days if target == "upsell" else days


def known_rule(target: str, frame: pd.DataFrame) -> tuple[str, Floats]:
    """The rule everybody in the trade knows, in words, and where it holds: 1, else 0 (also where unknown).

    For upsell, 90 % of the quota used in 28 days; for every kind of churn, calls of 28 days at most half of those of
    the 28 days before.
    """
    if target == "upsell":
        title, feature = _QUOTA
        return title, np.asarray(frame[feature] >= _NEARLY_ALL, dtype=np.float64)
    title, feature = _FALL
    return title, np.asarray(frame[feature] <= _HALF, dtype=np.float64)


def counting_rule(name: str, single: SingleFeatureRule, features: Sequence[FeatureSpec]) -> CountingRule:
    """The rule that goes by this name among the rivals, ready to be learnt; ``single`` is what any other name means."""
    of_name = {feature.name: feature for feature in features}
    if name == RECENCY:
        return CountingRule(name, of_name[LAST_CALL])
    if name == _FALL[0]:
        return CountingRule(name, of_name[_FALL[1]], at_most=_HALF)
    if name == _QUOTA[0]:
        return CountingRule(name, of_name[_QUOTA[1]], at_least=_NEARLY_ALL)
    return CountingRule(single.title, of_name[single.feature])


def logistic(fitted: pd.DataFrame, encoding: Encoding) -> Callable[[pd.DataFrame], Floats]:
    """Fit :func:`logistic_on` to the columns of a model; returns ``frame -> probability``."""
    foretell = logistic_on(encoding.matrix(fitted), fitted["label"].to_numpy(dtype=np.float64))
    return lambda frame: foretell(encoding.matrix(frame))


def logistic_on(columns: Floats, label: Floats) -> Callable[[Floats], Floats]:
    """Fit a logistic regression on rank-scaled columns; returns ``columns -> probability``.

    Ranks are learnt on the fitting rows. A null becomes the middle rank with an indicator of its own.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import QuantileTransformer

    pipeline = make_pipeline(
        QuantileTransformer(n_quantiles=min(1000, len(columns)), subsample=None),
        SimpleImputer(strategy="constant", fill_value=0.5, add_indicator=True),
        LogisticRegression(C=1.0, max_iter=2000),
    )
    pipeline.fit(columns, label)
    return lambda asked: np.asarray(pipeline.predict_proba(asked)[:, 1], dtype=np.float64)
