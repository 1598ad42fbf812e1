"""Calls of each account by week before a cutoff, newest first: what its usual use is read from."""

import ibis.expr.types as ir

from features.analytics.endpoint_calls import OBSERVED_DAYS
from features.groups.observation import KEYS, known_rows

__all__ = ["weekly_calls"]


def weekly_calls(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """One row per account, cutoff and week of seven days with a call in the last 17 weeks, as known at the cutoff.

    ``weeks_before`` is 0 for the week that ends at the cutoff; ``active_days`` counts its days with a call.
    """
    seen = known_rows(usage, cutoffs, window_days=OBSERVED_DAYS)
    weeks = seen.mutate(weeks_before=(seen.age_days - 1) // 7)
    return weeks.group_by(*KEYS, "weeks_before").agg(
        calls=weeks.calls.sum().cast("int64"), active_days=weeks.age_days.nunique()
    )
