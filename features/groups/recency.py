"""How an account's use fades: sums over a year of days that count the less the longer ago they are."""

import math

import ibis.expr.types as ir

from features.definitions.recency import FADES, HALF_LIVES, REMEMBERED_DAYS
from features.groups.inputs import Inputs
from features.groups.observation import KEYS, beside, rows_of_days
from features.windows import observation_days

__all__ = ["forgetting_sums", "recency_features"]

# Weights are rounded to multiples of this. Sums of them are then exact below 2^13, whatever the order of the rows and
# the engine, and beyond that right to the last digit or two.
_GRAIN = float(2**40)


def recency_features(inputs: Inputs) -> ir.Table:
    """The recency group: one row per row of ``population``."""
    sums = forgetting_sums(inputs.rollups.activity, inputs.cutoffs)
    joined = beside(inputs.population.select(*KEYS), sums)
    logs = {name: (joined[name].fill_null(0.0) + 1).ln() for name in sums.columns if name not in KEYS}
    table = joined.select(*KEYS, **logs)
    return table.mutate(
        **{
            f"active_days_fade_{short}d_{long}d": table[f"active_days_ewma_{short}d"]
            - table[f"active_days_ewma_{long}d"]
            for short, long in FADES
        }
    )


def forgetting_sums(activity: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Calls and active days of ``[c - 364, c)`` as known at ``c``, each day weighted with 1/2 to the power of its age.

    Exponentially weighted sums in one pass, from each account's rows of the usage rollup. The age of a day runs from
    its noon to the cutoff, in half-lives. Of the rows of a day the one that is seen first counts it as active.

    Returns
    -------
    Table
        One row per account and cutoff that has any row: ``calls_ewma_<h>d`` and ``active_days_ewma_<h>d``, before
        their logarithm, for each half-life of ``h`` days.
    """
    days = observation_days(cutoffs, ages=[range(1, REMEMBERED_DAYS + 1)])
    noon = days.age_days.cast("float64") - 0.5
    weights = {f"weight_{half_life}": _weight(noon, half_life) for half_life in HALF_LIVES}
    seen = rows_of_days(activity, days.mutate(**weights))
    calls, is_first = seen.calls.cast("float64"), seen.active_days != 0
    return seen.group_by(*KEYS).agg(
        **{f"calls_ewma_{half_life}d": (calls * seen[f"weight_{half_life}"]).sum() for half_life in HALF_LIVES},
        **{
            f"active_days_ewma_{half_life}d": seen[f"weight_{half_life}"].sum(where=is_first)
            for half_life in HALF_LIVES
        },
    )


def _weight(age_days: ir.FloatingValue, half_life: int) -> ir.FloatingValue:
    """``2 ** (-age / half_life)``, to twelve decimal places."""
    exact = (age_days * (-math.log(2) / half_life)).exp()
    return (exact * _GRAIN + 0.5).floor().cast("float64") / _GRAIN
