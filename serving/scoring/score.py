"""Scores rows of features with one model: the only code that does, for the service and the batch alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
import numpy.typing as npt

from features.definitions.catalog import Catalog
from features.definitions.sets import catalog_with, set_of
from features.exceptions import listed
from serving.scoring.yardsticks import Yardstick, yardsticks
from training.models.bands import band_of
from training.models.bundle import TRAIN_AGAIN, Bundle, BundleError, read
from training.models.explain import Explained, by_feature, explain, explain_rule
from training.models.matrix import matrix
from training.models.verify import load_model
from training.registry.champions import Champion

if TYPE_CHECKING:
    import lightgbm as lgb

__all__ = ["Scorer", "Scores", "load_scorer", "score_rows"]


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Scorer:
    """A verified model, ready to score; its booster is only ever read, so threads may share it. A rule has none."""

    name: str
    version: str
    sha256: str
    bundle: Bundle
    booster: "lgb.Booster | None"

    @property
    def target(self) -> str:
        """What it foretells."""
        return self.bundle.target

    @property
    def kind(self) -> Literal["model", "rule"]:
        """What answers."""
        return "model" if self.bundle.rule is None else "rule"

    @property
    def rule(self) -> str | None:
        """The rule that answers, in words; None for a model."""
        return None if self.bundle.rule is None else self.bundle.rule.title

    @cached_property
    def catalog(self) -> Catalog:
        """What its features mean, the declared ones as they were when it was trained."""
        return catalog_with(set_of(self.bundle.declared))

    @cached_property
    def yardsticks(self) -> Mapping[str, Yardstick]:
        """How the values of its features lie among the accounts it learnt from."""
        return yardsticks(self.bundle.statistics)


@dataclass(frozen=True)
class Scores:
    """One row per row of features.

    Attributes
    ----------
    margin, base_margin
        Log-odds; ``base_margin`` plus the row's contributions is ``margin`` to 1e-6.
    probability
        Calibrated probability of the target within its horizon: a monotone map of the margin.
    band
        ``high``, ``medium`` or ``low``; only those the model has.
    features, contributions
        Names, and rows by features, in log-odds.
    """

    margin: Floats
    base_margin: Floats
    probability: Floats
    band: npt.NDArray[Any]
    features: tuple[str, ...]
    contributions: Floats


def load_scorer(champion: Champion) -> Scorer:
    """Read the champion's bundle, verified, and its booster or rule, checked on the golden rows.

    Raises
    ------
    BundleError
        When the bundle is not the one that was registered, does not do what it did, or reads what is no more.
    """
    bundle = read(champion.bundle_folder, sha256=champion.sha256)
    scorer = Scorer(champion.name, champion.version, champion.sha256, bundle, load_model(bundle))
    _require_features(scorer)
    return scorer


def _require_features(scorer: Scorer) -> None:
    bundle, services = scorer.bundle, scorer.catalog.services
    who = f"{scorer.name} version {scorer.version} reads"
    if bundle.service not in services:
        raise BundleError(f"{who} the feature service {bundle.service}, which is no more. {TRAIN_AGAIN}")
    gone = sorted(set(bundle.features) - set(services[bundle.service]))
    if gone:
        raise BundleError(f"{who} {listed(gone)}, gone from the feature service {bundle.service}. {TRAIN_AGAIN}")


def score_rows(scorer: Scorer, columns: Mapping[str, Any]) -> Scores:
    """Score and explain every row of feature ``columns``.

    Raises
    ------
    InputError
        When a feature the model reads is missing or infinite.
    WorkFailedError
        When the contributions do not add up to the margin.
    """
    bundle = scorer.bundle
    explained = _explained(scorer, columns)
    features, contributions = by_feature(explained.columns, explained.contributions)
    probability = bundle.calibration.probability(explained.margin)
    band = band_of(probability, bundle.bands)
    return Scores(explained.margin, explained.base_margin, probability, band, features, contributions)


def _explained(scorer: Scorer, columns: Mapping[str, Any]) -> Explained:
    bundle = scorer.bundle
    if bundle.rule is not None:
        return explain_rule(bundle.rule, columns)
    return explain(bundle, cast("lgb.Booster", scorer.booster), matrix(bundle, columns), columns)
