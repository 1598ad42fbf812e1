"""A scorecard: points by the rank of a few features, fitted as one logistic regression and added up by family."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from features.definitions.feature import FeatureSpec
from features.exceptions import InputError, WorkFailedError, listed

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Scorecard", "Term", "fit_scorecard", "fitted_points", "rank_of", "rank_scale", "read_scorecard"]


STRENGTH = 0.03
"""scikit-learn's C: chosen on five real logs, with the ranks of core features and fading use."""

_MOST_KNOTS = 201
_MIDDLE = 0.5
_MOST_STEPS = 200
_FLAT = 1e-10  # of the loss, per row
_SHORTEST = 1e-8

Floats = npt.NDArray[np.float64]


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
@dataclass(frozen=True)
class Term:
    """What one feature adds to the margin, in log-odds.

    Attributes
    ----------
    knots, ranks
        Values of the feature over the fitting rows, ascending, and the share of these rows that lie below each, those
        that tie by half. Between two knots the rank is interpolated, beyond the ends it is that of the end.
    weight
        Log-odds from the lowest rank, 0, to the highest, 1.
    null_weight
        Log-odds of a null, which stands at the middle rank.
    mean
        What the term is over the fitting rows on average: contributions are measured from there.
    """

    feature: str
    family: str
    knots: tuple[float, ...]
    ranks: tuple[float, ...]
    weight: float
    null_weight: float
    mean: float

    def contribution(self, values: Floats) -> Floats:
        """Log-odds by which each value differs from an average row; null is nan."""
        rank, is_null = rank_of(values, np.asarray(self.knots), np.asarray(self.ranks))
        return rank * self.weight + is_null * self.null_weight - self.mean


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
@dataclass(frozen=True)
class Scorecard:
    """A margin that is a sum over features, so that each family's part depends on its own features alone.

    Attributes
    ----------
    base_margin
        Log-odds of an average row.
    terms
        By feature, in service order.
    """

    base_margin: float
    terms: tuple[Term, ...]

    @property
    def features(self) -> tuple[str, ...]:
        """The features it reads."""
        return tuple(term.feature for term in self.terms)

    @property
    def families(self) -> tuple[str, ...]:
        """The families of its features, in the order they first come."""
        return tuple(dict.fromkeys(term.family for term in self.terms))

    def contributions(self, columns: "Mapping[str, Any] | pd.DataFrame") -> Floats:
        """Rows by terms, in log-odds; with ``base_margin`` they add up to :meth:`margin`.

        Raises
        ------
        InputError
            When a feature is missing or infinite.
        """
        missing = sorted(set(self.features) - set(columns))
        if missing:
            raise InputError(
                f"{len(missing)} features the scorecard reads are missing: {listed(missing)}. Build them first."
            )
        values = [np.asarray(columns[name], dtype=np.float64) for name in self.features]
        infinite = [name for name, column in zip(self.features, values, strict=True) if np.isinf(column).any()]
        if infinite:
            raise InputError(f"{len(infinite)} features hold infinite values: {listed(infinite)}. Build them again.")
        return np.column_stack([term.contribution(column) for term, column in zip(self.terms, values, strict=True)])

    def by_family(self, contributions: Floats) -> Floats:
        """Rows by :attr:`families`: contributions summed inside each."""
        of_family = [[term.family == family for term in self.terms] for family in self.families]
        return np.column_stack([contributions[:, np.asarray(is_own)].sum(axis=1) for is_own in of_family])

    def margin(self, columns: "Mapping[str, Any] | pd.DataFrame") -> Floats:
        """Log-odds of each row.

        Raises
        ------
        InputError
            As :meth:`contributions`.
        """
        return np.asarray(self.base_margin + self.by_family(self.contributions(columns)).sum(axis=1))

    @property
    def as_json(self) -> str:
        """The text of ``scorecard.json``, from which :func:`read_scorecard` makes it again, to the last digit."""
        return json.dumps(asdict(self), sort_keys=True, indent=1, allow_nan=False)


