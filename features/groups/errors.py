"""How often an account's calls fail, and how."""

import ibis
import ibis.expr.types as ir

from features.formulas.sums import ratio
from features.groups.inputs import Inputs
from features.groups.observation import KEYS, beside, known_rows

__all__ = ["error_features"]


def error_features(inputs: Inputs) -> ir.Table:
    """The errors group: one row per row of ``population``. A rate counts only calls that carry a status."""
    rollups, population, cutoffs = inputs.rollups, inputs.population, inputs.cutoffs
    joined = beside(
        population.select(*KEYS, "log_has_status", "log_has_endpoint"),
        outcomes_by_window(daily_outcomes(rollups.usage, cutoffs)),
        failing_endpoints(rollups.endpoint_windows),
    )
    # (e7 + 1/2) / (n7 + 1) over the same of the prior window; half a failure keeps quiet windows comparable.
    smoothed_7d = ratio(joined.failed_7d + 0.5, joined.answered_7d + 1)
    smoothed_prior = ratio(joined.failed_prior_28d + 0.5, joined.answered_prior_28d + 1)
    return joined.select(
        *KEYS,
        error_rate_7d=ratio(joined.failed_7d, joined.answered_7d),
        error_rate_28d=ratio(joined.failed_28d, joined.answered_28d),
        client_error_rate_28d=ratio(joined.err_client_28d, joined.answered_28d),
        server_error_rate_28d=ratio(joined.err_server_28d, joined.answered_28d),
        auth_error_rate_7d=ratio(joined.err_auth_7d, joined.answered_7d),
        auth_error_rate_28d=ratio(joined.err_auth_28d, joined.answered_28d),
        throttled_rate_28d=ratio(joined.err_throttled_28d, joined.answered_28d),
        error_rate_7d_vs_prior_28d=ibis.ifelse(
            (joined.answered_7d > 0) & (joined.answered_prior_28d > 0), ratio(smoothed_7d, smoothed_prior), None
        ),
        error_days_28d=ibis.ifelse(joined.log_has_status, joined.error_days_28d.fill_null(0), None),
        worst_daily_error_rate_28d=joined.worst_daily_error_rate_28d,
        failing_endpoints_28d=ibis.ifelse(
            joined.log_has_status & joined.log_has_endpoint, joined.failing_endpoints_28d.fill_null(0), None
        ),
        days_since_last_error_burst=joined.days_since_last_error_burst.cast("float64"),
    )


def daily_outcomes(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Calls by outcome per account, cutoff and day of the last 91."""
    seen = known_rows(usage, cutoffs, window_days=91)
    kinds = ("err_auth", "err_throttled", "err_client", "err_server")
    sums = {
        "calls": seen.calls.sum(),
        "answered": (seen.calls - seen.no_status).sum(),
        "failed": (seen.calls - seen.ok).sum(),
        **{kind: seen[kind].sum() for kind in kinds},
    }
    return seen.group_by(*KEYS, "age_days").agg(**_whole(sums))


def outcomes_by_window(daily: ir.Table) -> ir.Table:
    """Sums of :func:`daily_outcomes` over the last 7 and 28 days and the 28 before the last 7, and the worst days."""
    last_7d, last_28d, prior_28d = daily.age_days <= 7, daily.age_days <= 28, daily.age_days.between(8, 35)
    # A rate of at least p is failed >= p * answered in whole numbers; without a failure there is no bad day.
    bad_day = (daily.calls >= 5) & (daily.failed >= 1) & (daily.failed * 10 >= daily.answered)
    burst = (daily.failed >= 20) & (daily.failed * 4 >= daily.answered)
    daily_rate = ratio(daily.failed, daily.answered)
    sums = {
        **{f"{name}_7d": daily[name].sum(where=last_7d) for name in ("answered", "failed", "err_auth")},
        **{
            f"{name}_28d": daily[name].sum(where=last_28d)
            for name in ("answered", "failed", "err_auth", "err_throttled", "err_client", "err_server")
        },
        **{f"{name}_prior_28d": daily[name].sum(where=prior_28d) for name in ("answered", "failed")},
        "error_days_28d": daily.count(where=last_28d & bad_day),
        "days_since_last_error_burst": daily.age_days.min(where=burst),
    }
    return daily.group_by(*KEYS).agg(
        worst_daily_error_rate_28d=daily_rate.max(where=last_28d & (daily.calls >= 20)), **_whole(sums)
    )


def failing_endpoints(windows: ir.Table) -> ir.Table:
    """Methods and routes with at least 10 calls in the last 28 days of which every fifth or more failed."""
    failed = windows.calls_28d - windows.ok_28d
    failing = (windows.calls_28d >= 10) & (failed >= 1) & (failed * 5 >= windows.answered_28d)
    return windows.group_by(*KEYS).agg(failing_endpoints_28d=windows.count(where=failing & (windows.endpoint != "")))


def _whole(sums: dict[str, ir.NumericValue]) -> dict[str, ir.NumericValue]:
    """Sums as 64-bit integers: those of the engine are wider and slower."""
    return {name: value.cast("int64") for name, value in sums.items()}
