"""What people said and did beside their calls: tickets, surveys, logins and payments."""

import ibis
import ibis.expr.types as ir

from features.groups.inputs import Inputs
from features.groups.observation import KEYS, beside, count_ratio
from features.windows import days_between, is_in_window, is_known, starts_before_window

__all__ = ["SPIKE_TICKETS", "support_features"]

SPIKE_TICKETS = 3
"""So many tickets in eight weeks are a spike."""

_COUNTS = (
    "tickets_opened_28d",
    "tickets_open",
    "ticket_silence_after_spike",
    "logins_7d",
    "logins_28d",
    "logins_prior_28d",
    "payment_failures_91d",
)


def support_features(inputs: Inputs) -> ir.Table:
    """The support group: one row per row of ``population``; null while no touchpoint of anybody is known."""
    population, cutoffs = inputs.population, inputs.cutoffs
    touchpoints, grace_hours = inputs.touchpoints, inputs.grace_hours
    known = known_touchpoints(touchpoints, cutoffs, grace_hours=grace_hours)
    joined = beside(population.select(*KEYS, "known_since"), counted(known), last_answers(known))
    fleet = ibis.window(group_by="cutoff")
    has_touchpoints = joined.touchpoints.max().over(fleet).notnull()
    counts = {name: ibis.ifelse(has_touchpoints, joined[name].fill_null(0), None) for name in _COUNTS}
    first_login = joined.first_login.min().over(fleet)
    is_old = starts_before_window(joined.known_since, joined.cutoff, window_days=56) & starts_before_window(
        first_login, joined.cutoff, window_days=56
    )
    prior = counts.pop("logins_prior_28d")
    return joined.select(
        *KEYS,
        **counts,
        nps_last=joined.nps_last,
        csat_last=joined.csat_last,
        days_since_survey=days_between(joined.last_answer, joined.cutoff),
        logins_28d_vs_prior_28d=count_ratio(counts["logins_28d"], prior, enough_history=is_old),
    )


def known_touchpoints(touchpoints: ir.Table, cutoffs: ir.Table, *, grace_hours: float) -> ir.Table:
    """Touchpoints as known at each cutoff: ``occurred_at < c`` and ``known_at < c + grace``.

    Of one account, moment and kind those that became known last: they correct the earlier ones.
    """
    joined = touchpoints.cross_join(cutoffs.select("cutoff"))
    known = joined.filter(
        joined.occurred_at < joined.cutoff, is_known(joined.known_at, joined.cutoff, grace_hours=grace_hours)
    )
    moment = ibis.window(group_by=[*KEYS, "occurred_at", "kind"])
    return known.mutate(newest=known.known_at.max().over(moment)).filter(lambda table: table.known_at == table.newest)


def counted(known: ir.Table) -> ir.Table:
    """Tickets, logins and failed payments by window, one row per account and cutoff with a touchpoint.

    A ticket carries no number, so open tickets are those opened less those closed, as far as both are known.
    """
    kind, at = known.kind, known.occurred_at
    is_opened, is_login = kind == "ticket_opened", kind == "login"
    last_7d, last_28d, last_56d, last_84d, last_91d = (
        is_in_window(at, known.cutoff, window_days=days) for days in (7, 28, 56, 84, 91)
    )
    sums = known.group_by(*KEYS).agg(
        touchpoints=known.count(),
        tickets_opened_28d=known.count(where=is_opened & last_28d),
        tickets_84d=known.count(where=is_opened & last_84d),
        tickets_opened=known.count(where=is_opened),
        tickets_closed=known.count(where=kind == "ticket_closed"),
        logins_7d=known.count(where=is_login & last_7d),
        logins_28d=known.count(where=is_login & last_28d),
        logins_56d=known.count(where=is_login & last_56d),
        first_login=at.min(where=is_login),
        payment_failures_91d=known.count(where=(kind == "payment_failed") & last_91d),
    )
    is_silent_after_spike = (sums.tickets_opened_28d == 0) & (sums.tickets_84d >= SPIKE_TICKETS)
    return sums.mutate(
        tickets_open=ibis.greatest(sums.tickets_opened - sums.tickets_closed, 0),
        ticket_silence_after_spike=is_silent_after_spike.cast("int64"),
        logins_prior_28d=sums.logins_56d - sums.logins_28d,
    )


def last_answers(known: ir.Table) -> ir.Table:
    """The last answer to each survey: by time, then knowledge, then the lower value; one without a value is none."""
    answers = known.filter(known.kind.isin(["nps", "csat"]), known.value.notnull())
    newest_first = [ibis.desc("occurred_at"), ibis.desc("known_at"), ibis.asc("value")]
    placed = answers.mutate(place=ibis.row_number().over(group_by=[*KEYS, "kind"], order_by=newest_first))
    last = placed.filter(placed.place == 0)
    return last.group_by(*KEYS).agg(
        nps_last=last.value.max(where=last.kind == "nps"),
        csat_last=last.value.max(where=last.kind == "csat"),
        last_answer=last.occurred_at.max(),
    )
