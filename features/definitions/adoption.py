"""The catalogue of the way from a sign-up to regular use."""

from features.definitions.feature import FeatureSpec, Risk

__all__ = ["ADOPTION"]


_NULL_HOURS = "null while not reached, and when the account signed up or was sold to before the log begins, or called before it was created"
_STEPS = "as far as the log shows: 0 signed up, 1 called, 2 succeeded, 3 reached a value endpoint (never without any), 4 at least 5 active days from then on"

ADOPTION: tuple[FeatureSpec, ...] = (
    FeatureSpec(
        name="account_age_days",
        group="adoption",
        family="contract",
        window_days=None,
        unit="days",
        kind="float",
        null_rule="null without created_at",
        meaning="days since the account was created",
        text="The account was created {account_age_days:days} ago.",
        than=("longer ago than {}", "more recently than {}"),
        is_calendar=True,
    ),
    FeatureSpec(
        name="hours_to_first_call",
        group="adoption",
        family="onboarding",
        window_days=None,
        unit="hours",
        kind="float",
        null_rule=_NULL_HOURS,
        meaning="hours from the sign-up to the first request",
        text="The first call came {hours_to_first_call:hours} after the sign-up.",
        than=("later than for {}", "sooner than for {}"),
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="hours_to_first_success",
        group="adoption",
        family="onboarding",
        window_days=None,
        unit="hours",
        kind="float",
        null_rule=_NULL_HOURS,
        meaning="time to the first working app: hours from the sign-up to the first request that did not fail",
        text="The time to a first working app was {hours_to_first_success:hours}: from the sign-up to the first call that succeeded.",
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="hours_to_first_value_call",
        group="adoption",
        family="onboarding",
        window_days=None,
        unit="hours",
        kind="float",
        null_rule=f"{_NULL_HOURS}; null when no value endpoints are set",
        meaning="hours from the sign-up to the first successful call to a value endpoint",
        text="The main value endpoint was first reached {hours_to_first_value_call:hours} after the sign-up.",
        than=("later than for {}", "sooner than for {}"),
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="onboarding_stage",
        group="adoption",
        family="onboarding",
        window_days=None,
        unit="stage",
        limits=(0.0, 4.0),
        kind="int",
        null_rule="never null",
        meaning=_STEPS,
        text="Onboarding stage {onboarding_stage:count} of 4: {onboarding_stage:stage}.",
        sides=(3.0, 3.0),
        zero_text="Onboarding stage 0 of 4: signed up, no call yet.",
        churn=Risk.DOWN,
    ),
    FeatureSpec(
        name="days_in_stage",
        group="adoption",
        family="onboarding",
        window_days=None,
        unit="days",
        kind="float",
        null_rule="null at stage 4, at stage 0 without created_at, and when the stage may have begun before the log: the account signed up or was sold to before it, or nobody knows when and it called in the log's first 28 days",
        meaning="days since the onboarding stage was reached: long ones are stuck in onboarding",
        text="In onboarding for {days_in_stage:days} at stage {onboarding_stage:count} of 4: {onboarding_stage:stage}.",
        sides=(-1.0, None),
        churn=Risk.UP,
        is_calendar=True,
    ),
)
