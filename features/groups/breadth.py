"""How much of the product an account uses: endpoints taken up, kept and dropped."""

import ibis
import ibis.expr.types as ir

from features.groups.arithmetic import KEYS, beside, known_rows, ratio
from features.groups.inputs import Rollups

__all__ = ["breadth_features"]

_WRITES = ("POST", "PUT", "PATCH", "DELETE")


def breadth_features(rollups: Rollups, population: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """The breadth group: one row per row of ``population``. An endpoint is a method and a route, once it succeeds."""
    used = endpoint_use(rollups.endpoint, cutoffs)
    joined = beside(population.select(*KEYS, "log_has_endpoint"), used)
    counts = {
        name: ibis.ifelse(joined.log_has_endpoint, joined[name].fill_null(0), None)
        for name in ("endpoints_used_7d", "endpoints_used_28d", "endpoints_dropped_28d")
    }
    used_28d = counts["endpoints_used_28d"]
    return joined.select(
        *KEYS,
        **counts,
        narrow_use_28d=ibis.ifelse(used_28d > 0, (used_28d <= 2).cast("int64"), None),
        top_endpoint_share_28d=joined.top_endpoint_share_28d,
        write_share_28d=joined.write_share_28d,
    )


def endpoint_use(endpoint: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Use of endpoints by window, per account and cutoff; calls without a route count in no endpoint."""
    seen = known_rows(endpoint, cutoffs, window_days=56)
    now = seen.age_days <= 28
    each = seen.group_by(*KEYS, "method", "endpoint").agg(
        calls_28d=seen.calls.sum(where=now).fill_null(0).cast("int64"),
        ok_7d=seen.ok.sum(where=seen.age_days <= 7).fill_null(0).cast("int64"),
        ok_28d=seen.ok.sum(where=now).fill_null(0).cast("int64"),
        ok_prior_28d=seen.ok.sum(where=seen.age_days > 28).fill_null(0).cast("int64"),
    )
    is_route, has_method = each.endpoint != "", each.method != ""
    return each.group_by(*KEYS).agg(
        endpoints_used_7d=each.count(where=is_route & (each.ok_7d > 0)),
        endpoints_used_28d=each.count(where=is_route & (each.ok_28d > 0)),
        endpoints_dropped_28d=each.count(where=is_route & (each.ok_prior_28d > 0) & (each.ok_28d == 0)),
        top_endpoint_share_28d=ratio(each.calls_28d.max(where=is_route), each.calls_28d.sum(where=is_route)),
        write_share_28d=ratio(
            each.calls_28d.sum(where=each.method.upper().isin(_WRITES)).fill_null(0),
            each.calls_28d.sum(where=has_method),
        ),
    )
