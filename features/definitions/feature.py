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


_SIGN: dict[Risk, Literal[-1, 0, 1]] = {
    Risk.UP: 1,
    Risk.CERTAIN_UP: 1,
    Risk.DOWN: -1,
    Risk.CERTAIN_DOWN: -1,
    Risk.DEPENDS: 0,
}


class Nulls(StrEnum):
    """Which accounts of a cutoff may be null; read from the words of a feature's null rule."""

    NOBODY = "nobody"
    ALL_OR_NOBODY = "all or nobody"
    ANYBODY = "anybody"


@dataclass(frozen=True)
class Family:
    """Correlated features that a reason names once: their contributions are summed, and its name is the reason's code.

    ``actionable_up_to`` is a feature and a value: a family of context is actionable while the feature is no larger.
    """

    name: str
    title: str
    is_actionable: bool = False
    actionable_up_to: tuple[str, float] | None = None


@dataclass(frozen=True)
class FeatureSpec:
    """One feature: one value per account and cutoff.

    Attributes
    ----------
    window_days
        Length of the longest window it looks at; None for a state.
    text
        The sentence a reason shows when this feature leads its family. It states the value. Fields in braces are
        features of the same row, ``prior`` or ``base``; the formats are those of ``serving.scoring.wording``. None where
        a number would tell nobody anything: then ``than`` is the sentence.
    past_text
        The sentence when the feature's own value is negative: a date that has passed.
    zero_text
        The sentence when the feature's own value is 0, where the usual one would read oddly: "No call failed …".
    below_text
        The sentence when the value lies below its yardstick, where the usual one would read as a complaint.
    upsell_text
        The sentence for upgrades, where the usual one is about leaving.
    than
        How the value is compared with those of the accounts the model learnt from, above and below most of them; ``{}``
        is "nine in ten accounts".
    usual
        The feature of a longer window that says what is usual for the account itself, and how that is said.
    sides
        The value is low up to the first, high above the second, and says nothing in between. None where the median of
        the accounts the model learnt from divides; with the second alone a high value lies above both.
    reads
        What more of the feature sounds like to people, as a risk of leaving, where the model may decide otherwise: it
        is not said for the other direction.
    spoken_as
        The feature in whose words this one is said, which speaks of the same in numbers people know.
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
    text: str | None
    churn: Risk = Risk.DEPENDS
    upsell: Risk = Risk.DEPENDS
    prior_of: str | None = None
    past_text: str | None = None
    zero_text: str | None = None
    below_text: str | None = None
    upsell_text: str | None = None
    than: tuple[str, str] | None = None
    usual: tuple[str, str] | None = None
    sides: Limits = (None, None)
    reads: Risk = Risk.DEPENDS
    spoken_as: str | None = None
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

    def sounds(self, target: str) -> Literal[-1, 0, 1]:
        """What a larger value sounds like for a target: it raises (1), lowers (-1), or both can be (0).

        What speaks for staying speaks for growing, where nothing else is known.
        """
        own, churn = self.risk(target), self.reads if self.churn is Risk.DEPENDS else self.churn
        if target == "upsell" and own is Risk.DEPENDS:
            return -_SIGN[churn]
        return _SIGN[churn if own is Risk.DEPENDS else own]
