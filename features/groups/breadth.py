"""How much of the product an account uses: endpoints taken up, kept and dropped, and the ones that make its value."""

import ibis
import ibis.expr.types as ir

from features.formulas.sums import exact_sum, ratio
from features.groups.inputs import Inputs
from features.groups.observation import KEYS, beside, known_rows
from features.windows import days_between

__all__ = ["breadth_features"]

_WRITES = ("POST", "PUT", "PATCH", "DELETE")
_COUNTS = (
    "endpoints_used_7d",
    "endpoints_used_28d",
    "endpoints_used_91d",
    "endpoints_dropped_28d",
    "endpoints_adopted_28d",
)


def breadth_features(inputs: Inputs) -> ir.Table:
    """The breadth group: one row per row of ``population``. An endpoint is a method and a route, once it succeeds.

    A value call is a successful call to one of the value endpoints: as everywhere in this group an endpoint is used
    once a call to it succeeds, and a failed call makes no value. Its features are null when no value endpoints are
    set.
    """
    rollups, population, cutoffs = inputs.rollups, inputs.population, inputs.cutoffs
    has_value_endpoints = inputs.has_value_endpoints
    windows = rollups.endpoint_windows
    joined = beside(
        population.select(*KEYS, "last_value_call", "log_has_endpoint"),
        endpoint_use(windows),
        value_calls(rollups.usage, cutoffs),
    )
    fleet = endpoints_in_use(windows)
    joined = joined.left_join(fleet, "cutoff").drop("cutoff_right")
    has_endpoint = joined.log_has_endpoint
    counts = {name: ibis.ifelse(has_endpoint, joined[name].fill_null(0), None) for name in _COUNTS}
    used_28d = counts["endpoints_used_28d"]
    has_value = has_endpoint & ibis.literal(has_value_endpoints)
    value_calls_28d = ibis.ifelse(has_value, joined.value_calls_28d.fill_null(0), None)
    return joined.select(
        *KEYS,
        **counts,
        narrow_use_28d=ibis.ifelse(used_28d > 0, (used_28d <= 2).cast("int64"), None),
        endpoint_entropy_28d=joined.endpoint_entropy_28d,
        top_endpoint_share_28d=joined.top_endpoint_share_28d,
        endpoint_coverage_28d=ratio(used_28d, joined.endpoints_in_use_28d),
        write_share_28d=joined.write_share_28d,
        value_endpoint_calls_28d=value_calls_28d,
        value_endpoint_share_28d=ratio(value_calls_28d, joined.ok_28d),
        value_endpoint_reached=ibis.ifelse(has_value, joined.last_value_call.notnull().cast("int64"), None),
        days_since_value_endpoint=ibis.ifelse(has_value, days_between(joined.last_value_call, joined.cutoff), None),
    )


def endpoint_use(windows: ir.Table) -> ir.Table:
    """Use of endpoints per account and cutoff; calls without a route count in no endpoint.

    The entropy of calls over endpoints is ``ln N - (sum n ln n) / N`` nats, and exactly 0 with one endpoint.
    """
    is_route, has_method = windows.endpoint != "", windows.method != ""
    age = windows.newest_ok_age
    calls = windows.calls_28d
    surprise = exact_sum(calls * ibis.greatest(calls, 1).ln(), where=is_route)
    all_calls, most_calls = calls.sum(where=is_route), calls.max(where=is_route)
    return windows.group_by(*KEYS).agg(
        endpoints_used_7d=windows.count(where=is_route & (age <= 7)),
        endpoints_used_28d=windows.count(where=is_route & (age <= 28)),
        endpoints_used_91d=windows.count(where=is_route & age.notnull()),
        endpoints_dropped_28d=windows.count(where=is_route & windows.used_prior_28d & (age > 28)),
        endpoints_adopted_28d=windows.count(where=is_route & ~windows.used_prior_28d & (age <= 28)),
        endpoint_entropy_28d=ibis.ifelse(
            most_calls == all_calls,
            ratio(all_calls - all_calls, all_calls),
            ibis.greatest(all_calls, 1).ln() - ratio(surprise, all_calls),
        ),
        top_endpoint_share_28d=ratio(most_calls, all_calls),
        write_share_28d=ratio(
            calls.sum(where=windows.method.upper().isin(_WRITES)).fill_null(0), calls.sum(where=has_method)
        ),
        ok_28d=windows.ok_28d.sum(where=is_route).cast("int64"),
    )


def endpoints_in_use(windows: ir.Table) -> ir.Table:
    """How many endpoints any account used in the last 28 days, per cutoff."""
    used = windows.filter(windows.endpoint != "", windows.newest_ok_age <= 28)
    each = used.select("cutoff", "method", "endpoint").distinct()
    return each.group_by("cutoff").agg(endpoints_in_use_28d=each.count())


def value_calls(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Successful calls to the value endpoints in the last 28 days."""
    seen = known_rows(usage, cutoffs, window_days=28)
    return seen.group_by(*KEYS).agg(value_calls_28d=seen.value_calls.sum().cast("int64"))
