"""The catalogue of SDKs: which one, how old its version is, and how the other accounts on it fare."""

from features.definitions.feature import FeatureSpec, Risk

__all__ = ["SDK"]


SDK: tuple[FeatureSpec, ...] = (
    FeatureSpec(
        name="main_sdk_28d",
        group="sdk",
        family="sdk",
        window_days=28,
        unit="SDK",
        kind="category",
        null_rule="null without calls that carry an SDK",
        meaning="the SDK with most calls, last 28 days; of several the first by name",
        text="Most calls of the last 28 days came through the SDK {main_sdk_28d:name}.",
    ),
    FeatureSpec(
        name="sdk_count_28d",
        group="sdk",
        family="sdk",
        window_days=28,
        unit="SDKs",
        kind="int",
        null_rule="null when the source has no SDKs; 0 over nothing",
        meaning="distinct SDKs, last 28 days",
        text="{sdk_count_28d:count SDK was|SDKs were} in use in the last 28 days.",
    ),
    FeatureSpec(
        name="sdk_dropoff_excess",
        group="sdk",
        family="sdk",
        window_days=56,
        unit="share",
        limits=(-1.0, 1.0),
        kind="float",
        null_rule="null without calls that carry an SDK in the last 56 days, or when no account called in the 28 days before the last 28",
        meaning="share of the other accounts on the same SDK and version that called in the 28 days before the last 28 and not since, less that of all accounts; drawn to 0 as by 20 accounts",
        text="Drop-off: of the other accounts on the same SDK version, {sdk_dropoff_excess:points} more than of all accounts fell silent in the last 28 days.",
        sides=(-0.0005, 0.0005),
        past_text="Drop-off: of the other accounts on the same SDK version, {sdk_dropoff_excess:points} fewer than of all accounts fell silent in the last 28 days.",
        zero_text="The other accounts on the same SDK version fell silent as often as all accounts.",
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="sdk_version_age_days",
        group="sdk",
        family="sdk",
        window_days=None,
        unit="days",
        kind="float",
        null_rule="null on the newest version, when a newer one was there in the log's first 28 days and so may be older than the log, when it is no number, or without calls that carry an SDK in the last 56 days",
        meaning="days since a newer version of the same SDK was first seen in the fleet",
        text="A newer version of this account's SDK has been in use for {sdk_version_age_days:days}.",
        than=("longer than for {}", "shorter than for {}"),
        churn=Risk.UP,
        is_calendar=True,
    ),
)
