"""What an account has bought, since when, until when, and how much of it is used."""

import ibis
import ibis.expr.types as ir

from features.groups.arithmetic import KEYS, beside, known_rows, ratio
from features.groups.inputs import Rollups
from features.schema import SubscriptionKind
from features.windows import days_between, is_known

__all__ = ["commercial_features"]

_QUOTA_SCALE = 28 / 30.4375  # a quota is per average month, the window 28 days


def commercial_features(
    rollups: Rollups, population: ir.Table, cutoffs: ir.Table, *, subscriptions: ir.Table, grace_hours: float
) -> ir.Table:
    """The commercial group: one row per row of ``population``."""
    known = known_events(subscriptions, cutoffs, grace_hours=grace_hours)
    joined = beside(
        population.select(*KEYS, "created_at"),
        state(known),
        customer_since(known),
        successful_calls(rollups.usage, cutoffs),
    )
    return joined.select(
        *KEYS,
        "plan",
        "mrr",
        days_to_term_end=days_between(joined.cutoff, joined.term_end),
        tenure_days=days_between(ibis.coalesce(joined.customer_since, joined.created_at), joined.cutoff),
        quota_used_share_28d=ratio(
            joined.successful_calls_28d.fill_null(0), joined.quota_calls_per_month * _QUOTA_SCALE
        ),
    )


def known_events(subscriptions: ir.Table, cutoffs: ir.Table, *, grace_hours: float) -> ir.Table:
    """Subscription events as known at each cutoff: ``occurred_at < c`` and ``known_at < c + grace``."""
    joined = subscriptions.cross_join(cutoffs.select("cutoff"))
    return joined.filter(
        joined.occurred_at < joined.cutoff, is_known(joined.known_at, joined.cutoff, grace_hours=grace_hours)
    )


def state(known: ir.Table) -> ir.Table:
    """The subscription at the cutoff: the last known event, by time, then knowledge, then file order."""
    # The last five columns only make a tie between equal positions of two files fall the same way every time.
    order = ("occurred_at", "known_at", "source_order", "kind", "plan", "mrr", "quota_calls_per_month", "term_end")
    last = ibis.row_number().over(group_by=KEYS, order_by=[ibis.desc(name, nulls_first=False) for name in order])
    newest = known.mutate(place=last)
    return newest.filter(newest.place == 0).select(*KEYS, "plan", "mrr", "quota_calls_per_month", "term_end")


def customer_since(known: ir.Table) -> ir.Table:
    """When the account became a customer: its first start, or its last reactivation, which begins anew."""
    started = known.kind == SubscriptionKind.START.value
    returned = known.kind == SubscriptionKind.REACTIVATE.value
    return known.group_by(*KEYS).agg(
        customer_since=ibis.coalesce(known.occurred_at.max(where=returned), known.occurred_at.min(where=started))
    )


def successful_calls(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Successful calls of the last 28 days."""
    seen = known_rows(usage, cutoffs, window_days=28)
    return seen.group_by(*KEYS).agg(successful_calls_28d=seen.ok.sum().cast("int64"))
