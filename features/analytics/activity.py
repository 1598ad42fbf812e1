"""Weekly activity of one account or of the fleet, from the daily rollups.

Unlike a feature, activity is what happened, not what was known at a cutoff: late arrivals count on the day they
belong to. Weeks start on Monday (UTC).
"""

import ibis
import ibis.expr.types as ir

from features.formulas.histogram import bucket_value, nearest_rank
from features.formulas.sums import ratio

__all__ = ["calls_by_endpoint", "weekly_activity", "weekly_latency"]


def _of(rollup: ir.Table, account_id: str | None) -> ir.Table:
    calls = rollup if account_id is None else rollup.filter(rollup.account_id == account_id)
    return calls.mutate(week=calls.event_day.truncate("W"))


def weekly_activity(usage: ir.Table, *, account_id: str | None = None) -> ir.Table:
    """Calls, active accounts and shares of failed calls; one row per week, ascending.

    Shares are of the calls that carry a status and null where none does.

    Parameters
    ----------
    usage
        The ``usage`` rollup.
    account_id
        One account; None for the fleet.
    """
    of = _of(usage, account_id)
    weekly = of.group_by("week").agg(
        calls=of.calls.sum(),
        active_accounts=of.account_id.nunique(),
        with_status=(of.calls - of.no_status).sum(),
        client_errors=of.err_client.sum(),
        auth_errors=of.err_auth.sum(),
        throttled=of.err_throttled.sum(),
        server_errors=of.err_server.sum(),
    )
    shares = {
        f"{name}_share": ratio(weekly[name], weekly.with_status)
        for name in ("client_errors", "auth_errors", "throttled", "server_errors")
    }
    return weekly.select("week", "calls", "active_accounts", **shares).order_by("week")


def weekly_latency(latency: ir.Table, *, account_id: str | None = None) -> ir.Table:
    """Median and 95th percentile of latency in ms (nearest rank, within 2.5 %); one row per week, ascending.

    Parameters
    ----------
    latency
        The ``latency`` rollup.
    account_id
        One account; None for the fleet.
    """
    of = _of(latency, account_id)
    counted = of.group_by("week", "bucket").agg(calls=of.calls.sum())
    by_week = ibis.window(group_by="week")
    ranked = counted.mutate(
        rank=counted.calls.sum().over(ibis.cumulative_window(group_by="week", order_by="bucket")),
        total=counted.calls.sum().over(by_week),
        latency_ms=bucket_value(counted.bucket),
    )
    percentiles = {
        f"p{percent}_ms": ranked.latency_ms.min(where=ranked.rank >= nearest_rank(ranked.total, percent))
        for percent in (50, 95)
    }
    return ranked.group_by("week").agg(**percentiles).order_by("week")


def calls_by_endpoint(endpoint: ir.Table, *, account_id: str | None = None, most: int = 10) -> ir.Table:
    """Calls per week and endpoint for the busiest endpoints; one row per week and ``METHOD /route``, ascending.

    Parameters
    ----------
    endpoint
        The ``endpoint`` rollup.
    account_id
        One account; None for the fleet.
    most
        How many endpoints to name; the others are summed as ``other``.
    """
    of = _of(endpoint, account_id)
    of = of.mutate(route=(of.method + " " + of.endpoint).strip())
    busiest = (
        of.group_by("route")
        .agg(total=of.calls.sum())
        .order_by([ibis.desc("total"), "route"])
        .limit(most)
        .select(named="route")
    )
    joined = of.left_join(busiest, of.route == busiest.named)
    named = joined.mutate(route=joined.named.fill_null("other"))
    return named.group_by("week", "route").agg(calls=named.calls.sum()).order_by(["week", "route"])
