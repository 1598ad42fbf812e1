"""Reads the reason codes of runs that were made before a code was the name of its family."""

from collections.abc import Mapping

__all__ = ["code_of"]


_FAMILY_OF: Mapping[str, str] = {
    "usage_low": "usage_level",
    "usage_high": "usage_level",
    "usage_falling": "usage_trend",
    "usage_growing": "usage_trend",
    "gone_silent": "silence",
    "recently_active": "silence",
    "rhythm_unusual": "rhythm",
    "rhythm_usual": "rhythm",
    "people_leaving": "people",
    "people_engaged": "people",
    "errors_high": "errors",
    "errors_low": "errors",
    "auth_errors_high": "auth_errors",
    "auth_errors_low": "auth_errors",
    "latency_high": "latency",
    "latency_low": "latency",
    "narrow_use": "breadth",
    "broad_use": "breadth",
    "value_endpoint_missed": "value_endpoint",
    "value_endpoint_used": "value_endpoint",
    "stuck_in_onboarding": "onboarding",
    "onboarding_done": "onboarding",
    "sdk_drop_off": "sdk",
    "sdk_healthy": "sdk",
}


def code_of(stored: str) -> str:
    """The family a stored code stands for; the direction is stored beside it.

    >>> code_of("usage_falling"), code_of("quota_lowers"), code_of("failed_reports_raises"), code_of("usage_trend")
    ('usage_trend', 'quota', 'failed_reports', 'usage_trend')
    """
    return _FAMILY_OF.get(stored) or stored.removesuffix("_raises").removesuffix("_lowers")
