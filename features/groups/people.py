"""How many people and tokens are behind an account's calls, and how much hangs on one of them."""

import ibis.expr.types as ir

from features.formulas.sums import ratio
from features.groups.observation import KEYS, known_rows

__all__ = ["distinct_by_window"]


def distinct_by_window(rollup: ir.Table, cutoffs: ir.Table, *, key: str, name: str) -> ir.Table:
    """Distinct values of ``key`` in the last 28 and 7 days and the 7 before, and the busiest one's share of calls.

    One row per account and cutoff with calls that carry the key; columns ``<name>_28d``, ``<name>_7d``,
    ``<name>_prior_7d`` and ``top_<name>_share_28d``.
    """
    seen = known_rows(rollup, cutoffs, window_days=28)
    each = seen.group_by(*KEYS, key).agg(
        calls=seen.calls.sum().cast("int64"),
        newest_age=seen.age_days.min(),
        in_prior_7d=seen.age_days.between(8, 14).any(),
    )
    return each.group_by(*KEYS).agg(
        **{
            f"{name}_28d": each.count(),
            f"{name}_7d": each.count(where=each.newest_age <= 7),
            f"{name}_prior_7d": each.count(where=each.in_prior_7d),
            f"top_{name}_share_28d": ratio(each.calls.max(), each.calls.sum()),
        }
    )
