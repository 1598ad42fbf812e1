"""How long an account waits for its answers: nearest-rank percentiles from the histogram rollups."""

import ibis.expr.types as ir

from features.formulas.histogram import bucket_holding, bucket_value, ranked_buckets
from features.formulas.sums import exact_sum, ratio
from features.groups.inputs import Inputs
from features.groups.observation import KEYS, beside, known_rows

__all__ = ["latency_features"]


def latency_features(inputs: Inputs) -> ir.Table:
    """The latency group: one row per row of ``population``; percentiles within 2.5 % of the nearest-rank value."""
    rollups, population, cutoffs = inputs.rollups, inputs.population, inputs.cutoffs
    joined = beside(
        population.select(*KEYS),
        percentiles(histogram(rollups.latency, cutoffs)),
        slow_calls(rollups.usage, cutoffs),
        usual_latency(rollups.endpoint_windows, service_percentiles(rollups.service, cutoffs)),
    )
    p95_7d, p95_28d = bucket_value(joined.p95_7d), bucket_value(joined.p95_28d)
    return joined.select(
        *KEYS,
        latency_p50_ms_28d=bucket_value(joined.p50_28d),
        latency_p95_ms_7d=p95_7d,
        latency_p95_ms_28d=p95_28d,
        latency_p99_ms_28d=bucket_value(joined.p99_28d),
        latency_p95_7d_vs_prior_28d=ratio(p95_7d, bucket_value(joined.p95_prior_28d)),
        slow_call_share_28d=joined.slow_call_share_28d,
        latency_max_ms_28d=joined.latency_max_ms_28d,
        latency_p95_vs_service_28d=ratio(p95_28d, joined.usual_p95_ms),
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
    ranked = ranked_buckets(buckets, KEYS, ("calls_7d", "calls_28d", "calls_prior_28d"))
    return ranked.group_by(*KEYS).agg(
        p50_28d=bucket_holding(ranked, "calls_28d", 50),
        p95_7d=bucket_holding(ranked, "calls_7d", 95),
        p95_28d=bucket_holding(ranked, "calls_28d", 95),
        p99_28d=bucket_holding(ranked, "calls_28d", 99),
        p95_prior_28d=bucket_holding(ranked, "calls_prior_28d", 95),
    )


def service_percentiles(service: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """95th percentile of the latency of every endpoint over all customers, in ms, last 28 days.

    One row per cutoff, method and endpoint.
    """
    seen = known_rows(service, cutoffs, window_days=28)
    keys = ("cutoff", "method", "endpoint")
    ranked = ranked_buckets(
        seen.group_by(*keys, "bucket").agg(calls_28d=seen.calls.sum().cast("int64")), keys, ("calls_28d",)
    )
    fleet = ranked.group_by(*keys).agg(p95=bucket_holding(ranked, "calls_28d", 95))
    return fleet.select(*keys, service_p95_ms=bucket_value(fleet.p95))


def usual_latency(windows: ir.Table, service: ir.Table) -> ir.Table:
    """What the service's 95th percentiles come to on the endpoints an account uses, in ms, per account and cutoff.

    The mean of the percentiles of the endpoints it called in the last 28 days, weighted by its calls that carry a
    latency; calls without a route have no part in it.
    """
    timed = windows.filter(windows.latency_calls_28d > 0)
    joined = timed.join(service, ["cutoff", "method", "endpoint"])  # the service has no calls without a route
    weighted = exact_sum(joined.latency_calls_28d * joined.service_p95_ms)
    return joined.group_by(*KEYS).agg(usual_p95_ms=ratio(weighted, joined.latency_calls_28d.sum()))


def slow_calls(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Share of slow calls among calls that carry a latency, and the longest latency, last 28 days."""
    seen = known_rows(usage, cutoffs, window_days=28)
    return seen.group_by(*KEYS).agg(
        slow_call_share_28d=ratio(seen.slow_calls.sum(), seen.latency_calls.sum()),
        latency_max_ms_28d=seen.max_latency_ms.max(),
    )
