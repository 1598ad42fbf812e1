"""The shape of an account's use: its gaps, how its days vary, and whether the last week fits the weeks before."""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from features.formulas.sums import ratio
from features.groups.observation import KEYS, has_history
from features.windows import days_between

__all__ = ["median_gap", "volatility", "with_anomaly"]

_MAD_TO_DEVIATION = 1.4826  # of normal values: the standard deviation is 1 / 0.6745 of the median absolute deviation
_LEAST_DEVIATION = 0.1  # in log calls: what keeps an account that never varies from an infinite score
_LEAST_WEEKS = 6


def median_gap(daily: ir.Table) -> ir.Table:
    """Median days between neighbouring active days, for accounts with at least 3 of them."""
    in_order = ibis.window(group_by=KEYS, order_by="age_days")
    gaps = daily.select(*KEYS, gap=daily.age_days - daily.age_days.lag().over(in_order))
    measured = gaps.group_by(*KEYS).agg(median_gap_days=gaps.gap.median().cast("float64"), gaps=gaps.gap.count())
    return measured.filter(measured.gaps >= 2).drop("gaps")


def volatility(calls: ir.NumericValue, squares: ir.NumericValue, *, days: int) -> ir.FloatingValue:
    """Coefficient of variation of daily calls: population standard deviation over mean; null without calls.

    All ``days`` of the window count, idle ones as 0. From the sum of the days' calls and the sum of their squares:
    sqrt(Q / n - (S / n)^2) / (S / n) = sqrt(n Q - S^2) / S, exact as long as both are below 2^53.
    """
    total = calls.cast("float64")
    spread = ibis.greatest(days * squares - total * total, 0.0)
    return ratio(spread.sqrt(), total)


def with_anomaly(population: ir.Table, weeks: Sequence[str]) -> ir.Table:
    """The population with ``usage_anomaly_z_7d``, the robust z score of the last week against the 12 before.

    (x - median) / (1.4826 MAD + 0.1) with x = log(1 + calls of 7 days); median and MAD, the median absolute deviation
    from it, are those of the weeks over which both account and log were there. Null under 6 such weeks. See
    Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993.

    ``population`` has ``known_since``, ``log_start`` and ``cutoff``; ``weeks`` names its columns of calls, from newest
    to oldest. Each step is a table of its own, or the engine would sort once for every use of a median.
    """
    history_days = ibis.least(
        *(days_between(population[moment], population.cutoff) for moment in ("known_since", "log_start"))
    )
    table = population.mutate(known=ibis.least((history_days / 7).floor().cast("int64") - 1, len(weeks) - 1))
    # Weeks that are not known sort behind all others, where no median looks.
    levels = [
        ibis.ifelse(table.known >= age, (table[week] + 1).ln(), float("inf"))
        for age, week in enumerate(weeks[1:], start=1)
    ]
    table = table.mutate(levels=ibis.array(levels).sort())
    table = table.mutate(median=_middle(table.levels, table.known))
    median = table.median
    table = table.mutate(deviations=table.levels.map(lambda level: (level - median).abs()).sort())
    deviation = _MAD_TO_DEVIATION * _middle(table.deviations, table.known) + _LEAST_DEVIATION
    score = ((table[weeks[0]] + 1).ln() - table.median) / deviation
    enough = has_history(table, window_days=7 * (_LEAST_WEEKS + 1))
    return table.mutate(usage_anomaly_z_7d=ibis.ifelse(enough, score, None)).drop(
        "known", "levels", "median", "deviations"
    )


def _middle(ordered: ir.ArrayValue, count: ir.IntegerValue) -> ir.FloatingValue:
    """Median of the first ``count`` of ordered values."""
    return (ordered[(count - 1) // 2] + ordered[count // 2]) / 2
