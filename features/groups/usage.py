"""How much an account calls, how that moves, how long it has been silent, and how many people are behind it."""

import functools
import operator

import ibis
import ibis.expr.types as ir

from features.formulas.sums import ratio
from features.groups.inputs import YEAR_AGO, Inputs
from features.groups.observation import KEYS, beside, count_ratio, has_history, known_rows
from features.groups.people import distinct_by_window
from features.groups.rhythm import median_gap, volatility, with_anomaly
from features.windows import days_between, is_weekend, starts_before_window

__all__ = ["daily_calls", "usage_features"]

_WEEKS = 13
# Weeks centred on the middle one: x = 6 is the week that ends at the cutoff, and the sum of x squared is 182.
_SLOPE_WEIGHTS = tuple(6 - week for week in range(_WEEKS))
_SLOPE_DENOMINATOR = sum(weight * weight for weight in _SLOPE_WEIGHTS)
_LEVEL = 1e-12  # log calls per week


def usage_features(inputs: Inputs) -> ir.Table:
    """The usage group: one row per row of ``population``."""
    rollups, population, cutoffs = inputs.rollups, inputs.population, inputs.cutoffs
    daily = rollups.daily
    joined = beside(
        population.select(
            *KEYS, "known_since", "log_start", "last_call", "last_success", "log_has_token", "log_has_user"
        ),
        weekly_calls(daily),
        median_gap(daily.filter(daily.age_days <= 7 * _WEEKS)),
        distinct_by_window(rollups.user, cutoffs, key="user_id", name="user"),
        distinct_by_window(rollups.token, cutoffs, key="token", name="token"),
    )
    names = [f"calls_week_{week}" for week in range(_WEEKS)]
    joined = with_anomaly(joined.mutate(**{name: joined[name].fill_null(0) for name in names}), names)
    weeks = [joined[name] for name in names]
    calls_7d, calls_28d = weeks[0], joined.calls_28d.fill_null(0)
    silent_days = days_between(joined.last_call, joined.cutoff)
    return joined.select(
        *KEYS,
        calls_7d=calls_7d,
        calls_28d=calls_28d,
        calls_91d=joined.calls_91d.fill_null(0),
        successful_calls_28d=joined.ok_28d.fill_null(0),
        **{name: joined[name].fill_null(0) for name in ("active_days_7d", "active_days_28d", "active_days_91d")},
        calls_7d_vs_prior_7d=count_ratio(calls_7d, weeks[1], enough_history=has_history(joined, window_days=14)),
        calls_28d_vs_prior_28d=count_ratio(
            calls_28d, joined.calls_prior_28d.fill_null(0), enough_history=has_history(joined, window_days=56)
        ),
        calls_28d_vs_year_ago=count_ratio(
            calls_28d,
            joined.calls_year_ago.fill_null(0),
            enough_history=has_history(joined, window_days=YEAR_AGO.stop - 1),
        ),
        calls_weekly_slope_91d=ibis.ifelse(has_history(joined, window_days=91), weekly_slope(weeks), None),
        # A log that does not reach over the 13 weeks hides the peak: every drop would look smaller than it is.
        calls_drop_from_peak_91d=ibis.ifelse(
            starts_before_window(joined.log_start, joined.cutoff, window_days=91),
            1 - ratio(calls_7d, ibis.greatest(*weeks)),
            None,
        ),
        days_since_last_call=silent_days,
        days_since_last_success=days_between(joined.last_success, joined.cutoff),
        silence_vs_own_rhythm=ratio(silent_days, joined.median_gap_days),
        usage_anomaly_z_7d=joined.usage_anomaly_z_7d,
        calls_volatility_28d=volatility(joined.calls_28d, joined.squares_28d, days=28),
        weekend_share_28d=ratio(joined.weekend_calls_28d, joined.calls_28d),
        **_people(joined, "token"),
        **_people(joined, "user"),
        top_user_share_28d=joined.top_user_share_28d,
    )


def daily_calls(usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Calls per account, cutoff and day of the last 91 and of the 28 a year ago: one row per active day."""
    seen = known_rows(usage, cutoffs, window_days=7 * _WEEKS, earlier_ages=[YEAR_AGO])
    return seen.group_by(*KEYS, "age_days").agg(
        calls=seen.calls.sum().cast("int64"),
        ok=seen.ok.sum().cast("int64"),
    )


def weekly_calls(daily: ir.Table) -> ir.Table:
    """Calls of each of the 13 weeks ending at the cutoff (week 0 is the last one), and sums by window, per account."""
    week = (daily.age_days - 1) // 7
    calls = daily.calls.cast("float64")
    by_week = daily.group_by(*KEYS, week=week).agg(
        calls=daily.calls.sum().cast("int64"),
        active_days=daily.count(),
        ok=daily.ok.sum().cast("int64"),
        squares=(calls * calls).sum(),
        weekend_calls=daily.calls.sum(where=is_weekend(daily.cutoff, daily.age_days)).fill_null(0).cast("int64"),
    )
    last_28d, last_91d = by_week.week < 4, by_week.week < _WEEKS
    sums = {
        "calls_28d": by_week.calls.sum(where=last_28d),
        "calls_prior_28d": by_week.calls.sum(where=by_week.week.between(4, 7)),
        "calls_91d": by_week.calls.sum(where=last_91d),
        "calls_year_ago": by_week.calls.sum(where=~last_91d),
        "active_days_7d": by_week.active_days.sum(where=by_week.week == 0),
        "active_days_28d": by_week.active_days.sum(where=last_28d),
        "active_days_91d": by_week.active_days.sum(where=last_91d),
        "ok_28d": by_week.ok.sum(where=last_28d),
        "weekend_calls_28d": by_week.weekend_calls.sum(where=last_28d),
        **{f"calls_week_{week}": by_week.calls.sum(where=by_week.week == week) for week in range(_WEEKS)},
    }
    return by_week.group_by(*KEYS).agg(
        squares_28d=by_week.squares.sum(where=last_28d),
        **{name: value.cast("int64") for name, value in sums.items()},
    )


def weekly_slope(weeks: list[ir.IntegerValue]) -> ir.FloatingValue:
    """Least-squares slope of log(1 + weekly calls) per week, in closed form; ``weeks`` from newest to oldest.

    Less than :data:`_LEVEL` is what rounding leaves of a level line: engines differ in the last digit of a logarithm.
    """
    terms = [weight * (week + 1).ln() for weight, week in zip(_SLOPE_WEIGHTS, weeks, strict=True) if weight]
    slope = functools.reduce(operator.add, terms) / float(_SLOPE_DENOMINATOR)
    return ibis.ifelse(slope.abs() < _LEVEL, 0.0, slope)


def _people(joined: ir.Table, name: str) -> dict[str, ir.Value]:
    """Distinct tokens or users by window, null while no call of anybody has carried one."""
    is_logged = joined[f"log_has_{name}"]
    now, prior = joined[f"{name}_7d"].fill_null(0), joined[f"{name}_prior_7d"].fill_null(0)
    return {
        f"active_{name}s_7d": ibis.ifelse(is_logged, now, None),
        f"active_{name}s_28d": ibis.ifelse(is_logged, joined[f"{name}_28d"].fill_null(0), None),
        f"active_{name}s_7d_vs_prior_7d": count_ratio(
            now, prior, enough_history=is_logged & has_history(joined, window_days=14)
        ),
    }
