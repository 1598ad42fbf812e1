"""How much an account calls, how that moves, how long it has been silent, and how many people are behind it."""

import functools
import operator

import ibis
import ibis.expr.types as ir

from features.groups.arithmetic import KEYS, beside, count_ratio, has_history, known_rows, ratio
from features.groups.inputs import Rollups
from features.windows import days_between, starts_before_window

__all__ = ["usage_features"]

_WEEKS = 13
# Weeks centred on the middle one: x = 6 is the week that ends at the cutoff, and the sum of x squared is 182.
_SLOPE_WEIGHTS = tuple(6 - week for week in range(_WEEKS))
_SLOPE_DENOMINATOR = sum(weight * weight for weight in _SLOPE_WEIGHTS)


def usage_features(rollups: Rollups, population: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """The usage group: one row per row of ``population``."""
    daily = daily_calls(rollups.usage, cutoffs)
    joined = beside(
        population.select(*KEYS, "known_since", "log_start", "last_call", "log_has_token", "log_has_user"),
        weekly_calls(daily),
        median_gap(daily),
        users(rollups.user, cutoffs),
        tokens(rollups.token, cutoffs),
    )
    weeks = [joined[f"calls_week_{week}"].fill_null(0) for week in range(_WEEKS)]
    calls_7d = weeks[0]
    calls_28d = _sum(weeks[:4])
    calls_91d = _sum(weeks)
    silent_days = days_between(joined.last_call, joined.cutoff)
    users_7d, users_prior_7d = joined.users_7d.fill_null(0), joined.users_prior_7d.fill_null(0)
    return joined.select(
        *KEYS,
        calls_7d=calls_7d,
        calls_28d=calls_28d,
        calls_91d=calls_91d,
        active_days_28d=joined.active_days_28d.fill_null(0),
        calls_7d_vs_prior_7d=count_ratio(calls_7d, weeks[1], enough_history=has_history(joined, window_days=14)),
        calls_28d_vs_prior_28d=count_ratio(
            calls_28d, _sum(weeks[4:8]), enough_history=has_history(joined, window_days=56)
        ),
        calls_weekly_slope_91d=ibis.ifelse(has_history(joined, window_days=91), weekly_slope(weeks), None),
        # A log that does not reach over the 13 weeks hides the peak: every drop would look smaller than it is.
        calls_drop_from_peak_91d=ibis.ifelse(
            starts_before_window(joined.log_start, joined.cutoff, window_days=91),
            1 - ratio(calls_7d, ibis.greatest(*weeks)),
            None,
        ),
        days_since_last_call=silent_days,
        silence_vs_own_rhythm=ratio(silent_days, joined.median_gap_days),
        active_tokens_28d=ibis.ifelse(joined.log_has_token, joined.tokens_28d.fill_null(0), None),
        active_users_28d=ibis.ifelse(joined.log_has_user, joined.users_28d.fill_null(0), None),
        active_users_7d_vs_prior_7d=count_ratio(
            users_7d, users_prior_7d, enough_history=joined.log_has_user & has_history(joined, window_days=14)
        ),
        top_user_share_28d=joined.top_user_share_28d,
    )


def daily_calls(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Calls per account, cutoff and day of the last 91: one row per active day."""
    seen = known_rows(usage, cutoffs, window_days=7 * _WEEKS)
    return seen.group_by(*KEYS, "age_days").agg(calls=seen.calls.sum().cast("int64"))


def weekly_calls(daily: ir.Table) -> ir.Table:
    """Calls of each of the 13 weeks ending at the cutoff (week 0 is the last one) and active days, per account."""
    week = (daily.age_days - 1) // 7
    by_week = daily.group_by(*KEYS, week=week).agg(calls=daily.calls.sum().cast("int64"), active_days=daily.count())
    return by_week.group_by(*KEYS).agg(
        active_days_28d=by_week.active_days.sum(where=by_week.week < 4).cast("int64"),
        **{f"calls_week_{week}": by_week.calls.sum(where=by_week.week == week).cast("int64") for week in range(_WEEKS)},
    )


def weekly_slope(weeks: list[ir.IntegerValue]) -> ir.FloatingValue:
    """Least-squares slope of log(1 + weekly calls) per week, in closed form; ``weeks`` from newest to oldest."""
    terms = [weight * (calls + 1).ln() for weight, calls in zip(_SLOPE_WEIGHTS, weeks, strict=True) if weight]
    return _sum(terms) / float(_SLOPE_DENOMINATOR)


def median_gap(daily: ir.Table) -> ir.Table:
    """Median days between neighbouring active days of the window, for accounts with at least 3 of them."""
    in_order = ibis.window(group_by=KEYS, order_by="age_days")
    gaps = daily.select(*KEYS, gap=daily.age_days - daily.age_days.lag().over(in_order))
    measured = gaps.group_by(*KEYS).agg(median_gap_days=gaps.gap.median().cast("float64"), gaps=gaps.gap.count())
    return measured.filter(measured.gaps >= 2).drop("gaps")


def users(user: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Distinct users by window, and the busiest one's share of the calls that carry a user."""
    seen = known_rows(user, cutoffs, window_days=28)
    each = seen.group_by(*KEYS, "user_id").agg(
        calls=seen.calls.sum().cast("int64"),
        newest_age=seen.age_days.min(),
        in_prior_7d=seen.age_days.between(8, 14).any(),
    )
    return each.group_by(*KEYS).agg(
        users_28d=each.count(),
        users_7d=each.count(where=each.newest_age <= 7),
        users_prior_7d=each.count(where=each.in_prior_7d),
        top_user_share_28d=ratio(each.calls.max(), each.calls.sum()),
    )


def tokens(token: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Distinct tokens of the last 28 days."""
    seen = known_rows(token, cutoffs, window_days=28)
    return seen.group_by(*KEYS).agg(tokens_28d=seen.token.nunique())


def _sum(terms: list[ir.NumericValue]) -> ir.NumericValue:
    return functools.reduce(operator.add, terms)
