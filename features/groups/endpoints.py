"""Calls of each account to each endpoint by window, for the features of breadth, errors and latency."""

import ibis.expr.types as ir

from features.groups.observation import KEYS, known_rows

__all__ = ["endpoint_windows"]


def endpoint_windows(endpoint: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """One row per account, cutoff, method and endpoint called in the last 91 days, from one pass over the rollup.

    Returns
    -------
    Table
        Keys; ``calls_28d``, ``ok_28d`` (successful), ``answered_28d`` (with a status), ``latency_calls_28d`` (with a
        latency); ``newest_ok_age``, the age in days of the newest day with a success, null without one;
        ``used_prior_28d``, whether a call succeeded in the 28 days before the last 28.
    """
    seen = known_rows(endpoint, cutoffs, window_days=91)
    now = seen.age_days <= 28
    return seen.group_by(*KEYS, "method", "endpoint").agg(
        calls_28d=seen.calls.sum(where=now).fill_null(0).cast("int64"),
        ok_28d=seen.ok.sum(where=now).fill_null(0).cast("int64"),
        answered_28d=(seen.calls - seen.no_status).sum(where=now).fill_null(0).cast("int64"),
        latency_calls_28d=seen.latency_calls.sum(where=now).fill_null(0).cast("int64"),
        newest_ok_age=seen.age_days.min(where=seen.ok > 0),
        used_prior_28d=seen.age_days.between(29, 56).any(where=seen.ok > 0).fill_null(False),
    )
