"""The population of a cutoff: which accounts have a row, since when they are known, and when they last called."""

import ibis
import ibis.expr.types as ir

from features.windows import event_day, is_known

__all__ = ["population_of"]


def population_of(
    usage: ir.Table, accounts: ir.Table, subscriptions: ir.Table, cutoffs: ir.Table, *, grace_hours: float
) -> ir.Table:
    """One row per cutoff and account whose account row, first subscription event or first call is known at it.

    An account stays after its cancellation. ``usage`` is the whole history of the usage rollup: only its
    keys, event times and counters of what a call carries are read.

    Returns
    -------
    Table
        ``account_id``, ``cutoff``; ``created_at``; ``first_call``, ``last_call``, ``first_success``, ``last_success``;
        ``first_value_call``, ``last_value_call``, of the successful calls to a value endpoint; ``signed_up_at``, the
        earlier of creation and first subscription event; ``known_since``, the earliest of these and the first call;
        ``log_start``, the first event day of anybody;
        ``log_has_status``, ``log_has_endpoint``, ``log_has_token``, ``log_has_user``, ``log_has_sdk``,
        ``log_has_latency``: whether any call of anybody carried one. All as known at the cutoff, so a row built again
        later is the same row.
    """
    calls = _first_and_last_calls(usage, cutoffs)
    created = _creation(accounts, cutoffs, grace_hours=grace_hours)
    subscribed = _first_subscription_event(subscriptions, cutoffs, grace_hours=grace_hours)
    keys = ["account_id", "cutoff"]
    everybody = ibis.union(calls.select(keys), created.select(keys), subscribed.select(keys), distinct=True)
    joined = (
        everybody.left_join(calls, keys)
        .select(everybody, *(calls[name] for name in calls.columns if name not in keys))
        .left_join(created, keys)
        .drop("account_id_right", "cutoff_right")
        .left_join(subscribed, keys)
        .drop("account_id_right", "cutoff_right")
    )
    fleet = ibis.window(group_by="cutoff")
    return joined.select(
        *keys,
        "created_at",
        "first_call",
        "last_call",
        "first_success",
        "last_success",
        "first_value_call",
        "last_value_call",
        signed_up_at=ibis.least(joined.created_at, joined.first_subscription_event),
        known_since=ibis.least(joined.created_at, joined.first_subscription_event, joined.first_call),
        log_start=event_day(joined.first_call.min().over(fleet)).cast("timestamp('UTC', 6)"),
        log_has_status=(joined.status_calls.max().over(fleet) > 0).fill_null(False),
        log_has_endpoint=(joined.endpoint_calls.max().over(fleet) > 0).fill_null(False),
        log_has_token=(joined.token_calls.max().over(fleet) > 0).fill_null(False),
        log_has_user=(joined.user_calls.max().over(fleet) > 0).fill_null(False),
        log_has_sdk=(joined.sdk_calls.max().over(fleet) > 0).fill_null(False),
        log_has_latency=(joined.latency_calls.max().over(fleet) > 0).fill_null(False),
    )


def _first_and_last_calls(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Calls of the whole history, summed once per account and the first wanted cutoff that sees them, then forward."""
    days = usage.select("visible_from").distinct()
    first_cutoff = (
        days.join(cutoffs, days.visible_from <= cutoffs.cutoff.date())
        .group_by("visible_from")
        .agg(cutoff=lambda joined: joined.cutoff.min())
    )
    seen = usage.join(first_cutoff, "visible_from")
    steps = seen.group_by("account_id", "cutoff").agg(
        first_call=seen.min_event_time.min(),
        last_call=seen.max_event_time.max(),
        first_success=seen.min_success_time.min(),
        last_success=seen.max_success_time.max(),
        first_value_call=seen.min_value_time.min(),
        last_value_call=seen.max_value_time.max(),
        status_calls=(seen.calls - seen.no_status).sum().cast("int64"),
        endpoint_calls=seen.endpoint_calls.sum().cast("int64"),
        token_calls=seen.token_calls.sum().cast("int64"),
        user_calls=seen.user_calls.sum().cast("int64"),
        sdk_calls=seen.sdk_calls.sum().cast("int64"),
        latency_calls=seen.latency_calls.sum().cast("int64"),
    )
    grid = steps.select("account_id").distinct().cross_join(cutoffs.select("cutoff"))
    filled = grid.left_join(steps, ["account_id", "cutoff"]).drop("account_id_right", "cutoff_right")
    so_far = ibis.window(group_by="account_id", order_by="cutoff", preceding=None, following=0)
    running = filled.select(
        "account_id",
        "cutoff",
        first_call=filled.first_call.min().over(so_far),
        last_call=filled.last_call.max().over(so_far),
        first_success=filled.first_success.min().over(so_far),
        last_success=filled.last_success.max().over(so_far),
        first_value_call=filled.first_value_call.min().over(so_far),
        last_value_call=filled.last_value_call.max().over(so_far),
        status_calls=filled.status_calls.sum().over(so_far),
        endpoint_calls=filled.endpoint_calls.sum().over(so_far),
        token_calls=filled.token_calls.sum().over(so_far),
        user_calls=filled.user_calls.sum().over(so_far),
        sdk_calls=filled.sdk_calls.sum().over(so_far),
        latency_calls=filled.latency_calls.sum().over(so_far),
    )
    return running.filter(running.first_call.notnull())


def _creation(accounts: ir.Table, cutoffs: ir.Table, *, grace_hours: float) -> ir.Table:
    """``created_at`` of the newest known version of each account row; a later creation is not known yet."""
    joined = accounts.select("account_id", "created_at", "known_at").cross_join(cutoffs.select("cutoff"))
    known = joined.filter(
        joined.known_at.isnull() | is_known(joined.known_at, joined.cutoff, grace_hours=grace_hours),
        joined.created_at.isnull() | (joined.created_at < joined.cutoff),
    )
    newest = ibis.row_number().over(
        group_by=["account_id", "cutoff"],
        order_by=[ibis.desc("known_at", nulls_first=False), ibis.asc("created_at", nulls_first=False)],
    )
    return (
        known.mutate(place=newest).filter(lambda table: table.place == 0).select("account_id", "cutoff", "created_at")
    )


def _first_subscription_event(subscriptions: ir.Table, cutoffs: ir.Table, *, grace_hours: float) -> ir.Table:
    joined = subscriptions.select("account_id", "occurred_at", "known_at").cross_join(cutoffs.select("cutoff"))
    known = joined.filter(
        joined.occurred_at < joined.cutoff, is_known(joined.known_at, joined.cutoff, grace_hours=grace_hours)
    )
    return known.group_by("account_id", "cutoff").agg(first_subscription_event=known.occurred_at.min())
