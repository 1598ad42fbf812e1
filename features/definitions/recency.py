"""The catalogue of how use fades: days of the last year that count the less the longer ago they are."""

from features.definitions.feature import FeatureSpec, Risk
from features.definitions.phrases import NULL_COUNT

__all__ = ["FADES", "HALF_LIVES", "RECENCY", "REMEMBERED_DAYS"]


HALF_LIVES = (2, 4, 7, 14, 28, 56, 112)
"""Days after which a day of use counts half."""

FADES = ((4, 28), (7, 56), (14, 112))
"""Pairs of half-lives whose active days are compared: the short memory minus the long one."""

REMEMBERED_DAYS = 364
"""Days beyond which use is forgotten altogether."""


def _window(half_life: int) -> int:
    """Days of the count that a half-life is said with."""
    return 7 if half_life <= 7 else 28


def _calls(half_life: int) -> FeatureSpec:
    return FeatureSpec(
        name=f"calls_ewma_{half_life}d",
        group="recency",
        family="usage_level",
        window_days=REMEMBERED_DAYS,
        unit="log calls",
        kind="float",
        null_rule=NULL_COUNT,
        meaning=f"log(1 + requests of the last {REMEMBERED_DAYS} days, halved for every {half_life} days since)",
        text=None,
        spoken_as=f"calls_{_window(half_life)}d",
        churn=Risk.CERTAIN_DOWN,
        upsell=Risk.CERTAIN_UP,
        readers=("scorecard",),
    )


def _active_days(half_life: int) -> FeatureSpec:
    return FeatureSpec(
        name=f"active_days_ewma_{half_life}d",
        group="recency",
        family="usage_level",
        window_days=REMEMBERED_DAYS,
        unit="log days",
        kind="float",
        null_rule=NULL_COUNT,
        meaning=f"log(1 + active days of the last {REMEMBERED_DAYS}, halved for every {half_life} days since)",
        text=None,
        spoken_as=f"active_days_{_window(half_life)}d",
        churn=Risk.CERTAIN_DOWN,
        upsell=Risk.CERTAIN_UP,
        readers=("scorecard",),
    )


def _fade(short: int, long: int) -> FeatureSpec:
    return FeatureSpec(
        name=f"active_days_fade_{short}d_{long}d",
        group="recency",
        family="usage_trend",
        window_days=REMEMBERED_DAYS,
        unit="log days",
        kind="float",
        limits=(None, None),
        null_rule=NULL_COUNT,
        meaning=f"active_days_ewma_{short}d minus active_days_ewma_{long}d",
        text=None,
        spoken_as=f"active_days_{_window(short)}d",
        churn=Risk.DOWN,
        readers=("scorecard",),
    )


RECENCY: tuple[FeatureSpec, ...] = (
    *map(_calls, HALF_LIVES),
    *map(_active_days, HALF_LIVES),
    *(_fade(short, long) for short, long in FADES),
)
"""What the features of fading use mean; a family is said in the counts of its usual windows."""
