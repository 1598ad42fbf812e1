"""Why a model scored as it did: exact contributions to the margin, by model column, feature and family."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from features.definitions.catalog import BUILT_IN, Catalog
from features.exceptions import WorkFailedError
from training.models.bundle import Column

if TYPE_CHECKING:
    import lightgbm as lgb
    import pandas as pd

    from training.models.rule import Rule
    from training.models.scorecard import Scorecard
    from training.models.stack import Stack

__all__ = ["TOLERANCE", "Explained", "Halves", "by_family", "by_feature", "explain", "explain_rule"]


TOLERANCE = 1e-6
"""How far base plus contributions may be from the margin, in log-odds."""

_CHECKED_ROWS = 256

Floats = npt.NDArray[np.float64]


class Halves(Protocol):
    """What explaining takes of a model beside its booster: a fitted model, or the bundle of a registered one."""

    @property
    def columns(self) -> tuple[Column, ...]:
        """The booster's, in its order."""

    @property
    def stack(self) -> "Stack":
        """How far each half counts."""

    @property
    def scorecard(self) -> "Scorecard | None":
        """The second half, where it counts."""


@dataclass(frozen=True)
class Explained:
    """TreeSHAP values of the margin, in log-odds (Lundberg et al., 2020, Nature Machine Intelligence 2, 56-67).

    Those of the booster times its weight, and beside them, where a scorecard counts, its points times theirs.

    Attributes
    ----------
    base_margin
        One per row; the margin of an average row, the same for every row of one model.
    contributions
        Rows by :attr:`columns`.
    margin
        One per row: ``base_margin`` plus the row's contributions.
    columns
        The booster's, then one for each feature of the scorecard.
    """

    base_margin: Floats
    contributions: Floats
    margin: Floats
    columns: tuple[Column, ...]


def explain(
    model: Halves, booster: "lgb.Booster", matrix: Floats, features: "Mapping[str, Any] | pd.DataFrame"
) -> Explained:
    """Score and explain every row of ``matrix`` (rows by model columns), made of these feature columns.

    Raises
    ------
    InputError
        When a feature the scorecard reads is missing or infinite.
    WorkFailedError
        When base and contributions do not add up to the margin.
    """
    stack, scorecard = model.stack, model.scorecard
    terms = () if scorecard is None else scorecard.terms
    columns = (*model.columns, *(Column(f"scorecard: {term.feature}", term.feature) for term in terms))
    if not len(matrix):
        return Explained(np.zeros(0), np.zeros((0, len(columns))), np.zeros(0), columns)
    parts = np.asarray(booster.predict(matrix, pred_contrib=True), dtype=np.float64)
    # The margin is the sum; that the sum is what the booster predicts is a property of the booster, seen on a few rows.
    checked = slice(None, None, -(-len(matrix) // _CHECKED_ROWS))
    predicted = np.asarray(booster.predict(matrix[checked], raw_score=True), dtype=np.float64)
    base, contributions = stack.booster * parts[:, -1] + stack.intercept, stack.booster * parts[:, :-1]
    if scorecard is None:
        predicted = stack.margin(predicted, None)
    else:
        points = scorecard.contributions(features)
        predicted = stack.margin(predicted, scorecard.base_margin + points[checked].sum(axis=1))
        base += stack.scorecard * scorecard.base_margin
        contributions = np.column_stack([contributions, stack.scorecard * points])
    margin = base + contributions.sum(axis=1)
    difference = float(np.max(np.abs(margin[checked] - predicted)))
    if not difference <= TOLERANCE:
        raise WorkFailedError(
            f"The contributions of {len(predicted)} rows miss their margin by up to {difference:.3g}. "
            "The model cannot be explained; train it again with `bellwether train`."
        )
    return Explained(base, contributions, margin, columns)


def explain_rule(rule: "Rule", features: "Mapping[str, Any] | pd.DataFrame") -> Explained:
    """Score and explain every row of feature columns by a rule: its one feature carries the whole contribution.

    Raises
    ------
    InputError
        When the feature is missing or infinite.
    """
    contribution = rule.contribution(features)
    base = np.full(len(contribution), rule.base_margin)
    return Explained(base, contribution[:, None], base + contribution, (Column(rule.feature, rule.feature),))


def by_feature(columns: Sequence[Column], contributions: Floats) -> tuple[tuple[str, ...], Floats]:
    """Names of features, and their contributions, rows by features: indicator columns of one category are summed."""
    return _summed([column.feature for column in columns], contributions)


def by_family(
    columns: Sequence[Column], contributions: Floats, catalog: Catalog = BUILT_IN
) -> tuple[tuple[str, ...], Floats]:
    """Names of the catalogue's families, and their contributions, rows by families: correlated features speak once."""
    return _summed([catalog.spec(column.feature).family for column in columns], contributions)


def _summed(names: Sequence[str], contributions: Floats) -> tuple[tuple[str, ...], Floats]:
    places: dict[str, int] = {}
    codes = np.array([places.setdefault(name, len(places)) for name in names], dtype=np.intp)
    if not places:
        return (), np.zeros((len(contributions), 0))
    if np.any(np.diff(codes) < 0):  # what belongs together must lie together
        order = np.argsort(codes, kind="stable")
        codes, contributions = codes[order], contributions[:, order]
    return tuple(places), np.add.reduceat(contributions, np.searchsorted(codes, np.arange(len(places))), axis=1)
