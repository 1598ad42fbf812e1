"""How far an account has come from its sign-up to regular use, and how long each step took."""

import ibis
import ibis.expr.types as ir

from features.engine.functions import bit_count
from features.groups.inputs import Inputs
from features.groups.observation import is_new_to_log
from features.windows import days_between, event_day

__all__ = ["SETTLED_DAYS", "adoption_features", "settled"]

SETTLED_DAYS = 5
"""Active days from the milestone on, its own day the first, after which an account has arrived."""

_HOURS = 24
_CALLED, _SUCCEEDED, _REACHED, _SETTLED = 1, 2, 3, 4


def adoption_features(inputs: Inputs) -> ir.Table:
    """The adoption group: one row per row of ``population``.

    The stages are 0 signed up, 1 called, 2 succeeded, 3 reached a value endpoint, 4 at least :data:`SETTLED_DAYS`
    active days from then on. Without value endpoints nobody can be at stage 3, and stage 4 counts from the first
    success. The time to a first call is null when the account is older than the log, which then does not have it, or
    called before it was created. How long it has been at a stage is null when it is older than the log, or may be: the
    stage may have been reached before.
    """
    rollups, population, has_value_endpoints = inputs.rollups, inputs.population, inputs.has_value_endpoints
    people = population.mutate(since_day=event_day(_milestone(population, has_value_endpoints=has_value_endpoints)))
    joined = people.left_join(rollups.settled, ["account_id", "since_day"])
    is_settled = (joined.settled_from <= joined.cutoff.date()).fill_null(False)
    first_value_call = ibis.ifelse(ibis.literal(has_value_endpoints), joined.first_value_call, None)
    stage = ibis.cases(
        (is_settled, _SETTLED),
        (first_value_call.notnull(), _REACHED),
        (joined.first_success.notnull(), _SUCCEEDED),
        (joined.first_call.notnull(), _CALLED),
        else_=0,
    )
    reached = ibis.ifelse(
        is_settled,
        None,
        ibis.coalesce(first_value_call, joined.first_success, joined.first_call, joined.created_at),
    )
    firsts = {
        "hours_to_first_call": joined.first_call,
        "hours_to_first_success": joined.first_success,
        "hours_to_first_value_call": first_value_call,
    }
    is_in_log = joined.signed_up_at >= joined.log_start
    has_sign_up = is_in_log & (joined.created_at <= joined.first_call)
    return joined.select(
        "account_id",
        "cutoff",
        account_age_days=days_between(joined.created_at, joined.cutoff),
        **{
            name: ibis.ifelse(has_sign_up, _HOURS * days_between(joined.created_at, moment), None)
            for name, moment in firsts.items()
        },
        onboarding_stage=stage.cast("int64"),
        days_in_stage=ibis.ifelse(_began_in_log(joined), days_between(reached, joined.cutoff), None),
    )


def _began_in_log(population: ir.Table) -> ir.BooleanValue:
    """Whether all that an account ever did is in the log: it signed up since it begins, or is new to it.

    A sign-up after the first call is when somebody entered the account, and says nothing of when it began to call.
    """
    signed_up_at, log_start, first_call = population.signed_up_at, population.log_start, population.first_call
    is_in_log = signed_up_at >= log_start
    is_dated = is_in_log & (first_call.isnull() | (signed_up_at <= first_call))
    is_new = (signed_up_at.isnull() | is_in_log) & is_new_to_log(first_call, log_start)
    return (is_dated | is_new).fill_null(False)


def settled(past: ir.Table, population: ir.Table, *, has_value_endpoints: bool) -> ir.Table:
    """Since when accounts have :data:`SETTLED_DAYS` active days from a milestone on.

    ``past`` is the usage rollup over all days, its closed months summed up or not. A milestone may move back from one
    cutoff to the next, when an earlier call arrives late: each day it ever was has its row.

    Returns
    -------
    Table
        One row per account and ``since_day``, of those that have enough: ``settled_from``, the first cutoff (a date)
        that sees enough of them; of what is summed up, the first that sees the sum.
    """
    since = population.select(
        "account_id", since_day=event_day(_milestone(population, has_value_endpoints=has_value_endpoints))
    )
    since = since.filter(since.since_day.notnull()).distinct()
    rows = past.select(
        "account_id", "visible_from", "active_days", month=event_day(past.min_event_time).truncate("M")
    ).join(since, "account_id")
    since_month = rows.since_day.truncate("M")
    rows = rows.filter(rows.month >= since_month)
    days_before = ibis.ifelse(rows.month == since_month, rows.since_day.day() - 1, 0)
    rows = rows.mutate(days=bit_count(rows.active_days >> days_before))
    so_far = ibis.window(group_by=["account_id", "since_day"], order_by="visible_from", preceding=None, following=0)
    rows = rows.filter(rows.days > 0).mutate(seen=lambda table: table.days.sum().over(so_far))
    enough = rows.filter(rows.seen >= SETTLED_DAYS)
    return enough.group_by("account_id", "since_day").agg(settled_from=enough.visible_from.min())


def _milestone(population: ir.Table, *, has_value_endpoints: bool) -> ir.TimestampValue:
    return population.first_value_call if has_value_endpoints else population.first_success
