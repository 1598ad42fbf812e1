"""What every feature means: the one list from which views, model inputs, reasons, docs and labels are made."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from features.exceptions import InputError

__all__ = [
    "CATALOG",
    "FAMILIES",
    "GROUPS",
    "SERVICES",
    "Family",
    "FeatureSpec",
    "Risk",
    "cutoff_day_field",
    "features_of_group",
    "features_of_service",
    "spec",
]

GROUPS = ("usage", "errors", "latency", "breadth", "commercial")


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
        the same row, or ``prior``; the formats are those of ``serving.words``.
    null_text
        What is said instead when a value the sentence needs is null.
    past_text
        The sentence when the feature's own value is negative: a date that has passed.
    prior_of
        For a count ratio ``(now + 1) / (prior + 1)``: the feature that is ``now``, so that ``{prior}`` can be said.
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

    def risk(self, target: str) -> Risk:
        """Risk direction for a target; every churn target shares one."""
        return self.upsell if target == "upsell" else self.churn


FAMILIES: Mapping[str, Family] = {
    family.name: family
    for family in (
        Family("usage_level", "Level of use", True, "usage_low", "usage_high"),
        Family("usage_trend", "Trend of use", True, "usage_falling", "usage_growing"),
        Family("silence", "Silence", True, "gone_silent", "recently_active"),
        Family("rhythm", "Rhythm", False, "rhythm_unusual", "rhythm_usual"),
        Family("people", "People and tokens", True, "people_leaving", "people_engaged"),
        Family("errors", "Failed calls", True, "errors_high", "errors_low"),
        Family("auth_errors", "Authorisation errors", True, "auth_errors_high", "auth_errors_low"),
        Family("throttling", "Throttling", True, "throttling_raises", "throttling_lowers"),
        Family("latency", "Latency", True, "latency_high", "latency_low"),
        Family("breadth", "Breadth of use", True, "narrow_use", "broad_use"),
        Family("value_endpoint", "Main value endpoint", True, "value_endpoint_missed", "value_endpoint_used"),
        Family("contract", "Contract", False, "contract_raises", "contract_lowers"),
        Family("spend", "Spend", False, "spend_raises", "spend_lowers"),
        Family("quota", "Quota", True, "quota_raises", "quota_lowers"),
    )
}

_COUNT = "never null; 0 over nothing"
_ENDPOINTS = "null when the source has no endpoints; 0 over nothing"
_SHARE = "null without calls in the window"
_RATIO = "null when both windows are empty, or the account or the log is younger than both"
_STATUS = "null without calls that carry a status, or when the source has none"
_LATENCY = "null without calls that carry a latency"
_NO_CALLS = "There were no calls to measure in the window."
_YOUNG = "There is not enough history for this comparison."

CATALOG: tuple[FeatureSpec, ...] = (
    FeatureSpec(
        name="calls_7d",
        group="usage",
        family="usage_level",
        window_days=7,
        unit="calls",
        kind="int",
        null_rule=_COUNT,
        meaning="requests in the last 7 days",
        text="{calls_7d:count call|calls} in the last 7 days.",
        null_text="This account has made no calls.",
        churn=Risk.CERTAIN_DOWN,
        upsell=Risk.CERTAIN_UP,
    ),
    FeatureSpec(
        name="calls_28d",
        group="usage",
        family="usage_level",
        window_days=28,
        unit="calls",
        kind="int",
        null_rule=_COUNT,
        meaning="requests in the last 28 days",
        text="{calls_28d:count call|calls} in the last 28 days.",
        null_text="This account has made no calls.",
        churn=Risk.CERTAIN_DOWN,
        upsell=Risk.CERTAIN_UP,
    ),
    FeatureSpec(
        name="calls_91d",
        group="usage",
        family="usage_level",
        window_days=91,
        unit="calls",
        kind="int",
        null_rule=_COUNT,
        meaning="requests in the last 91 days",
        text="{calls_91d:count call|calls} in the last 91 days.",
        null_text="This account has made no calls.",
        churn=Risk.CERTAIN_DOWN,
        upsell=Risk.CERTAIN_UP,
    ),
    FeatureSpec(
        name="active_days_28d",
        group="usage",
        family="usage_level",
        window_days=28,
        unit="days",
        kind="int",
        null_rule=_COUNT,
        meaning="days with at least one request",
        text="Active on {active_days_28d:count} of the last 28 days.",
        null_text="This account has made no calls.",
        churn=Risk.CERTAIN_DOWN,
        upsell=Risk.CERTAIN_UP,
    ),
    FeatureSpec(
        name="calls_7d_vs_prior_7d",
        group="usage",
        family="usage_trend",
        window_days=14,
        unit="ratio",
        kind="float",
        null_rule=_RATIO,
        meaning="calls of the last 7 days against the 7 days before",
        text="Calls {calls_7d_vs_prior_7d:change} against the week before ({prior:count} to {calls_7d:count}).",
        null_text=_YOUNG,
        churn=Risk.CERTAIN_DOWN,
        prior_of="calls_7d",
    ),
    FeatureSpec(
        name="calls_28d_vs_prior_28d",
        group="usage",
        family="usage_trend",
        window_days=56,
        unit="ratio",
        kind="float",
        null_rule=_RATIO,
        meaning="calls of the last 28 days against the 28 days before",
        text="Calls {calls_28d_vs_prior_28d:change} against the four weeks before ({prior:count} to {calls_28d:count}).",
        null_text=_YOUNG,
        churn=Risk.CERTAIN_DOWN,
        prior_of="calls_28d",
    ),
    FeatureSpec(
        name="calls_weekly_slope_91d",
        group="usage",
        family="usage_trend",
        window_days=91,
        unit="log calls per week",
        kind="float",
        null_rule="null when the account or the log is younger than 13 weeks",
        meaning="least-squares slope of log(1 + weekly calls) over 13 weeks",
        text="Weekly calls {calls_weekly_slope_91d:growth} over the last 13 weeks.",
        null_text=_YOUNG,
        churn=Risk.CERTAIN_DOWN,
    ),
    FeatureSpec(
        name="calls_drop_from_peak_91d",
        group="usage",
        family="usage_trend",
        window_days=91,
        unit="share",
        kind="float",
        null_rule="null without calls in the 13 weeks, or when the log is younger than 13 weeks",
        meaning="1 - last week / best of the last 13 weeks",
        text="The last week had {calls_drop_from_peak_91d:percent} fewer calls than the best of the last 13 weeks.",
        null_text="There are no 13 weeks of calls to compare with.",
        churn=Risk.CERTAIN_UP,
    ),
    FeatureSpec(
        name="days_since_last_call",
        group="usage",
        family="silence",
        window_days=None,
        unit="days",
        kind="float",
        null_rule="null when the account never called",
        meaning="days since the last request",
        text="The last call was {days_since_last_call:days} ago.",
        null_text="This account has never made a call.",
        churn=Risk.CERTAIN_UP,
    ),
    FeatureSpec(
        name="silence_vs_own_rhythm",
        group="usage",
        family="silence",
        window_days=91,
        unit="times",
        kind="float",
        null_rule="null under 3 active days",
        meaning="days since the last call in units of the account's median gap between active days",
        text="Silent for {days_since_last_call:days}, {silence_vs_own_rhythm:times} its usual gap between active days.",
        null_text="Too few active days to know this account's rhythm.",
        churn=Risk.CERTAIN_UP,
    ),
    FeatureSpec(
        name="active_tokens_28d",
        group="usage",
        family="people",
        window_days=28,
        unit="tokens",
        kind="int",
        null_rule="null when the source has no tokens; 0 over nothing",
        meaning="distinct API tokens used",
        text="{active_tokens_28d:count API token was|API tokens were} in use in the last 28 days.",
        null_text="The log carries no tokens.",
        churn=Risk.DOWN,
    ),
    FeatureSpec(
        name="active_users_28d",
        group="usage",
        family="people",
        window_days=28,
        unit="users",
        kind="int",
        null_rule="null when the source has no users; 0 over nothing",
        meaning="distinct users seen",
        text="{active_users_28d:count person|people} used the product in the last 28 days.",
        null_text="The log carries no users.",
        churn=Risk.DOWN,
    ),
    FeatureSpec(
        name="active_users_7d_vs_prior_7d",
        group="usage",
        family="people",
        window_days=14,
        unit="ratio",
        kind="float",
        null_rule="null when the source has no users, both windows are empty, or the account or the log is younger than both",
        meaning="distinct users of the last 7 days against the 7 days before",
        text="Compared with the week before, {active_users_7d_vs_prior_7d:fewer_more people} used the product in the last 7 days.",
        null_text=_YOUNG,
        churn=Risk.DOWN,
    ),
    FeatureSpec(
        name="top_user_share_28d",
        group="usage",
        family="people",
        window_days=28,
        unit="share",
        kind="float",
        null_rule="null without calls that carry a user",
        meaning="share of calls by the busiest user: one champion is fragile",
        text="One person makes {top_user_share_28d:percent} of the calls.",
        null_text="No call in the window carries a user.",
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="error_rate_7d",
        group="errors",
        family="errors",
        window_days=7,
        unit="share",
        kind="float",
        null_rule=_STATUS,
        meaning="failed calls among calls with a status, last 7 days",
        text="{error_rate_7d:percent} of calls failed in the last 7 days.",
        null_text=_NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="error_rate_28d",
        group="errors",
        family="errors",
        window_days=28,
        unit="share",
        kind="float",
        null_rule=_STATUS,
        meaning="failed calls among calls with a status, last 28 days",
        text="{error_rate_28d:percent} of calls failed in the last 28 days.",
        null_text=_NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="server_error_rate_28d",
        group="errors",
        family="errors",
        window_days=28,
        unit="share",
        kind="float",
        null_rule=_STATUS,
        meaning="5xx among calls with a status",
        text="{server_error_rate_28d:percent} of calls ended in a server error in the last 28 days.",
        null_text=_NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="auth_error_rate_28d",
        group="errors",
        family="auth_errors",
        window_days=28,
        unit="share",
        kind="float",
        null_rule=_STATUS,
        meaning="401 and 403 among calls with a status",
        text="{auth_error_rate_28d:percent} of calls were refused as unauthorised in the last 28 days.",
        null_text=_NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="throttled_rate_28d",
        group="errors",
        family="throttling",
        window_days=28,
        unit="share",
        kind="float",
        null_rule=_STATUS,
        meaning="429 among calls with a status: pain, or a plan outgrown",
        text="{throttled_rate_28d:percent} of calls were throttled in the last 28 days.",
        null_text=_NO_CALLS,
    ),
    FeatureSpec(
        name="error_rate_7d_vs_prior_28d",
        group="errors",
        family="errors",
        window_days=35,
        unit="ratio",
        kind="float",
        null_rule="null when either window has no call with a status",
        meaning="smoothed failure rate of the last 7 days against the 28 days before",
        text="{error_rate_7d:percent} of calls failed in the last 7 days, {error_rate_28d:percent} in the last 28.",
        null_text=_YOUNG,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="error_days_28d",
        group="errors",
        family="errors",
        window_days=28,
        unit="days",
        kind="int",
        null_rule="null when the source has no status; 0 over nothing",
        meaning="days with at least 5 calls and an error rate of at least 10 %",
        text="On {error_days_28d:count} of the last 28 days at least every tenth call failed.",
        null_text=_NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="latency_p50_ms_28d",
        group="latency",
        family="latency",
        window_days=28,
        unit="ms",
        kind="float",
        null_rule=_LATENCY,
        meaning="median latency (nearest rank)",
        text="Half of all calls took {latency_p50_ms_28d:ms} or less in the last 28 days.",
        null_text=_NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="latency_p95_ms_7d",
        group="latency",
        family="latency",
        window_days=7,
        unit="ms",
        kind="float",
        null_rule=_LATENCY,
        meaning="95th percentile of latency, last 7 days (nearest rank)",
        text="The slowest 5 % of calls took {latency_p95_ms_7d:ms} or more in the last 7 days.",
        null_text=_NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="latency_p95_ms_28d",
        group="latency",
        family="latency",
        window_days=28,
        unit="ms",
        kind="float",
        null_rule=_LATENCY,
        meaning="95th percentile of latency, last 28 days (nearest rank)",
        text="The slowest 5 % of calls took {latency_p95_ms_28d:ms} or more in the last 28 days.",
        null_text=_NO_CALLS,
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
        null_text=_YOUNG,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="slow_call_share_28d",
        group="latency",
        family="latency",
        window_days=28,
        unit="share",
        kind="float",
        null_rule=_LATENCY,
        meaning="share of calls at least as slow as the setting slow_call_ms",
        text="{slow_call_share_28d:percent} of calls were slow in the last 28 days.",
        null_text=_NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="endpoints_used_7d",
        group="breadth",
        family="breadth",
        window_days=7,
        unit="endpoints",
        kind="int",
        null_rule=_ENDPOINTS,
        meaning="distinct method and endpoint with a success, last 7 days",
        text="{endpoints_used_7d:count endpoint|endpoints} in use in the last 7 days.",
        null_text="The log carries no endpoints.",
        churn=Risk.DOWN,
    ),
    FeatureSpec(
        name="endpoints_used_28d",
        group="breadth",
        family="breadth",
        window_days=28,
        unit="endpoints",
        kind="int",
        null_rule=_ENDPOINTS,
        meaning="distinct method and endpoint with a success, last 28 days",
        text="{endpoints_used_28d:count endpoint|endpoints} in use in the last 28 days.",
        null_text="The log carries no endpoints.",
        churn=Risk.DOWN,
    ),
    FeatureSpec(
        name="narrow_use_28d",
        group="breadth",
        family="breadth",
        window_days=28,
        unit="flag",
        kind="int",
        null_rule="null when no endpoint is used",
        meaning="1 when only one or two endpoints are used",
        text="{endpoints_used_28d:count endpoint|endpoints} in use in the last 28 days.",
        null_text=_NO_CALLS,
        churn=Risk.UP,
    ),
    FeatureSpec(
        name="top_endpoint_share_28d",
        group="breadth",
        family="breadth",
        window_days=28,
        unit="share",
        kind="float",
        null_rule=_SHARE,
        meaning="share of calls to the busiest endpoint",
        text="{top_endpoint_share_28d:percent} of calls go to one endpoint.",
        null_text=_NO_CALLS,
    ),
    FeatureSpec(
        name="endpoints_dropped_28d",
        group="breadth",
        family="breadth",
        window_days=56,
        unit="endpoints",
        kind="int",
        null_rule=_ENDPOINTS,
        meaning="endpoints used in the prior 28 days and not in the last 28",
        text="{endpoints_dropped_28d:count endpoint|endpoints} in use in the four weeks before, not in the last 28 days.",
        null_text="The log carries no endpoints.",
    ),
    FeatureSpec(
        name="write_share_28d",
        group="breadth",
        family="breadth",
        window_days=28,
        unit="share",
        kind="float",
        null_rule="null without calls that carry a method",
        meaning="POST, PUT, PATCH and DELETE among calls with a method",
        text="{write_share_28d:percent} of calls write data.",
        null_text=_NO_CALLS,
    ),
    FeatureSpec(
        name="plan",
        group="commercial",
        family="contract",
        window_days=None,
        unit="plan",
        kind="category",
        null_rule="null without a known subscription",
        meaning="plan at the cutoff",
        text="The account is on the plan {plan:name}.",
        null_text="No subscription is known for this account.",
    ),
    FeatureSpec(
        name="mrr",
        group="commercial",
        family="spend",
        window_days=None,
        unit="money per month",
        kind="float",
        null_rule="null without a known subscription",
        meaning="monthly recurring revenue at the cutoff",
        text="The account pays {mrr:count} a month.",
        null_text="No subscription is known for this account.",
    ),
    FeatureSpec(
        name="days_to_term_end",
        group="commercial",
        family="contract",
        window_days=None,
        unit="days",
        kind="float",
        null_rule="null without a term",
        meaning="days until the running term ends; negative when it has passed",
        text="The running term ends in {days_to_term_end:days}.",
        past_text="The term ended {days_to_term_end:days} ago.",
        null_text="The subscription has no fixed term.",
    ),
    FeatureSpec(
        name="tenure_days",
        group="commercial",
        family="contract",
        window_days=None,
        unit="days",
        kind="float",
        null_rule="null without created_at or a start",
        meaning="days since the account became a customer",
        text="Customer for {tenure_days:days}.",
        null_text="It is not known when this account became a customer.",
    ),
    FeatureSpec(
        name="quota_used_share_28d",
        group="commercial",
        family="quota",
        window_days=28,
        unit="share",
        kind="float",
        null_rule="null when the plan is unlimited or unknown",
        meaning="successful calls against the quota, scaled to 28 days",
        text="{quota_used_share_28d:percent} of the plan's quota was used in the last 28 days.",
        null_text="The plan has no quota.",
        upsell=Risk.CERTAIN_UP,
    ),
)

SERVICES: Mapping[str, tuple[str, ...]] = {"churn_v1": tuple(feature.name for feature in CATALOG)}
"""Feature service to feature names, in model order; a model names the service it was trained on."""

_BY_NAME = {feature.name: feature for feature in CATALOG}


def spec(name: str) -> FeatureSpec:
    """The feature of this name.

    Raises
    ------
    InputError
        When there is none.
    """
    try:
        return _BY_NAME[name]
    except KeyError as error:
        raise InputError(f"There is no feature {name!r}. `bellwether features describe` lists all.") from error


def features_of_group(group: str) -> tuple[FeatureSpec, ...]:
    """The features of one group, which is one feature view."""
    return tuple(feature for feature in CATALOG if feature.group == group)


def features_of_service(service: str) -> tuple[FeatureSpec, ...]:
    """The features of one feature service, in model order."""
    return tuple(spec(name) for name in SERVICES[service])


def cutoff_day_field(group: str) -> str:
    """The view's never-null Int64 field that says which cutoff its row belongs to."""
    return f"{group}_cutoff_day"
