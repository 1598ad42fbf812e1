"""Rollup rows of an observation window as known at the cutoff, and ratios of two such windows."""

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir

from features.formulas.sums import ratio
from features.windows import observation_days, starts_before_window

__all__ = ["KEYS", "beside", "count_ratio", "has_history", "is_new_to_log", "known_rows", "rows_of_days"]


KEYS = ("account_id", "cutoff")
"""The grain of every feature table."""

_SETTLING_DAYS = 28  # after so many days whatever was there before a log has shown: the window of most features


def beside(population: ir.Table, *tables: ir.Table) -> ir.Table:
    """The population with the columns of tables of its grain beside it, null where a table has no row."""
    for table in tables:
        joined = population.left_join(table, list(KEYS))
        population = joined.drop(*(f"{key}_right" for key in KEYS))
    return population


def count_ratio(now: ir.IntegerValue, prior: ir.IntegerValue, *, enough_history: ir.BooleanValue) -> ir.FloatingValue:
    """``(now + 1) / (prior + 1)``; null when both are 0 or the history does not reach over both windows."""
    return ibis.ifelse(enough_history & (now + prior > 0), ratio(now + 1, prior + 1), None)


def has_history(population: ir.Table, *, window_days: int) -> ir.BooleanValue:
    """Whether both the account and the log were there for the whole window."""
    return starts_before_window(
        population.known_since, population.cutoff, window_days=window_days
    ) & starts_before_window(population.log_start, population.cutoff, window_days=window_days)


def is_new_to_log(first_seen: ir.TimestampValue, log_start: ir.TimestampValue) -> ir.BooleanValue:
    """Whether what a log shows first at ``first_seen`` began then, as far as the log can say.

    What it shows in its first 28 days may be older than the log: nobody can tell a first call from the first that was
    written down.
    """
    return starts_before_window(log_start, first_seen, window_days=_SETTLING_DAYS)


def known_rows(
    rollup: ir.Table, cutoffs: ir.Table, *, window_days: int, earlier_ages: Sequence[range] = ()
) -> ir.Table:
    """Rollup rows of ``[c - W, c)`` as known at ``c``, once per cutoff that sees them, with ``age_days``.

    ``age_days`` 1 is the day that ends at the cutoff, so a shorter window is ``age_days <= days``; days of
    ``earlier_ages`` come beside.
    """
    return rows_of_days(rollup, observation_days(cutoffs, ages=[range(1, window_days + 1), *earlier_ages]))


def rows_of_days(rollup: ir.Table, days: ir.Table) -> ir.Table:
    """Rollup rows of these ``observation_days`` as known at the cutoff, once per cutoff that sees them."""
    joined = rollup.join(days, "event_day")
    return joined.filter(joined.visible_from <= joined.cutoff_date).drop("cutoff_date")
