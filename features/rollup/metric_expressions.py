"""Daily counts of a declared metric, by account, as pure Ibis expressions over its events."""

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.definitions.declared import Metric
from features.formulas.histogram import LARGEST_MS, bucket_of
from features.formulas.sums import exact_sum

__all__ = ["METRIC", "ORDER", "daily_counts", "with_conditions"]


METRIC = pa.schema(
    [
        ("account_id", pa.string()),
        ("event_day", pa.date32()),
        ("visible_from", pa.date32()),
        ("value", pa.string()),  # of a distinct metric; else null
        ("bucket", pa.int32()),  # of a percentile; else null
        ("matched", pa.int64()),
        ("base", pa.int64()),
        ("total", pa.float64()),
    ]
)
"""One row per account, day, first cutoff that may see it, and value or bucket.

``matched`` are the events that fulfil ``where`` (of a share, those of ``over`` that do), ``base`` those of ``over``, or
those with a value in the column of which ``total`` is the sum. A greater value than :data:`LARGEST_MS` is summed as
that, as a percentile takes it.
"""

ORDER = ("event_day", "account_id", "visible_from", "value", "bucket")
"""The order of the rows: by event day first."""

_KEYS = ("account_id", "event_day", "visible_from")


def daily_counts(calls: ir.Table, metric: Metric) -> ir.Table:
    """The counts of one metric, as :data:`METRIC` says, from events with the conditions ``where`` and ``over`` beside.

    Both are true where the metric has no such condition.
    """
    keys: list[str] = [*_KEYS]
    selected = calls.filter(_counts(calls, metric))
    column = selected[metric.column] if metric.column else None
    measures: dict[str, ir.Value] = {"matched": selected["where"].sum(), "base": selected.over.sum()}
    if metric.of in ("sum", "mean") and column is not None:
        number = column.cast("float64")
        # Not least(), which would make a number of null.
        summed = ibis.ifelse(number > LARGEST_MS, LARGEST_MS, number)
        measures["base"], measures["total"] = column.count(), exact_sum(summed)
    elif metric.of == "distinct" and column is not None:
        selected = selected.mutate(value=column.cast("string"))
        keys.append("value")
    elif metric.of == "percentile" and column is not None:
        selected = selected.mutate(bucket=bucket_of(column))
        keys.append("bucket")
    counted = selected.group_by(*keys).agg(**measures)
    types = ibis.Schema.from_pyarrow(METRIC)
    whole = {"matched", "base", "total"}
    columns = {
        name: (counted[name].fill_null(0) if name in whole else counted[name]).cast(types[name])
        if name in counted.columns
        else (ibis.literal(0.0) if name in whole else ibis.null(types[name])).cast(types[name])
        for name in METRIC.names
    }
    return counted.select(**columns).order_by(*ORDER)


def with_conditions(calls: ir.Table, key: str, metric: Metric) -> ir.Table:
    """What :func:`daily_counts` reads, of events with the conditions of many metrics as ``<key>_where`` and so on."""
    columns = ["account_id", "event_day", "visible_from", *([metric.column] if metric.column else [])]
    given = {"where": metric.where, "over": metric.over}
    return calls.select(
        *columns,
        **{name: ibis.literal(True) if text is None else calls[f"{key}_{name}"] for name, text in given.items()},
    )


def _counts(calls: ir.Table, metric: Metric) -> ir.BooleanValue:
    """Which events enter a metric at all."""
    if metric.of == "share":
        return calls.over
    if metric.of == "ratio":
        return calls["where"] | calls.over
    if metric.of in ("distinct", "percentile"):
        return calls["where"] & calls[metric.column].notnull()
    return calls["where"]
