"""Daily rollups as pure Ibis expressions over the events."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import ibis
import ibis.expr.types as ir

from features.formulas.histogram import bucket_of
from features.formulas.value_endpoints import is_value_endpoint
from features.rollup.tables import OUTCOMES, ROLLUPS, RollupTable
from features.windows import event_day, visible_from

if TYPE_CHECKING:
    pass

__all__ = ["countable_events", "customer_events", "rollup_expressions"]


def customer_events(events: ir.Table, *, grace_hours: float) -> ir.Table:
    """Customer traffic, one row per event with its columns as stored, its day and its first cutoff."""
    customer = events.filter(~events.synthetic.fill_null(False))
    return customer.mutate(
        event_day=event_day(customer.event_time),
        visible_from=visible_from(customer.event_time, customer.ingested_at, grace_hours=grace_hours),
    )


def countable_events(events: ir.Table, *, grace_hours: float, value_endpoints: Sequence[str] = ()) -> ir.Table:
    """Customer traffic, one row per event, with its day, its first cutoff and its outcome as columns.

    A null status is a call and successful; null endpoints, methods and versions become the empty string. A value call
    is a successful call to one of ``value_endpoints``.
    """
    customer = customer_events(events, grace_hours=grace_hours)
    status = customer.status
    is_auth = status.isin([401, 403])
    method, endpoint = customer.method.fill_null(""), customer.endpoint.fill_null("")
    ok = status.isnull() | (status < 400)
    return customer.select(
        "account_id",
        "event_time",
        "token",
        "user_id",
        "sdk",
        "event_day",
        "visible_from",
        sdk_version=customer.sdk_version.fill_null(""),
        method=method,
        endpoint=endpoint,
        latency_ms=customer.latency_ms,
        bucket=ibis.ifelse(customer.latency_ms.notnull(), bucket_of(customer.latency_ms), None),
        ok=ok,
        is_value=ok & is_value_endpoint(method, endpoint, value_endpoints),
        err_auth=is_auth,
        err_throttled=status == 429,
        err_client=status.between(400, 499) & ~is_auth & (status != 429),
        err_server=status >= 500,
        no_status=status.isnull(),
    )


def rollup_expressions(countable: ir.Table, *, slow_call_ms: float) -> dict[str, ir.Table]:
    """The rollups of :func:`countable_events`, by name, as :data:`ROLLUPS` declares; sorted by event day first.

    Null latencies, tokens, users and SDKs have no row in their rollup, calls without a route none in ``service``.
    """
    usage = {
        **_outcomes(countable),
        "slow_calls": (countable.latency_ms >= slow_call_ms).sum(),
        "endpoint_calls": (countable.endpoint != "").sum(),
        "token_calls": countable.token.count(),
        "user_calls": countable.user_id.count(),
        "sdk_calls": countable.sdk.count(),
        "value_calls": countable.is_value.sum(),
        "min_event_time": countable.event_time.min(),
        "max_event_time": countable.event_time.max(),
        "min_success_time": countable.event_time.min(where=countable.ok),
        "max_success_time": countable.event_time.max(where=countable.ok),
        "min_value_time": countable.event_time.min(where=countable.is_value),
        "max_value_time": countable.event_time.max(where=countable.is_value),
        "max_latency_ms": countable.latency_ms.max(),
        "active_days": ibis.literal(1, "int64") << (countable.event_day.day().max() - 1),
    }
    measured = countable.bucket.notnull()
    some = {
        "latency": measured,
        "token": countable.token.notnull(),
        "user": countable.user_id.notnull(),
        "service": measured & (countable.endpoint != ""),
    }
    of_sdks = countable.filter(countable.sdk.notnull())
    first_seen = {"min_event_time": of_sdks.event_time.min()}
    return {
        "usage": _grouped(countable, ROLLUPS["usage"], usage),
        "endpoint": _grouped(countable, ROLLUPS["endpoint"], _outcomes(countable)),
        **{name: _grouped(countable.filter(rows), ROLLUPS[name], {}) for name, rows in some.items()},
        "sdk": _grouped(of_sdks, ROLLUPS["sdk"], _outcomes(of_sdks)),
        "release": _grouped(of_sdks, ROLLUPS["release"], first_seen),
    }


def _outcomes(calls: ir.Table) -> dict[str, ir.Scalar]:
    """Calls by outcome, and how many of them carry a latency."""
    return {
        "calls": calls.count(),
        **{name: calls[name].sum() for name in OUTCOMES},
        "latency_calls": calls.latency_ms.count(),
    }


def _grouped(countable: ir.Table, rollup: RollupTable, measures: Mapping[str, ir.Scalar]) -> ir.Table:
    counted = countable.group_by(rollup.keys).agg(**(measures or {"calls": countable.count()}))
    types = ibis.Schema.from_pyarrow(rollup.schema)
    columns = {}
    for name in rollup.schema.names:
        # A sum over nothing but nulls is null; a count of them is 0.
        is_count = name in rollup.measures and types[name].is_integer()
        columns[name] = (counted[name].fill_null(0) if is_count else counted[name]).cast(types[name])
    if "active_days" in columns:
        first_seen = counted.visible_from.min().over(group_by=["account_id", "event_day"])
        columns["active_days"] = ibis.ifelse(counted.visible_from == first_seen, columns["active_days"], 0)
    return counted.select(**columns).order_by(*rollup.order)
