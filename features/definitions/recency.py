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

_NO_CALLS = "This account has made no calls."


def _yardstick(half_life: int) -> tuple[int, int]:
    """The window that a half-life is said with, and a longer one to compare it with."""
    return (7, 28) if half_life <= 7 else (28, 91)


def _calls(half_life: int) -> FeatureSpec:
    short, long = _yardstick(half_life)
    return FeatureSpec(
        name=f"calls_ewma_{half_life}d",
        group="recency",
        family="usage_level",
        window_days=REMEMBERED_DAYS,
        unit="log calls",
        kind="float",
        null_rule=NULL_COUNT,
        meaning=f"log(1 + requests of the last {REMEMBERED_DAYS} days, halved for every {half_life} days since)",
        text=f"{{calls_{short}d:count call|calls}} in the last {short} days, {{calls_{long}d:count}} in the last {long}.",
        null_text=_NO_CALLS,
        zero_text=f"No calls in the last {short} days.",
        churn=Risk.CERTAIN_DOWN,
        upsell=Risk.CERTAIN_UP,
        readers=("scorecard",),
    )


def _active_days(half_life: int) -> FeatureSpec:
    short, long = _yardstick(half_life)
    return FeatureSpec(
        name=f"active_days_ewma_{half_life}d",
        group="recency",
        family="usage_level",
        window_days=REMEMBERED_DAYS,
        unit="log days",
        kind="float",
        null_rule=NULL_COUNT,
        meaning=f"log(1 + active days of the last {REMEMBERED_DAYS}, halved for every {half_life} days since)",
        text=f"Active on {{active_days_{short}d:count}} of the last {short} days, and on "
        f"{{active_days_{long}d:count}} of the last {long}.",
        null_text=_NO_CALLS,
        zero_text=f"Not active on any of the last {short} days.",
        churn=Risk.CERTAIN_DOWN,
        upsell=Risk.CERTAIN_UP,
        readers=("scorecard",),
    )


def _fade(short: int, long: int) -> FeatureSpec:
    now, before = _yardstick(short)[0], _yardstick(long)[1]
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
        text=f"Active on {{active_days_{now}d:count}} of the last {now} days, and on "
        f"{{active_days_{before}d:count}} of the last {before}.",
        null_text=_NO_CALLS,
        churn=Risk.DOWN,
        readers=("scorecard",),
    )


RECENCY: tuple[FeatureSpec, ...] = (
    *map(_calls, HALF_LIVES),
    *map(_active_days, HALF_LIVES),
    *(_fade(short, long) for short, long in FADES),
)
"""What the features of fading use mean; a family is said in the counts of its usual windows."""
