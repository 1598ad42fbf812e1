"""How often an account's calls fail, and how."""

import ibis
import ibis.expr.types as ir

from features.groups.arithmetic import KEYS, beside, known_rows, ratio
from features.groups.inputs import Rollups

__all__ = ["error_features"]


def error_features(rollups: Rollups, population: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """The errors group: one row per row of ``population``. A rate counts only calls that carry a status."""
    daily = daily_outcomes(rollups.usage, cutoffs)
    windows = outcomes_by_window(daily)
    joined = beside(population.select(*KEYS, "log_has_status"), windows)
    # (e7 + 1/2) / (n7 + 1) over the same of the prior window; half a failure keeps quiet windows comparable.
    smoothed_7d = ratio(joined.failed_7d + 0.5, joined.answered_7d + 1)
    smoothed_prior = ratio(joined.failed_prior_28d + 0.5, joined.answered_prior_28d + 1)
    return joined.select(
        *KEYS,
        error_rate_7d=ratio(joined.failed_7d, joined.answered_7d),
        error_rate_28d=ratio(joined.failed_28d, joined.answered_28d),
        server_error_rate_28d=ratio(joined.err_server_28d, joined.answered_28d),
        auth_error_rate_28d=ratio(joined.err_auth_28d, joined.answered_28d),
        throttled_rate_28d=ratio(joined.err_throttled_28d, joined.answered_28d),
        error_rate_7d_vs_prior_28d=ibis.ifelse(
            (joined.answered_7d > 0) & (joined.answered_prior_28d > 0), ratio(smoothed_7d, smoothed_prior), None
        ),
        error_days_28d=ibis.ifelse(joined.log_has_status, joined.error_days_28d.fill_null(0), None),
    )


def daily_outcomes(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Calls by outcome per account, cutoff and day of the last 35."""
    seen = known_rows(usage, cutoffs, window_days=35)
    failed = seen.err_auth + seen.err_throttled + seen.err_client + seen.err_server
    return seen.group_by(*KEYS, "age_days").agg(
        calls=seen.calls.sum(),
        answered=(seen.calls - seen.no_status).sum(),
        failed=failed.sum(),
        **{name: seen[name].sum() for name in ("err_auth", "err_throttled", "err_server")},
    )


def outcomes_by_window(daily: ir.Table) -> ir.Table:
    """Sums of :func:`daily_outcomes` over the last 7 and 28 days and the 28 before the last 7, per account."""
    last_7d, last_28d, prior_28d = daily.age_days <= 7, daily.age_days <= 28, daily.age_days > 7
    bad_day = (daily.calls >= 5) & (daily.failed >= 1) & (daily.failed * 10 >= daily.answered)
    sums = {
        **{f"{name}_7d": daily[name].sum(where=last_7d) for name in ("answered", "failed")},
        **{
            f"{name}_28d": daily[name].sum(where=last_28d)
            for name in ("answered", "failed", "err_auth", "err_throttled", "err_server")
        },
        **{f"{name}_prior_28d": daily[name].sum(where=prior_28d) for name in ("answered", "failed")},
        "error_days_28d": daily.count(where=last_28d & bad_day),
    }
    return daily.group_by(*KEYS).agg(**{name: value.cast("int64") for name, value in sums.items()})
