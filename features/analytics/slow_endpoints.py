"""How many calls of each account took longer than their endpoint's usual slowest 5 %."""

import ibis.expr.types as ir

from features.analytics.endpoint_calls import RECENT_DAYS
from features.groups.observation import KEYS, known_rows

__all__ = ["slow_endpoint_calls"]


def slow_endpoint_calls(endpoint: ir.Table, slow: ir.Table, usual: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """One row per account, cutoff, method and endpoint of the last 28 days, as known at the cutoff.

    ``timed_calls`` are those with a latency on days on which it was known what is usual there, ``slow_calls`` those of
    them that took longer, ``usual_p95_ms`` what was usual on the newest of these days.

    Parameters
    ----------
    endpoint
        The ``endpoint`` rollup.
    slow, usual
        As :mod:`features.rollup.slow_calls` counts them.
    """
    keys = (*KEYS, "method", "endpoint")
    timed = known_rows(endpoint, cutoffs, window_days=RECENT_DAYS)
    timed = timed.filter(timed.latency_calls > 0).join(usual, ["event_day", "method", "endpoint"])
    calls = timed.group_by(*keys).agg(
        timed_calls=timed.latency_calls.sum().cast("int64"),
        usual_p95_ms=timed.usual_p95_ms.argmax(timed.event_day),
    )
    slower = known_rows(slow, cutoffs, window_days=RECENT_DAYS)
    slower = slower.group_by(*keys).agg(slow_calls=slower.slow_calls.sum().cast("int64"))
    joined = calls.left_join(slower, list(keys)).drop(*(f"{key}_right" for key in keys))
    return joined.mutate(slow_calls=joined.slow_calls.fill_null(0))
