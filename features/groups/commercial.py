"""What an account has bought, since when, until when, and how much of it is used."""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from features.formulas.sums import ratio
from features.groups.inputs import Inputs
from features.groups.observation import KEYS, beside, known_rows
from features.groups.quota import quota_forecast
from features.schema import SubscriptionKind
from features.windows import days_between, is_in_window, is_known, starts_before_window

__all__ = ["commercial_features"]

_QUOTA_SCALE = 28 / 30.4375  # a quota is per average month, the window 28 days
# What a row says: the last word between ties that time, knowledge and file order leave, as between two files.
_STATED = ("plan", "mrr", "quota_calls_per_month", "term_end")
_ORDER = ("occurred_at", "known_at", "source_order", "kind", *_STATED)


def commercial_features(inputs: Inputs) -> ir.Table:
    """The commercial group: one row per row of ``population``."""
    rollups, population, cutoffs = inputs.rollups, inputs.population, inputs.cutoffs
    subscriptions, grace_hours = inputs.subscriptions, inputs.grace_hours
    known = known_events(subscriptions, cutoffs, grace_hours=grace_hours)
    now = state(known)
    before = state(known.filter(~is_in_window(known.occurred_at, known.cutoff, window_days=91)))
    joined = beside(
        population.select(*KEYS, "created_at", "log_start"),
        now,
        before.select(*KEYS, mrr_before="mrr"),
        customer_since(known),
        changes(known),
        successful_calls(rollups.usage, cutoffs),
        quota_forecast(rollups.usage, now, cutoffs),
    )
    calls = joined.successful_calls_28d.fill_null(0)
    has_subscriptions = joined.events.max().over(ibis.window(group_by="cutoff")).notnull()
    can_forecast = starts_before_window(joined.log_start, joined.cutoff, window_days=91)
    return joined.select(
        *KEYS,
        "plan",
        "mrr",
        mrr_growth_91d=ratio(joined.mrr, joined.mrr_before),
        **{
            name: ibis.ifelse(has_subscriptions, joined[name].fill_null(0), None)
            for name in ("plan_changes_364d", "downgrades_364d")
        },
        days_to_term_end=days_between(joined.cutoff, joined.term_end),
        tenure_days=days_between(ibis.coalesce(joined.customer_since, joined.created_at), joined.cutoff),
        quota_used_share_28d=ratio(calls, joined.quota_calls_per_month * _QUOTA_SCALE),
        quota_forecast_share_30d=ibis.ifelse(can_forecast, joined.forecast_share_30d, None),
        days_to_quota=ibis.ifelse(can_forecast, joined.days_to_quota, None),
        cost_per_1k_success_28d=1000 * ratio(joined.mrr, calls),
    )


def known_events(subscriptions: ir.Table, cutoffs: ir.Table, *, grace_hours: float) -> ir.Table:
    """Subscription events as known at each cutoff: ``occurred_at < c`` and ``known_at < c + grace``."""
    joined = subscriptions.cross_join(cutoffs.select("cutoff"))
    return joined.filter(
        joined.occurred_at < joined.cutoff, is_known(joined.known_at, joined.cutoff, grace_hours=grace_hours)
    )


def state(known: ir.Table) -> ir.Table:
    """The subscription at the cutoff: the last known event, by time, then knowledge, then file order.

    What a cancellation notice leaves empty is as the last other event said: the notice states only itself.
    """
    newest_first = _descending(_ORDER)
    is_notice = known.kind == SubscriptionKind.CANCEL_NOTICE.value
    placed = known.mutate(
        is_notice=is_notice,
        place=ibis.row_number().over(group_by=KEYS, order_by=newest_first),
        place_of_kind=ibis.row_number().over(group_by=[*KEYS, is_notice], order_by=newest_first),
    )
    # The last event, and the last that is no notice: the same row, or two.
    last = placed.filter((placed.place == 0) | (~placed.is_notice & (placed.place_of_kind == 0)))
    return last.group_by(*KEYS).agg(
        **{
            name: ibis.coalesce(last[name].max(where=last.place == 0), last[name].max(where=~last.is_notice))
            for name in _STATED
        }
    )


def customer_since(known: ir.Table) -> ir.Table:
    """When the account became a customer: its first start, or its last reactivation, which begins anew."""
    started = known.kind == SubscriptionKind.START.value
    returned = known.kind == SubscriptionKind.REACTIVATE.value
    return known.group_by(*KEYS).agg(
        customer_since=ibis.coalesce(known.occurred_at.max(where=returned), known.occurred_at.min(where=started))
    )


def changes(known: ir.Table) -> ir.Table:
    """Known events in all, and in the last 364 days: downgrades, and events with another plan than the one before.

    An event without a plan changes none: the next one is compared with the last plan that was named.
    """
    in_window = is_in_window(known.occurred_at, known.cutoff, window_days=364)
    counted = known.group_by(*KEYS).agg(
        events=known.count(),
        downgrades_364d=known.count(where=in_window & (known.kind == SubscriptionKind.DOWNGRADE.value)),
    )
    plans = known.filter(known.plan.notnull())
    before = plans.plan.lag().over(ibis.window(group_by=KEYS, order_by=_ascending(_ORDER)))
    named = plans.mutate(plan_before=before)
    recent = is_in_window(named.occurred_at, named.cutoff, window_days=364)
    changed = named.group_by(*KEYS).agg(plan_changes_364d=named.count(where=recent & (named.plan != named.plan_before)))
    return beside(counted, changed)


def successful_calls(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Successful calls of the last 28 days."""
    seen = known_rows(usage, cutoffs, window_days=28)
    return seen.group_by(*KEYS).agg(successful_calls_28d=seen.ok.sum().cast("int64"))


def _descending(names: Sequence[str]) -> list[ir.Value]:
    return [ibis.desc(name, nulls_first=False) for name in names]


def _ascending(names: Sequence[str]) -> list[ir.Value]:
    return [ibis.asc(name, nulls_first=True) for name in names]
