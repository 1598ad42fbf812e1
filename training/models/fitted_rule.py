"""A rule as training has it: what was learnt of it, and how far to trust its margins."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.exceptions import WorkFailedError
from training.models.bundle import Calibration
from training.models.calibrate import calibrate
from training.models.model import out_of_fold
from training.models.rule import CountingRule, Rule, fit_rule

__all__ = ["FittedRule", "fit_rule_like_a_model", "foretold_by_rule"]


Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class FittedRule:
    """A rule and its calibration."""

    rule: Rule
    calibration: Calibration

    def margin(self, frame: pd.DataFrame) -> Floats:
        """Log-odds of each row, before calibration."""
        return self.rule.margin(frame)

    def probability(self, frame: pd.DataFrame) -> Floats:
        """Calibrated probability of each row."""
        return self.calibration.probability(self.margin(frame))


def fit_rule_like_a_model(rows: pd.DataFrame, form: CountingRule, *, target: str) -> tuple[FittedRule, Floats]:
    """A rule learnt of these rows and calibrated as a model is.

    Returns it, and the log-odds of each row by rules that do not know its account. Where too few accounts are positive
    to leave any out, they are those of the rule itself.

    Raises
    ------
    WorkFailedError
        When no row is positive, every one is, or the rule is the same in all.
    """
    rule = fit_rule(rows, form, target=target)
    try:
        unseen = out_of_fold(rows, partial(_foretold, form=form, target=target))
    except WorkFailedError:
        unseen = rule.margin(rows)
    label = rows["label"].to_numpy(dtype=np.float64)
    cutoff = np.unique(rows["cutoff"].to_numpy(), return_inverse=True)[1].astype(np.int64)
    positive = rows.loc[label == 1, "account_id"].nunique()
    return FittedRule(rule, calibrate(unseen, label, cutoff, positive_accounts=positive)), unseen


def foretold_by_rule(fitted: pd.DataFrame, judged: pd.DataFrame, form: CountingRule, *, target: str) -> Floats:
    """Probability of each judged row by a rule of the fitted ones; their base rate where it tells none apart."""
    try:
        return fit_rule_like_a_model(fitted, form, target=target)[0].probability(judged)
    except WorkFailedError:
        return np.full(len(judged), float(fitted["label"].mean()))


def _foretold(fitted: pd.DataFrame, judged: pd.DataFrame, form: CountingRule, *, target: str) -> Floats:
    return fit_rule(fitted, form, target=target).margin(judged)
