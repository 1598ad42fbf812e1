"""Latency histograms: log-spaced buckets from which any nearest-rank percentile is read within 2.5 %."""

import math

import ibis
import ibis.expr.types as ir

__all__ = [
    "BUCKET_GROWTH",
    "LARGEST_MS",
    "bucket_holding",
    "bucket_of",
    "bucket_value",
    "nearest_rank",
    "ranked_buckets",
]


BUCKET_GROWTH = 1.05
"""Upper over lower edge of a bucket; the value in the middle is off by at most sqrt(1.05) - 1 = 2.47 %."""

_SMALLEST_MS = 1e-6  # a nanosecond; anything above 0 and below it counts as it
LARGEST_MS = 1e12
"""Anything above counts as it: 32 years."""

_LOG_GROWTH = math.log(BUCKET_GROWTH)
_LAST_BUCKET = 1 + math.floor(math.log(LARGEST_MS / _SMALLEST_MS) / _LOG_GROWTH)


def bucket_of(latency_ms: ir.NumericValue) -> ir.IntegerValue:
    """Bucket of a latency: 0 holds exactly 0 ms, ``k`` holds ``[1e-6 g^(k-1), 1e-6 g^k)`` ms."""
    # The greatest() keeps the logarithm defined on engines that evaluate both branches.
    steps = (ibis.greatest(latency_ms, _SMALLEST_MS) / _SMALLEST_MS).ln() / _LOG_GROWTH
    bucket = ibis.least(steps.floor().cast("int32") + 1, _LAST_BUCKET)
    return ibis.ifelse(latency_ms > 0, bucket, 0).cast("int32")


def bucket_value(bucket: ir.IntegerValue) -> ir.FloatingValue:
    """The latency a bucket stands for, in ms: the geometric middle of its edges, and 0 for bucket 0."""
    middle = ((bucket.cast("float64") - 0.5) * _LOG_GROWTH).exp() * _SMALLEST_MS
    return ibis.ifelse(bucket == 0, 0.0, middle)  # a null bucket stays null


def nearest_rank(total: ir.IntegerValue, percent: int) -> ir.IntegerValue:
    """Rank of a percentile by the nearest-rank rule, ``ceil(p N)``, in integers."""
    return (total * percent + 99) // 100


def ranked_buckets(buckets: ir.Table, keys: tuple[str, ...], names: tuple[str, ...]) -> ir.Table:
    """Beside each count of calls how many there are up to its bucket, and in all."""
    up_to_here = ibis.window(group_by=keys, order_by="bucket", preceding=None, following=0)
    whole = ibis.window(group_by=keys)
    return buckets.mutate(
        **{f"{name}_so_far": buckets[name].sum().over(up_to_here).cast("int64") for name in names},
        **{f"{name}_total": buckets[name].sum().over(whole).cast("int64") for name in names},
    )


def bucket_holding(ranked: ir.Table, name: str, percent: int) -> ir.IntegerScalar:
    """The bucket that holds the nearest rank of a percentile; null over nothing."""
    so_far, total = ranked[f"{name}_so_far"], ranked[f"{name}_total"]
    return ranked.bucket.min(where=(so_far >= nearest_rank(total, percent)) & (total > 0))
