"""Calls of each account by day before a cutoff, with what failed and what was slow: it shows when a change began."""

import ibis.expr.types as ir

from features.analytics.endpoint_calls import FAILURES
from features.groups.observation import KEYS, known_rows

__all__ = ["STARTS_WITHIN_DAYS", "daily_counts"]


STARTS_WITHIN_DAYS = 56
"""How far back a change is looked for: ``[c - 56 d, c)``."""


def daily_counts(
    usage: ir.Table, endpoint: ir.Table, slow: ir.Table, usual: ir.Table, given_up: ir.Table, cutoffs: ir.Table
) -> ir.Table:
    """One row per account, cutoff and day with a call in the last 56, as known at the cutoff.

    ``calls``, ``answered`` (with a status), the classes of failed calls, ``given_up_calls`` to endpoints that the
    account has given up since, ``timed_calls`` and ``slow_calls`` as in :mod:`features.analytics.slow_endpoints`.

    Parameters
    ----------
    usage, endpoint, slow, usual
        The rollups.
    given_up
        ``account_id``, ``method``, ``endpoint``.
    """
    keys = (*KEYS, "age_days")
    seen = known_rows(usage, cutoffs, window_days=STARTS_WITHIN_DAYS)
    joined = seen.group_by(*keys).agg(
        calls=seen.calls.sum().cast("int64"),
        answered=(seen.calls - seen.no_status).sum().cast("int64"),
        **{name: seen[name].sum().cast("int64") for name in FAILURES},
    )
    called = known_rows(endpoint, cutoffs, window_days=STARTS_WITHIN_DAYS)
    timed = called.semi_join(usual, ["event_day", "method", "endpoint"])
    slower = known_rows(slow, cutoffs, window_days=STARTS_WITHIN_DAYS)
    left = called.semi_join(given_up, ["account_id", "method", "endpoint"])
    sums = {
        "timed_calls": timed.group_by(*keys).agg(timed_calls=timed.latency_calls.sum().cast("int64")),
        "slow_calls": slower.group_by(*keys).agg(slow_calls=slower.slow_calls.sum().cast("int64")),
        "given_up_calls": left.group_by(*keys).agg(given_up_calls=left.calls.sum().cast("int64")),
    }
    for table in sums.values():
        joined = joined.left_join(table, list(keys)).drop(*(f"{key}_right" for key in keys))
    return joined.fill_null(dict.fromkeys(sums, 0))
