"""The classes of the catalogue: a feature with its null rule and bounds, its family, and the direction of its risk."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

__all__ = ["Family", "FeatureSpec", "Nulls", "Reader", "Risk"]


Limits = tuple[float | None, float | None]
"""Smallest and largest value there can be; None where there is none."""

Reader = Literal["booster", "scorecard"]
"""A part of a model that reads features."""


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


class Nulls(StrEnum):
    """Which accounts of a cutoff may be null; read from the words of a feature's null rule."""

    NOBODY = "nobody"
    ALL_OR_NOBODY = "all or nobody"
    ANYBODY = "anybody"


@dataclass(frozen=True)
class Family:
    """Correlated features that a reason names once: their contributions are summed.

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
        the same row, ``prior`` or ``base``; the formats are those of ``serving.scoring.phrasing``.
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
    limits
        Smallest and largest value, where :attr:`bounds` would say it wrongly.
    is_calendar
        It moves with the date though nobody does anything: an age, a tenure, the days to a date. Of a whole population
        too, so that its drift says only that time has passed. How long ago somebody did something is none: that all
        fall silent is an alarm.
    history_days
        Days of log a value needs; 0 where a young log gives one too. See ``training.models.history``.
    readers
        The parts of a model that read it: the booster, the scorecard, or both. What helps a line in the logarithm of
        use is noise to trees, which split the plain counts where they like.
    definition
        Digest of what a feature that a user declared means; None for those of this catalogue, whose meaning is code.
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
    limits: Limits | None = None
    is_calendar: bool = False
    history_days: int = 0
    readers: tuple[Reader, ...] = ("booster",)
    definition: str | None = None

    @property
    def nulls(self) -> Nulls:
        """Which accounts of a cutoff may be null: a count over nothing is 0, so only a whole source can lack it."""
        if self.null_rule.startswith("never null"):
            return Nulls.NOBODY
        return Nulls.ALL_OR_NOBODY if self.null_rule.endswith("0 over nothing") else Nulls.ANYBODY

    @property
    def bounds(self) -> Limits:
        """Smallest and largest value a row can hold.

        Shares and flags lie in 0 to 1, counted days in their window, a score or a date that may have passed anywhere,
        and everything else that is measured is not negative.
        """
        if self.limits is not None:
            return self.limits
        if self.kind == "category" or self.unit == "score" or self.past_text is not None:
            return None, None
        if self.unit in {"share", "flag"}:
            return 0.0, 1.0
        counts_days = self.unit == "days" and self.kind == "int" and self.window_days is not None
        return 0.0, float(self.window_days or 0) if counts_days else None

    @property
    def is_date(self) -> bool:
        """Whether the value counts the days to a date that is known beforehand and may have passed."""
        return self.unit == "days" and self.past_text is not None and self.definition is None

    def risk(self, target: str) -> Risk:
        """Risk direction for a target; every churn target shares one."""
        return self.upsell if target == "upsell" else self.churn
