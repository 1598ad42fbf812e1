"""How long an account waits for its answers: nearest-rank percentiles from the histogram rollup."""

import ibis
import ibis.expr.types as ir

from features.groups.arithmetic import KEYS, beside, known_rows, ratio
from features.groups.inputs import Rollups
from features.histogram import bucket_value, nearest_rank

__all__ = ["latency_features"]


def latency_features(rollups: Rollups, population: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """The latency group: one row per row of ``population``; percentiles within 2.5 % of the nearest-rank value."""
    quantiles = percentiles(histogram(rollups.latency, cutoffs))
    joined = beside(population.select(*KEYS), quantiles, slow_calls(rollups.usage, cutoffs))
    p95_7d = bucket_value(joined.p95_7d)
    return joined.select(
        *KEYS,
        latency_p50_ms_28d=bucket_value(joined.p50_28d),
        latency_p95_ms_7d=p95_7d,
        latency_p95_ms_28d=bucket_value(joined.p95_28d),
        latency_p95_7d_vs_prior_28d=ratio(p95_7d, bucket_value(joined.p95_prior_28d)),
        slow_call_share_28d=joined.slow_call_share_28d,
    )


def histogram(latency: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Calls per account, cutoff and latency bucket in the last 7 days, the last 28, and the 28 before the last 7."""
    seen = known_rows(latency, cutoffs, window_days=35)
    return seen.group_by(*KEYS, "bucket").agg(
        calls_7d=seen.calls.sum(where=seen.age_days <= 7).fill_null(0).cast("int64"),
        calls_28d=seen.calls.sum(where=seen.age_days <= 28).fill_null(0).cast("int64"),
        calls_prior_28d=seen.calls.sum(where=seen.age_days > 7).fill_null(0).cast("int64"),
    )


def percentiles(buckets: ir.Table) -> ir.Table:
    """The bucket that holds each percentile, per account and cutoff; null over nothing."""
    up_to_here = ibis.window(group_by=KEYS, order_by="bucket", preceding=None, following=0)
    whole = ibis.window(group_by=KEYS)
    names = ("calls_7d", "calls_28d", "calls_prior_28d")
    ranked = buckets.mutate(
        **{f"{name}_so_far": buckets[name].sum().over(up_to_here).cast("int64") for name in names},
        **{f"{name}_total": buckets[name].sum().over(whole).cast("int64") for name in names},
    )

    def holding(name: str, percent: int) -> ir.IntegerScalar:
        reached = ranked[f"{name}_so_far"] >= nearest_rank(ranked[f"{name}_total"], percent)
        return ranked.bucket.min(where=reached & (ranked[f"{name}_total"] > 0))

    return ranked.group_by(*KEYS).agg(
        p50_28d=holding("calls_28d", 50),
        p95_7d=holding("calls_7d", 95),
        p95_28d=holding("calls_28d", 95),
        p95_prior_28d=holding("calls_prior_28d", 95),
    )


def slow_calls(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Share of slow calls among calls that carry a latency, last 28 days."""
    seen = known_rows(usage, cutoffs, window_days=28)
    return seen.group_by(*KEYS).agg(slow_call_share_28d=ratio(seen.slow_calls.sum(), seen.latency_calls.sum()))
