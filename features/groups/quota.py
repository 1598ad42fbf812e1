"""How much of its quota an account will use: a forecast of successful calls from its last 13 weeks.

The quota counts successful calls of a UTC calendar month, so everything here counts successful calls as known at
the cutoff. ``w[i]`` is their sum in week ``i`` of the 13 that end at the cutoff (0 is the newest).

The line is the least-squares line through the 13 sums, ``y(k) = mean + slope (6 + k)`` for the ``k``-th week after
the cutoff, with ``slope = sum((6 - i) w[i]) / 182`` since the weeks are centred on the middle one. The forecast of
that week is ``L(k) = min(max(0, y(k)), 2 max(w))``. A day of it has ``L(k) / 7`` times its weekday's share: successful
calls on that weekday in the 13 weeks over those of an average weekday, so the seven shares sum to 7.

``quota_forecast_share_30d`` is the sum of the first 30 forecast days over ``quota x 30 / 30.4375``: a quota is per
average month. ``days_to_quota`` is the number of whole days from the cutoff to the first forecast day whose
month-to-date calls exceed the quota: 0 is the day that begins at the cutoff, and 90 the last one looked at. The calls
to date are the forecast ones of the day's calendar month, and in the month of the cutoff also the calls before it; so
an account that has passed this month's quota has 0, unless the cutoff begins a month. Reaching the quota is not
passing it.

Edge cases: no successful call in 13 weeks forecasts 0. An account younger than 13 weeks has weeks of 0 before it;
a log younger than 13 weeks hides them, and the features are null. A quota of 0 is no quota, as none at all is.
"""

import functools
import operator

import ibis
import ibis.expr.types as ir

from features.formulas.sums import ratio
from features.groups.observation import KEYS, known_rows
from features.windows import day_of_month, forecast_days

__all__ = ["quota_forecast"]

_WEEKS = 13
_MIDDLE = 6
_SQUARES = sum((_MIDDLE - week) ** 2 for week in range(_WEEKS))  # 182
_MONTH_DAYS = 30.4375
_PLACES = "decimal(38, 6)"  # calls to a millionth: their sum is the same in every order


def quota_forecast(usage: ir.Table, state: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """``forecast_share_30d`` and ``days_to_quota`` of every account and cutoff of ``state`` that has a quota."""
    pace = weekly_pace(usage, state, cutoffs)
    days = days_to_quota(pace, cutoffs)
    thirty_days = [forecast_week(pace, week) for week in (1, 2, 3, 4)]
    thirty_days.append(forecast_week(pace, 5) / 7 * (weekday_share(pace, 0) + weekday_share(pace, 1)))
    shares = pace.select(
        *KEYS,
        forecast_share_30d=ratio(
            functools.reduce(operator.add, thirty_days).fill_null(0.0), pace.quota * (30 / _MONTH_DAYS)
        ),
    )
    return shares.left_join(days, list(KEYS)).drop(*(f"{key}_right" for key in KEYS))


def weekly_pace(usage: ir.Table, state: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Sums of successful calls that the forecast continues, per account with a quota and cutoff.

    Returns
    -------
    Table
        Keys; ``quota``; ``total``, ``best`` and ``tilt``: sum, largest and sum times (6 - week) of the 13 weekly sums;
        ``weekday_0`` to ``weekday_6``: the sums of the cutoff's weekday and those after it; ``month_to_date``.
    """
    limited = state.filter(state.quota_calls_per_month > 0).select(*KEYS, quota="quota_calls_per_month")
    seen = known_rows(usage, cutoffs, window_days=7 * _WEEKS).semi_join(limited, list(KEYS))
    by_week = seen.group_by(*KEYS, week=(seen.age_days - 1) // 7).agg(
        ok=seen.ok.sum().cast("int64"),
        month_to_date=_whole(seen.ok.sum(where=seen.age_days < day_of_month(seen.cutoff))),
        # The day of age 1 is the one before the cutoff's weekday, which is number 0.
        **{
            f"weekday_{number}": _whole(seen.ok.sum(where=seen.age_days % 7 == (7 - number) % 7)) for number in range(7)
        },
    )
    summed = by_week.group_by(*KEYS).agg(
        total=by_week.ok.sum().cast("int64"),
        best=by_week.ok.max(),
        tilt=((_MIDDLE - by_week.week) * by_week.ok).sum().cast("int64"),
        **{
            name: by_week[name].sum().cast("int64")
            for name in ("month_to_date", *(f"weekday_{number}" for number in range(7)))
        },
    )
    joined = limited.left_join(summed, list(KEYS)).drop(*(f"{key}_right" for key in KEYS))
    return joined.mutate(**{name: joined[name].fill_null(0) for name in summed.columns if name not in KEYS})


def forecast_week(pace: ir.Table, week: int | ir.IntegerValue) -> ir.FloatingValue:
    """Successful calls forecast for the ``week``-th week after the cutoff, from 1."""
    line = pace.total / float(_WEEKS) + pace.tilt / float(_SQUARES) * (_MIDDLE + week)
    return ibis.least(ibis.greatest(line, 0.0), 2.0 * pace.best)


def weekday_share(pace: ir.Table, number: int) -> ir.FloatingValue:
    """Calls of a weekday over those of an average one; null without calls. Number 0 is the cutoff's weekday."""
    return ratio(7 * pace[f"weekday_{number}"], pace.total)


def days_to_quota(pace: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Days to the first that passes its month's quota, of the accounts that pass one within 91 days."""
    # A month has no more than five of each weekday: what five of the largest weeks do not reach is not laid out by day.
    most = 5.0 * ibis.greatest(forecast_week(pace, 1), forecast_week(pace, _WEEKS))
    near = pace.filter((pace.total > 0) & (pace.month_to_date + most >= pace.quota))
    day = near.join(forecast_days(cutoffs, days=7 * _WEEKS), "cutoff")
    number = day.days_ahead % 7
    share = ibis.cases(*((number == weekday, weekday_share(day, weekday)) for weekday in range(7)))
    month_begins = day.days_ahead - day.day_of_month + 1  # not after 0 in the month of the cutoff
    each = day.select(
        *KEYS,
        "days_ahead",
        month_begins=month_begins,
        quota=day.quota.cast(_PLACES),
        before=ibis.ifelse(month_begins <= 0, day.month_to_date, 0).cast(_PLACES),
        calls=(forecast_week(day, day.days_ahead // 7 + 1) / 7 * share).cast(_PLACES),
    )
    so_far = ibis.window(group_by=[*KEYS, "month_begins"], order_by="days_ahead", preceding=None, following=0)
    counted = each.mutate(month_to_date=each.before + each.calls.sum().over(so_far))
    passed = counted.filter(counted.month_to_date > counted.quota)
    return passed.group_by(*KEYS).agg(days_to_quota=passed.days_ahead.min())


def _whole(count: ir.IntegerScalar) -> ir.IntegerScalar:
    return count.fill_null(0).cast("int64")
