"""A model of two halves, a booster and a scorecard: how far each counts, and its margin and contributions."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, with_config

from features.shares import percent

__all__ = ["BOOSTER_ALONE", "Stack"]


Floats = npt.NDArray[np.float64]


@with_config(ConfigDict(extra="forbid", allow_inf_nan=False))
@dataclass(frozen=True)
class Stack:
    """margin = ``booster`` times the booster's margin + ``scorecard`` times the scorecard's + ``intercept``, log-odds.

    Attributes
    ----------
    booster, scorecard
        Weights, none of them below 0, whose sum is 1; the scorecard's is 0 where it does not count.
    learnt
        The weight of the scorecard before they were brought to that sum, and its account-bootstrap 95 % interval; None
        where nothing could be learnt of it.
    """

    booster: float
    scorecard: float
    intercept: float
    learnt: tuple[float, float, float] | None = None

    @property
    def has_scorecard(self) -> bool:
        """Whether the scorecard counts."""
        return self.scorecard > 0.0

    def margin(self, booster: Floats, scorecard: Floats | None) -> Floats:
        """Log-odds of each row from those of both halves; the scorecard's may be left out where it does not count."""
        own = self.booster * booster + self.intercept
        return np.asarray(own if scorecard is None or not self.has_scorecard else own + self.scorecard * scorecard)

    @property
    def in_words(self) -> str:
        """Which halves count and why, in one sentence."""
        if self.learnt is None:
            return "The scorecard is left out: too few accounts tell what it would add."
        weight, low, high = self.learnt
        if not self.has_scorecard:
            return "The scorecard adds nothing that could be told from chance and is left out."
        return (
            f"The scorecard makes {percent(self.scorecard)} of the score, the trees {percent(self.booster)}: its "
            f"weight, {weight:.2f}, is told from chance (95 % interval {low:.2f} to {high:.2f})."
        )


BOOSTER_ALONE = Stack(1.0, 0.0, 0.0)
