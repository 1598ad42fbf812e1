"""What an account has bought, since when, until when, and how much of it is used."""

import ibis
import ibis.expr.types as ir

from features.formulas.sums import ratio
from features.groups.inputs import Inputs
from features.groups.observation import KEYS, beside, known_rows
from features.groups.quota import quota_forecast
from features.schema import SubscriptionKind
from features.windows import days_between, is_in_window, starts_before_window

__all__ = ["commercial_features"]

_QUOTA_SCALE = 28 / 30.4375  # a quota is per average month, the window 28 days
_STATED = ("plan", "mrr", "quota_calls_per_month", "term_end")


def commercial_features(inputs: Inputs) -> ir.Table:
    """The commercial group: one row per row of ``population``."""
    rollups, population, cutoffs = inputs.rollups, inputs.population, inputs.cutoffs
    seen = seen_states(inputs.account_states, cutoffs)
    now = newest(seen)
    before = newest(seen.filter(~is_in_window(seen.occurred_at, seen.cutoff, window_days=91)))
    joined = beside(
        population.select(*KEYS, "created_at", "log_start"),
        now,
        before.select(*KEYS, mrr_before="mrr"),
        changes(seen),
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


def seen_states(states: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """The states of each account that each cutoff sees, in the order of ``place``."""
    joined = states.cross_join(cutoffs.select("cutoff"))
    return joined.filter(
        joined.known_from <= joined.cutoff, joined.known_until.isnull() | (joined.known_until > joined.cutoff)
    )


def newest(seen: ir.Table) -> ir.Table:
    """The last state of each account and cutoff."""
    place = ibis.row_number().over(group_by=KEYS, order_by=ibis.desc("place"))
    last = seen.mutate(turn=place).filter(lambda table: table.turn == 0)
    return last.select(*KEYS, *_STATED, "customer_since")


def changes(seen: ir.Table) -> ir.Table:
    """States in all, and in the last 364 days: downgrades, and states with another plan than the one before."""
    in_window = is_in_window(seen.occurred_at, seen.cutoff, window_days=364)
    return seen.group_by(*KEYS).agg(
        events=seen.count(),
        downgrades_364d=seen.count(where=in_window & (seen.kind == SubscriptionKind.DOWNGRADE.value)),
        plan_changes_364d=seen.count(where=in_window & seen.is_plan_change),
    )


def successful_calls(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Successful calls of the last 28 days."""
    seen = known_rows(usage, cutoffs, window_days=28)
    return seen.group_by(*KEYS).agg(successful_calls_28d=seen.ok.sum().cast("int64"))
