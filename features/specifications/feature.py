"""One feature, one family, one direction: the words in which the catalogue is written."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = ["Family", "FeatureSpec", "Risk"]


class Risk(StrEnum):
    """What more of a feature does to the risk; ``certain`` ones become monotone constraints."""

    UP = "up"
    DOWN = "down"
    CERTAIN_UP = "certain_up"
    CERTAIN_DOWN = "certain_down"
    DEPENDS = "depends"

    @property
    def monotone(self) -> Literal[-1, 0, 1]:
        """LightGBM's monotone constraint of this direction."""
        return {Risk.CERTAIN_UP: 1, Risk.CERTAIN_DOWN: -1}.get(self, 0)  # type: ignore[return-value]


@dataclass(frozen=True)
class Family:
    """Correlated features that speak once: contributions are summed inside a family.

    ``raises`` and ``lowers`` are the reason codes by the sign of the family's sum.
    """

    name: str
    title: str
    actionable: bool
    raises: str
    lowers: str


@dataclass(frozen=True)
class FeatureSpec:
    """One feature: one value per account and cutoff.

    Attributes
    ----------
    window_days
        Length of the longest window it looks at; None for a state.
    text
        The sentence a reason shows when this feature leads its family. It states the value and, where there
        is one, the comparison, and is true whichever way the feature pushed. Fields in braces are features of
        the same row, ``prior`` or ``base``; the formats are those of ``serving.words``.
    null_text
        What is said instead when the feature, or another value the sentence needs, is null.
    past_text
        The sentence when the feature's own value is negative: a date that has passed.
    zero_text
        The sentence when the feature's own value is 0, where the usual one would read oddly: "No call failed …".
    prior_of
        For a count ratio ``(now + 1) / (prior + 1)``: the feature that is ``now``, so that ``{prior}`` can be said.
    base_of
        For a plain ratio ``now / base``: the feature that is ``now``, so that ``{base}`` can be said.
    """

    name: str
    group: str
    family: str
    window_days: int | None
    unit: str
    kind: Literal["float", "int", "category"]
    null_rule: str
    meaning: str
    text: str
    null_text: str
    churn: Risk = Risk.DEPENDS
    upsell: Risk = Risk.DEPENDS
    prior_of: str | None = None
    past_text: str | None = None
    zero_text: str | None = None
    base_of: str | None = None

    def risk(self, target: str) -> Risk:
        """Risk direction for a target; every churn target shares one."""
        return self.upsell if target == "upsell" else self.churn