def read_scorecard(text: str | bytes) -> Scorecard:
    """The scorecard that :attr:`Scorecard.as_json` was taken of.

    Raises
    ------
    InputError
        When the text says anything else.
    """
    try:
        scorecard: Scorecard = TypeAdapter(Scorecard).validate_json(text)
    except ValidationError as error:
        reasons = listed(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise InputError(f"This is no scorecard: {reasons}.") from error
    crooked = [term.feature for term in scorecard.terms if not _is_straight(term)]
    if crooked or not scorecard.terms:
        raise InputError(f"This is no scorecard: {listed(crooked) or 'it has no terms'}: knots and ranks do not fit.")
    return scorecard


def fit_scorecard(
    frame: "pd.DataFrame", features: Sequence[FeatureSpec], *, target: str, strength: float = STRENGTH
) -> Scorecard:
    """Fit the points of the features that are for a scorecard, by penalised likelihood.

    Least ``sum(log loss) + |weights|² / (2 strength)``, with the weights of features whose direction is certain held to
    it; the same rows give the same scorecard. Features that are null or the same in every row have no term.

    Parameters
    ----------
    frame
        Fitting rows: ``label`` and the features.

    Raises
    ------
    WorkFailedError
        When no feature is left, or every label is the same.
    """
    label = frame["label"].to_numpy(dtype=np.float64)
    read = [feature for feature in features if "scorecard" in feature.readers]
    columns = {feature.name: frame[feature.name].to_numpy(dtype=np.float64) for feature in read}
    used = [feature for feature in read if len(np.unique(columns[feature.name])) > 1]
    if not used or not 0 < label.mean() < 1:
        raise WorkFailedError(
            f"A scorecard has nothing to learn from: {len(used)} of {len(read)} features differ from row to row, and "
            f"{label.sum():.0f} of {len(label)} rows are positive. Load a longer history, or more accounts."
        )
    scales = [rank_scale(columns[feature.name]) for feature in used]
    ranked = [
        rank_of(columns[feature.name], knots, ranks) for feature, (knots, ranks) in zip(used, scales, strict=True)
    ]
    design = np.column_stack([*(rank for rank, _ in ranked), *(is_null for _, is_null in ranked)])
    means = design.mean(axis=0)
    design -= means
    signs = np.array([0, *(feature.risk(target).monotone for feature in used), *([0] * len(used))])
    varies = np.concatenate([[True], design.any(axis=0)])  # what is never null has no weight for null
    points = np.zeros(len(varies))
    points[varies] = fitted_points(design[:, varies[1:]], label, signs[varies], strength)
    weights, null_weights = np.split(points[1:], 2)
    of_means = np.split(means, 2)
    return Scorecard(
        float(points[0]),
        tuple(
            Term(
                feature.name,
                feature.family,
                tuple(knots.tolist()),
                tuple(ranks.tolist()),
                float(weights[place]),
                float(null_weights[place]),
                float(of_means[0][place] * weights[place] + of_means[1][place] * null_weights[place]),
            )
            for place, (feature, (knots, ranks)) in enumerate(zip(used, scales, strict=True))
        ),
    )


def fitted_points(design: Floats, label: Floats, signs: npt.NDArray[np.int64], strength: float) -> Floats:
    """Intercept and weights of least penalised loss, the weights with a sign never beyond 0.

    Newton's method, each step to the least of the quadratic within the bounds. The loss is convex, so there is one
    answer; it takes some ten steps.
    """
    from scipy.optimize import lsq_linear

    matrix = np.column_stack([np.ones(len(design)), design])
    penalty = np.concatenate([[0.0], np.full(design.shape[1], 1.0 / strength)])
    bounds = np.where(signs > 0, 0.0, -np.inf), np.where(signs < 0, 0.0, np.inf)

    def loss(points: Floats) -> float:
        margin = matrix @ points
        return float(np.logaddexp(0.0, margin).sum() - label @ margin + penalty @ points**2 / 2)

    points = np.zeros(matrix.shape[1])
    points[0] = np.log(label.mean() / (1.0 - label.mean()))
    for _ in range(_MOST_STEPS):
        chance = 1.0 / (1.0 + np.exp(-(matrix @ points)))
        slope = matrix.T @ (chance - label) + penalty * points
        is_free = ~((points == 0.0) & (signs * slope > 0.0))
        if np.abs(slope[is_free]).max() < _FLAT * len(label):
            return points
        rooted = matrix * np.sqrt(chance * (1.0 - chance))[:, None]
        root = np.linalg.cholesky(rooted.T @ rooted + np.diag(penalty)).T
        wanted = np.linalg.solve(root.T, root.T @ (root @ points) - slope)
        step = lsq_linear(root, wanted, bounds, method="bvls", tol=1e-14).x - points
        before, length = loss(points), 1.0
        while loss(points + length * step) > before + 1e-4 * length * float(slope @ step) and length > _SHORTEST:
            length /= 2.0
        points = points + length * step
    raise WorkFailedError(
        f"The scorecard did not settle in {_MOST_STEPS} steps over {len(label)} rows. Look at the quality report of "
        "`bellwether ingest`: a feature may hold numbers beyond all measure."
    )


def rank_scale(values: Floats) -> tuple[Floats, Floats]:
    """Knots of a feature over the fitting rows, and the rank of each: its quantiles, and what lies between ties."""
    known = np.sort(values[~np.isnan(values)])
    knots = np.unique(np.quantile(known, np.linspace(0.0, 1.0, _MOST_KNOTS), method="nearest"))
    below = np.searchsorted(known, knots, side="left") + np.searchsorted(known, knots, side="right")
    return knots, below / (2.0 * len(known))


def rank_of(values: Floats, knots: Floats, ranks: Floats) -> tuple[Floats, Floats]:
    """The rank of each value, the middle for a null, and 1 where it is null."""
    is_null = np.isnan(values)
    rank = np.interp(np.where(is_null, knots[0], values), knots, ranks)
    return np.where(is_null, _MIDDLE, rank), is_null.astype(np.float64)


def _is_straight(term: Term) -> bool:
    """Whether the knots ascend and each has a rank."""
    is_ascending = all(np.diff(term.knots) > 0) and all(np.diff(term.ranks) >= 0)
    return bool(term.knots) and len(term.knots) == len(term.ranks) and is_ascending
