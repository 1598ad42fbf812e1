"""The catalogue of how long calls take."""

from features.specifications.feature import FeatureSpec, Risk
from features.specifications.phrases import NO_CALLS, NULL_LATENCY, YOUNG

__all__ = ["LATENCY"]

LATENCY: tuple[FeatureSpec, ...] = (
    FeatureSpec(
        name="latency_p50_ms_28d",
        group="latency",
        family="latency",
        window_days=28,
        unit="ms",
        kind="float",
        null_rule=NULL_LATENCY,
        meaning="median latency (nearest rank)",
        text="Half of all calls took {latency_p50_ms_28d:ms} or less in the last 28 days.",
        null_text=NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="latency_p95_ms_7d",
        group="latency",
        family="latency",
        window_days=7,
        unit="ms",
        kind="float",
        null_rule=NULL_LATENCY,
        meaning="95th percentile of latency, last 7 days (nearest rank)",
        text="The slowest 5 % of calls took {latency_p95_ms_7d:ms} or more in the last 7 days.",
        null_text=NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="latency_p95_ms_28d",
        group="latency",
        family="latency",
        window_days=28,
        unit="ms",
        kind="float",
        null_rule=NULL_LATENCY,
        meaning="95th percentile of latency, last 28 days (nearest rank)",
        text="The slowest 5 % of calls took {latency_p95_ms_28d:ms} or more in the last 28 days.",
        null_text=NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="latency_p95_7d_vs_prior_28d",
        group="latency",
        family="latency",
        window_days=35,
        unit="ratio",
        kind="float",
        null_rule="null when either window has no call with a latency, or the prior percentile is 0",
        meaning="95th percentile of the last 7 days against the 28 days before",
        text="The slowest 5 % of calls took {latency_p95_ms_7d:ms} or more in the last 7 days, {latency_p95_7d_vs_prior_28d:times} the four weeks before.",
        null_text=YOUNG,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="slow_call_share_28d",
        group="latency",
        family="latency",
        window_days=28,
        unit="share",
        kind="float",
        null_rule=NULL_LATENCY,
        meaning="share of calls at least as slow as the setting slow_call_ms",
        text="{slow_call_share_28d:percent} of calls were slow in the last 28 days.",
        null_text=NO_CALLS,
        churn=Risk.UP,
    ),
)
