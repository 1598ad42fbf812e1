"""A rule that answers like a model: what one feature alone says, as log-odds that were learnt from past rows."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from features.definitions.feature import FeatureSpec
from features.exceptions import InputError, WorkFailedError, counted, listed
from training.models.scorecard import fitted_points, rank_of, rank_scale

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["CountingRule", "Rule", "fit_rule", "read_rule"]


_STRENGTH = 10.0  # scikit-learn's C: so few weights need hardly be held back
_UPPER = 0.8  # rank from which on the rule may be steeper

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class CountingRule:
    """Something a person could count, before anything is learnt: a feature to sort by, or a bound it has to reach.

    Attributes
    ----------
    title
        The rule in words.
    at_most, at_least
        The bound of a rule that says yes or no; both None where it sorts.
    """

    title: str
    feature: FeatureSpec
    at_most: float | None = None
    at_least: float | None = None


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
@dataclass(frozen=True)
class Rule:
    """A counting rule with what each value of its feature adds to the margin, in log-odds.

    Attributes
    ----------
    title
        The rule in words.
    knots, ranks
        Of a rule that sorts: values of the feature over the fitting rows, and the share of these rows below each, as in
        a scorecard. Of a rule that says yes or no: none.
    at_most, at_least
        The bound of a rule that says yes or no; a null is a no.
    weight
        Log-odds from the lowest rank to the highest, or of a yes.
    upper_weight
        What the part of the rank above 0.8 adds to that.
    null_weight
        Log-odds of a null, which stands at the middle rank.
    mean
        What all this is over the fitting rows on average: contributions are measured from there.
    base_margin
        Log-odds of an average row.
    """

    title: str
    feature: str
    family: str
    knots: tuple[float, ...]
    ranks: tuple[float, ...]
    at_most: float | None
    at_least: float | None
    weight: float
    upper_weight: float
    null_weight: float
    mean: float
    base_margin: float

    def contribution(self, columns: "Mapping[str, Any] | pd.DataFrame") -> Floats:
        """Log-odds by which each row differs from an average one: all of it is its one family's.

        Raises
        ------
        InputError
            When the feature is missing or infinite.
        """
        if self.feature not in columns:
            raise InputError(f'{self.feature}, which the rule "{self.title}" reads, is missing. Build it first.')
        values = np.asarray(columns[self.feature], dtype=np.float64)
        if np.isinf(values).any():
            raise InputError(f"{self.feature} holds infinite values. Build it again.")
        bound = None if self.knots else (self.at_most, self.at_least)
        design = _design(values, np.asarray(self.knots), np.asarray(self.ranks), bound)
        weights = np.array([self.weight, self.upper_weight, self.null_weight])[: design.shape[1]]
        return np.asarray((design * weights).sum(axis=1) - self.mean)

    def margin(self, columns: "Mapping[str, Any] | pd.DataFrame") -> Floats:
        """Log-odds of each row.

        Raises
        ------
        InputError
            As :meth:`contribution`.
        """
        return self.base_margin + self.contribution(columns)

    @property
    def as_json(self) -> str:
        """The text of ``rule.json``, from which :func:`read_rule` makes it again, to the last digit."""
        return json.dumps(asdict(self), sort_keys=True, indent=1, allow_nan=False)


def read_rule(text: str | bytes) -> Rule:
    """The rule that :attr:`Rule.as_json` was taken of.

    Raises
    ------
    InputError
        When the text says anything else.
    """
    try:
        rule: Rule = TypeAdapter(Rule).validate_json(text)
    except ValidationError as error:
        reasons = listed(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors())
        raise InputError(f"This is no rule: {reasons}.") from error
    has_bound = (rule.at_most is None) != (rule.at_least is None)
    is_straight = all(np.diff(rule.knots) > 0) and all(np.diff(rule.ranks) >= 0)
    if len(rule.knots) != len(rule.ranks) or not is_straight:
        raise InputError("This is no rule: its knots and ranks do not fit.")
    if has_bound == bool(rule.knots):
        raise InputError(
            f"This is no rule: it has {'both' if has_bound else 'neither'} knots {_AND[has_bound]} a bound."
        )
    return rule


_AND = {True: "and", False: "nor"}


def fit_rule(frame: "pd.DataFrame", form: CountingRule, *, target: str) -> Rule:
    """Learn the log-odds of a counting rule by penalised likelihood, however few rows are positive.

    A logistic regression (C = 10) on the feature's rank over these rows, the part of the rank above 0.8, and null; of
    a rule that says yes or no, on that alone. Where it is certain which way the feature moves the risk, no weight is
    against it: a handful of events would else turn a rule around.

    Parameters
    ----------
    frame
        Fitting rows: ``label`` and the feature.

    Raises
    ------
    WorkFailedError
        When no row is positive, every one is, or the rule is the same in all.
    """
    label, values = frame["label"].to_numpy(dtype=np.float64), frame[form.feature.name].to_numpy(dtype=np.float64)
    rows = counted(len(label), "row|rows")
    if not 0 < label.mean() < 1:
        raise WorkFailedError(
            f'The rule "{form.title}" has nothing to learn from: {"none" if not label.any() else "every one"} of '
            f"{rows} is positive. Load a longer history, or more accounts."
        )
    bound = None if form.at_most is None and form.at_least is None else (form.at_most, form.at_least)
    sorts = bound is None and not np.isnan(values).all()
    knots, ranks = rank_scale(values) if sorts else (np.zeros(0), np.zeros(0))
    design = _design(values, knots, ranks, bound) if sorts or bound else np.zeros((len(values), 1))
    means = design.mean(axis=0)
    varies = (design != design[0]).any(axis=0)
    if not varies.any():
        raise WorkFailedError(
            f'The rule "{form.title}" tells no two of {rows} apart: {form.feature.name} is the same in all of them. '
            "Load a longer history, or more accounts."
        )
    sign = form.feature.risk(target).monotone
    if bound is not None:
        sign = 1 if sign else 0  # a yes is what raises the risk, whichever side of the bound it lies on
    signs = np.array([sign, sign, 0])[: design.shape[1]]
    weights = np.zeros(3)
    intercept, *fitted = fitted_points(
        (design - means)[:, varies], label, np.array([0, *signs[varies]]), _STRENGTH
    ).tolist()
    weights[np.flatnonzero(varies)] = fitted
    return Rule(
        title=form.title,
        feature=form.feature.name,
        family=form.feature.family,
        knots=tuple(knots.tolist()),
        ranks=tuple(ranks.tolist()),
        at_most=form.at_most,
        at_least=form.at_least,
        weight=float(weights[0]),
        upper_weight=float(weights[1]),
        null_weight=float(weights[2]),
        mean=float(means @ weights[: len(means)]),
        base_margin=intercept,
    )


def _design(values: Floats, knots: Floats, ranks: Floats, bound: tuple[float | None, float | None] | None) -> Floats:
    """Rows by rank, its upper part and null; of a bound, by whether it is reached."""
    if bound is not None:
        at_most, at_least = bound
        is_low = values <= (np.inf if at_most is None else at_most)
        is_high = values >= (-np.inf if at_least is None else at_least)
        return np.asarray(is_low & is_high, dtype=np.float64)[:, None]
    rank, is_null = rank_of(values, knots, ranks)
    return np.column_stack([rank, np.maximum(rank - _UPPER, 0.0), is_null])
