"""Features that users declare, at each cutoff: windows over the daily counts of metrics, and newest rows of tables."""

from collections.abc import Mapping

import ibis
import ibis.expr.types as ir

from features.definitions.declared import ExternalTable, Metric
from features.definitions.declared_features import carried_by
from features.formulas.histogram import bucket_holding, bucket_value, ranked_buckets
from features.formulas.sums import exact_sum, ratio
from features.groups.observation import KEYS, beside, known_rows
from features.windows import is_in_window, is_known

__all__ = ["custom_features", "metric_windows", "newest_rows"]

_CARRIES = {
    "status": "log_has_status",
    "endpoint": "log_has_endpoint",
    "token": "log_has_token",
    "user_id": "log_has_user",
    "sdk": "log_has_sdk",
    "latency_ms": "log_has_latency",
}
"""Column of an event to the column of the population that says whether any call of anybody has carried it."""


def custom_features(
    population: ir.Table,
    cutoffs: ir.Table,
    *,
    metrics: Mapping[str, tuple[Metric, ir.Table]],
    tables: Mapping[str, tuple[ExternalTable, ir.Table]],
    grace_hours: float,
) -> ir.Table:
    """A group of declared features: one row per row of ``population``.

    ``metrics`` and ``tables`` are the declarations by name, each with its daily counts (``features.rollup.metrics``) or
    its rows (``features.external.take``). Counts, sums and distinct values over nothing are 0, or null while the log
    carries nothing they look at; means, shares, ratios and percentiles over nothing are null.
    """
    parts = [metric_windows(name, metric, counts, cutoffs) for name, (metric, counts) in metrics.items()]
    parts += [
        newest_rows(name, table, rows, cutoffs, grace_hours=grace_hours) for name, (table, rows) in tables.items()
    ]
    joined = beside(population.select(*KEYS, *_CARRIES.values()), *parts)
    zeros = {}
    for name, (metric, _) in metrics.items():
        if metric.of in ("count", "sum", "distinct"):
            for days in metric.window_days:
                value = joined[f"{name}_{days}d"].fill_null(0)
                for column in carried_by(metric):
                    value = ibis.ifelse(joined[_CARRIES[column]], value, None)
                zeros[f"{name}_{days}d"] = value
    return joined.mutate(**zeros).drop(*_CARRIES.values())


def metric_windows(name: str, metric: Metric, counts: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """One metric over each of its windows, per account and cutoff that has any count in the longest."""
    seen = known_rows(counts, cutoffs, window_days=max(metric.window_days))
    if metric.of == "percentile":
        return _percentiles(name, metric, seen)
    inside = {days: seen.age_days <= days for days in metric.window_days}
    sums = {days: _in_window(metric, seen, where) for days, where in inside.items()}
    return seen.group_by(*KEYS).agg(**{f"{name}_{days}d": value for days, value in sums.items()})


def newest_rows(name: str, table: ExternalTable, rows: ir.Table, cutoffs: ir.Table, *, grace_hours: float) -> ir.Table:
    """The row with the largest (``event_timestamp``, ``known_at``) known at each cutoff, if it is not too old."""
    joined = rows.cross_join(cutoffs.select("cutoff"))
    known = joined.filter(
        joined.event_timestamp < joined.cutoff, is_known(joined.known_at, joined.cutoff, grace_hours=grace_hours)
    )
    if table.max_age_days is not None:
        known = known.filter(is_in_window(known.event_timestamp, known.cutoff, window_days=table.max_age_days))
    newest = ibis.row_number().over(group_by=list(KEYS), order_by=[ibis.desc("event_timestamp"), ibis.desc("known_at")])
    return (
        known.mutate(_place=newest)  # no column of a table begins so
        .filter(lambda placed: placed["_place"] == 0)
        .select(*KEYS, **{f"{name}_{column}": ibis._[column] for column in table.columns})
    )


def _in_window(metric: Metric, seen: ir.Table, where: ir.BooleanValue) -> ir.Value:
    matched = seen.matched.sum(where=where).cast("int64")
    if metric.of == "count":
        return matched
    if metric.of == "distinct":
        return seen["value"].nunique(where=where).cast("int64")
    base = seen.base.sum(where=where).cast("int64")
    if metric.of in ("share", "ratio"):
        return ratio(matched, base)
    total = exact_sum(seen.total, where=where)
    return ratio(total, base) if metric.of == "mean" else total


def _percentiles(name: str, metric: Metric, seen: ir.Table) -> ir.Table:
    """Nearest rank from the histogram, within 2.5 %."""
    counts = tuple(f"calls_{days}d" for days in metric.window_days)
    summed = {
        count: seen.matched.sum(where=seen.age_days <= days).fill_null(0).cast("int64")
        for count, days in zip(counts, metric.window_days, strict=True)
    }
    buckets = seen.group_by(*KEYS, "bucket").agg(**summed)
    ranked = ranked_buckets(buckets, KEYS, counts)
    percentiles = ranked.group_by(*KEYS).agg(
        **{count: bucket_holding(ranked, count, metric.percentile or 0) for count in counts}
    )
    return percentiles.select(
        *KEYS,
        **{
            f"{name}_{days}d": bucket_value(percentiles[count])
            for count, days in zip(counts, metric.window_days, strict=True)
        },
    )
