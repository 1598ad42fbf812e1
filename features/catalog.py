"""What every feature means: the one list from which views, model inputs, reasons, docs and labels are made."""

from collections.abc import Mapping

from features.exceptions import InputError
from features.specifications.adoption import ADOPTION
from features.specifications.breadth import BREADTH
from features.specifications.commercial import COMMERCIAL
from features.specifications.errors import ERRORS
from features.specifications.feature import Family, FeatureSpec, Risk
from features.specifications.latency import LATENCY
from features.specifications.sdk import SDK
from features.specifications.support import SUPPORT
from features.specifications.usage import USAGE

__all__ = [
    "CATALOG",
    "FAMILIES",
    "GROUPS",
    "NEWEST_SERVICE",
    "SERVICES",
    "Family",
    "FeatureSpec",
    "Risk",
    "cutoff_day_field",
    "features_of_group",
    "features_of_service",
    "spec",
]

GROUPS = ("usage", "errors", "latency", "breadth", "commercial", "adoption", "sdk", "support")

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
        Family("onboarding", "Onboarding", True, "stuck_in_onboarding", "onboarding_done"),
        Family("sdk", "SDK", True, "sdk_drop_off", "sdk_healthy"),
        Family("support", "Support and logins", True, "support_raises", "support_lowers"),
    )
}

_FIRST = (*USAGE, *ERRORS, *LATENCY, *BREADTH, *COMMERCIAL)
_SECOND = (*_FIRST, *ADOPTION, *SDK, *SUPPORT)

CATALOG: tuple[FeatureSpec, ...] = _SECOND

SERVICES: Mapping[str, tuple[str, ...]] = {
    f"{purpose}_v{version}": tuple(feature.name for feature in features)
    for version, features in enumerate((_FIRST, _SECOND), start=1)
    for purpose in ("churn", "upsell")
}
"""Feature service to feature names, in model order.

A model names the service it was trained on and goes on reading it. A set that changes is a new version, which training
takes (``training.targets``); a version that was released never changes.
"""

NEWEST_SERVICE = "churn_v2"
"""A service with every feature of the catalogue."""

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
