"""Which versions of an SDK lose more of their accounts than all others do."""

import ibis
import ibis.expr.types as ir

from features.groups.observation import KEYS, known_rows

__all__ = ["SDK_DAYS", "sdk_departures"]

_WINDOW_DAYS = 28

SDK_DAYS = 2 * _WINDOW_DAYS
"""How far back is looked."""


def sdk_departures(sdk: ir.Table, usage: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """Whose main version of an SDK other accounts left: one row per account and cutoff that used one 28 to 56 days ago.

    ``accounts`` others had this main version in ``[c - 56 d, c - 28 d)``, of whom ``silent`` made no call since;
    ``elsewhere`` and ``elsewhere_silent`` are those of all other versions. An account's main version is that of most
    calls, ties by name.

    Parameters
    ----------
    sdk, usage
        The rollups.
    """
    version = (*KEYS, "sdk", "sdk_version")
    seen = known_rows(sdk, cutoffs, window_days=SDK_DAYS)
    calls = seen.filter(seen.age_days > _WINDOW_DAYS).group_by(*version).agg(calls=ibis._.calls.sum())
    called = known_rows(usage, cutoffs, window_days=_WINDOW_DAYS).select(*KEYS).distinct()
    fate = _main(calls).left_join(called.mutate(is_back=True), list(KEYS)).drop(*(f"{key}_right" for key in KEYS))
    fate = fate.mutate(left=fate.is_back.isnull().cast("int64"))
    by_version = ibis.window(group_by=("cutoff", "sdk", "sdk_version"))
    everywhere = ibis.window(group_by="cutoff")
    of_version = fate.mutate(
        accounts=fate.left.count().over(by_version) - 1,
        silent=(fate.left.sum().over(by_version) - fate.left).cast("int64"),
        elsewhere=fate.left.count().over(everywhere) - fate.left.count().over(by_version),
        elsewhere_silent=(fate.left.sum().over(everywhere) - fate.left.sum().over(by_version)).cast("int64"),
    )
    return of_version.select(*KEYS, "sdk", "sdk_version", "accounts", "silent", "elsewhere", "elsewhere_silent")


def _main(calls: ir.Table) -> ir.Table:
    """Of each account the version of most calls, ties by name."""
    order = [ibis.desc(calls.calls), calls.sdk, calls.sdk_version]
    ranked = calls.mutate(place=ibis.row_number().over(ibis.window(group_by=KEYS, order_by=order)))
    return ranked.filter(ranked.place == 0).select(*KEYS, "sdk", "sdk_version")
