"""How well each feature alone tells a label: one that tells it nearly always was probably made from it."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.definitions.feature import FeatureSpec
from features.exceptions import InputError, WorkFailedError
from features.home.home import Home
from training.judging.evaluate import Judged, account_weights, interval, roc_auc
from training.labels.dataset import closed_labels
from training.labels.targets import Target

__all__ = ["ALARM", "LabelAudit", "SingleFeature", "audit_labels", "separation", "tells"]


ALARM = 0.95
"""ROC-AUC from which on a single feature is taken for a leak."""

_REPETITIONS = 200
_FEWEST = 10  # accounts of either outcome: fewer are told apart by chance
_MOST_POSITIVES, _MOST_NEGATIVES = 5_000, 10_000  # rows; the ROC-AUC does not depend on their ratio
_MOST_VALUES = 12  # of a category, as many as a model sees

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class SingleFeature:
    """A feature, and how well it alone ranks the positives: ROC-AUC, whichever way it ranks them.

    ``is_date`` says whether it is the way to a date that is known beforehand, ``is_known`` whether it or its family is
    known to tell the target: it counts what that is made of, or the setting ``known_tells`` names it.
    """

    feature: str
    roc_auc: float
    is_date: bool = False
    is_known: bool = False

    @property
    def may_tell(self) -> bool:
        """Whether its telling the label is no alarm."""
        return self.is_date or self.is_known


@dataclass(frozen=True)
class LabelAudit:
    """One target's labels beside every single feature.

    Attributes
    ----------
    rows, positives
        Rows looked at, and how many of them are positive.
    best
        The feature that ranks best; None where nothing was looked at.
    alarms
        Features at or above :data:`ALARM`, best first.
    skipped
        Why nothing was looked at; None where it was.
    """

    target: str
    rows: int
    positives: int
    best: SingleFeature | None
    alarms: tuple[SingleFeature, ...]
    skipped: str | None

    @property
    def agreed(self) -> tuple[SingleFeature, ...]:
        """Alarms of what may tell: an account that can leave only when its term ends is told by that date."""
        return tuple(feature for feature in self.alarms if feature.may_tell)

    @property
    def leaks(self) -> tuple[SingleFeature, ...]:
        """All other alarms."""
        return tuple(feature for feature in self.alarms if not feature.may_tell)


def audit_labels(home: Home, target: Target, *, seed: int) -> LabelAudit:
    """Hold each feature against the labels of one target: closed rows, with what training reads for them.

    Rows whose event fell into the lead are left out, as in fitting. Of many rows a random part is looked at.

    Raises
    ------
    DependencyError
        When Feast's registry is away.
    WorkFailedError
        When files are damaged or missing.
    """
    from features.feature_store.store import open_store

    try:
        labels = closed_labels(home, target).frame
    except (InputError, WorkFailedError) as error:
        return LabelAudit(target.name, 0, 0, None, (), str(error))
    rows = labels[~labels["in_lead"]]
    accounts = {outcome: rows[rows["label"] == outcome]["account_id"].nunique() for outcome in (0, 1)}
    if min(accounts.values()) < _FEWEST:
        why = f"{accounts[1]} accounts {target.happened} and {accounts[0]} did not: too few to tell a leak from chance."
        return LabelAudit(target.name, 0, 0, None, (), why)
    rows = _thinned(rows, seed=seed)
    entities = rows.rename(columns={"cutoff": "event_timestamp"})[["account_id", "event_timestamp"]]
    frame = open_store(home).historical(entities, service=target.service)
    label = rows["label"].to_numpy(dtype=np.float64)
    known = {*target.known_tells, *home.settings.known_tells}
    alone = [
        SingleFeature(
            feature.name,
            separation(label, frame[feature.name], is_category=feature.kind == "category"),
            feature.is_date,
            is_known=bool({feature.name, feature.family} & known),
        )
        for feature in home.catalog.features_of_service(target.service)
    ]
    alone.sort(key=lambda single: (-single.roc_auc, single.feature))
    alarms = tuple(single for single in alone if single.roc_auc >= ALARM)
    return LabelAudit(target.name, len(rows), int(label.sum()), alone[0], alarms, None)


def separation(label: Floats, values: "pd.Series[float]", *, is_category: bool = False) -> float:
    """ROC-AUC of the labels by these values alone, 0.5 to 1: the better of both directions; NaN with one label only.

    Nulls rank below or above everything, whichever tells more. Of a category, the value that tells most: its rows
    against all others.

    >>> separation(np.array([0.0, 0.0, 1.0, 1.0]), pd.Series([5.0, 4.0, 1.0, None]))
    1.0
    """
    return _most_telling(label, values, is_category)[0]


def tells(
    rows: pd.DataFrame, features: Sequence[FeatureSpec], *, known: Collection[str], seed: int
) -> dict[str, tuple[float, float, float]]:
    """Features that alone rank the labels of these rows with a ROC-AUC of :data:`ALARM` or more.

    Each with its figure and account-bootstrap 95 % interval. Left aside are dates that are known beforehand, and the
    features and families that are ``known`` to tell.
    """
    if rows["label"].nunique() < 2:
        return {}
    rows = _thinned(rows, seed=seed)
    label = rows["label"].to_numpy(dtype=np.float64)
    areas = {}
    for feature in features:
        if feature.is_date or {feature.name, feature.family} & set(known):
            continue
        area, scores = _most_telling(label, rows[feature.name], feature.kind == "category")
        if area >= ALARM:
            accounts, numbers = np.unique(rows["account_id"].to_numpy(dtype=str), return_inverse=True)
            weights = account_weights(len(accounts), repetitions=_REPETITIONS, seed=seed)
            judged = Judged(label, numbers.astype(np.int64), len(accounts))
            areas[feature.name] = (area, *interval(judged, weights, scores, roc_auc))
    return areas


def _most_telling(label: Floats, values: "pd.Series[float]", is_category: bool) -> tuple[float, Floats]:  # noqa: FBT001
    """The largest ROC-AUC of all ways to rank by these values, and the scores that give it."""
    ways = [
        (roc_auc(label, sign * scores), sign * scores) for scores in _scores(values, is_category) for sign in (1, -1)
    ]
    return max(ways, key=lambda way: way[0])


def _scores(values: "pd.Series[float]", is_category: bool) -> Iterator[Floats]:  # noqa: FBT001 - one feature, two kinds
    nulls = values.isna().to_numpy()
    if is_category:
        yield nulls.astype(np.float64)
        for value in values.value_counts().index[:_MOST_VALUES]:
            yield (values == value).to_numpy(dtype=np.float64)
        return
    ranks = values.rank(method="dense").to_numpy(dtype=np.float64)
    yield np.where(nulls, 0.0, ranks)
    if nulls.any():
        yield np.where(nulls, len(ranks) + 1.0, ranks)


def _thinned(rows: pd.DataFrame, *, seed: int) -> pd.DataFrame:
    """At most so many positives, and so many others, drawn at random."""
    parts = []
    for outcome, most in ((1, _MOST_POSITIVES), (0, _MOST_NEGATIVES)):
        part = rows[rows["label"] == outcome]
        parts.append(part.sample(min(most, len(part)), random_state=seed))
    return pd.concat(parts, ignore_index=True)
