"""Through which SDK an account calls, how old its version is, and how the other accounts on it fare."""

import ibis
import ibis.expr.types as ir

from features.formulas.sums import ratio
from features.groups.inputs import Inputs
from features.groups.observation import KEYS, beside, is_new_to_log, known_rows
from features.windows import days_between

__all__ = ["PRIOR_ACCOUNTS", "sdk_features", "sdk_windows"]

PRIOR_ACCOUNTS = 20
"""As many accounts that fall silent as often as all are added to those on a version: few say little."""

_RELEASE = ("sdk", "sdk_version")


def sdk_windows(sdk: ir.Table, cutoffs: ir.Table) -> ir.Table:
    """One row per account, cutoff, SDK and version called with in the last 56 days.

    Returns
    -------
    Table
        Keys, ``sdk``, ``sdk_version`` (empty for none); ``calls_28d``; ``calls_prior_28d``, of the 28 days before.
    """
    seen = known_rows(sdk, cutoffs, window_days=56)
    now = seen.age_days <= 28
    return seen.group_by(*KEYS, *_RELEASE).agg(
        calls_28d=seen.calls.sum(where=now).fill_null(0).cast("int64"),
        calls_prior_28d=seen.calls.sum(where=~now).fill_null(0).cast("int64"),
    )


def sdk_features(inputs: Inputs) -> ir.Table:
    """The SDK group: one row per row of ``population``.

    The release an account is on, SDK and version together, is the one with most of its calls of the last 28 days; of an
    account without any, of the 28 days before.
    """
    rollups, population = inputs.rollups, inputs.population
    windows = rollups.sdk_windows
    joined = beside(
        population.select(*KEYS, "log_has_sdk", "log_start"),
        main_sdk(windows),
        main_release(windows),
        activity(rollups.daily),
        main_release_before(windows),
    )
    joined = drop_off(joined)
    known = rollups.releases
    joined = joined.left_join(known, ["cutoff", *_RELEASE])
    return joined.select(
        *KEYS,
        "main_sdk_28d",
        sdk_count_28d=ibis.ifelse(joined.log_has_sdk, joined.sdk_count_28d.fill_null(0), None),
        sdk_dropoff_excess=joined.sdk_dropoff_excess,
        sdk_version_age_days=ibis.ifelse(
            is_new_to_log(joined.superseded_at, joined.log_start),
            days_between(joined.superseded_at, joined.cutoff),
            None,
        ),
    )


def main_sdk(windows: ir.Table) -> ir.Table:
    """The SDK with most calls in the last 28 days, the first by name of several, and how many there are."""
    calls = windows.group_by(*KEYS, "sdk").agg(calls=windows.calls_28d.sum())
    calls = calls.filter(calls.calls > 0)
    most = ibis.row_number().over(group_by=KEYS, order_by=[ibis.desc("calls"), ibis.asc("sdk")])
    placed = calls.mutate(place=most)
    return placed.group_by(*KEYS).agg(
        main_sdk_28d=placed.sdk.max(where=placed.place == 0), sdk_count_28d=placed.count()
    )


def main_release(windows: ir.Table) -> ir.Table:
    """The SDK and version an account is on: of the last 28 days, or of the 28 before when it made no call in these."""
    before = ibis.ifelse(windows.calls_28d > 0, 0, windows.calls_prior_28d)
    most = ibis.row_number().over(
        group_by=KEYS, order_by=[ibis.desc(windows.calls_28d), ibis.desc(before), *map(ibis.asc, _RELEASE)]
    )
    placed = windows.mutate(place=most)
    return placed.filter(placed.place == 0).select(*KEYS, *_RELEASE)


def main_release_before(windows: ir.Table) -> ir.Table:
    """The SDK and version an account was on in the 28 days before the last 28."""
    prior = windows.filter(windows.calls_prior_28d > 0)
    most = ibis.row_number().over(group_by=KEYS, order_by=[ibis.desc(prior.calls_prior_28d), *map(ibis.asc, _RELEASE)])
    placed = prior.mutate(place=most)
    return placed.filter(placed.place == 0).select(*KEYS, **{f"{name}_before": placed[name] for name in _RELEASE})


def activity(daily: ir.Table) -> ir.Table:
    """Which accounts called in the 28 days before the last 28, and of these, which have been silent since."""
    recent = daily.filter(daily.age_days <= 56)
    called = recent.group_by(*KEYS).agg(newest=recent.age_days.min(), oldest=recent.age_days.max())
    return called.select(
        *KEYS,
        was_there=(called.oldest > 28).cast("int64"),
        fell_silent=(called.newest > 28).cast("int64"),
    )


def drop_off(accounts: ir.Table) -> ir.Table:
    """Add ``sdk_dropoff_excess``: how much more often the others on its release fell silent than all accounts.

    Of ``n`` other accounts that were on it in the 28 days before the last 28, ``s`` are silent since; of all accounts a
    share ``p``. The excess is ``(s + 20 p) / (n + 20) - p``, which is ``(s - n p) / (n + 20)``: null while nobody could
    have fallen silent, or without an SDK.
    """
    callers = accounts.filter(accounts.was_there == 1)
    fleet = callers.group_by("cutoff").agg(all_there=callers.count(), all_silent=callers.fell_silent.sum())
    on_release = callers.filter(callers.sdk_before.notnull()).group_by("cutoff", "sdk_before", "sdk_version_before")
    by_release = on_release.agg(n=lambda table: table.count(), s=lambda table: table.fell_silent.sum())
    joined = accounts.left_join(fleet, "cutoff").drop("cutoff_right")
    joined = joined.left_join(
        by_release.select("cutoff", "n", "s", sdk="sdk_before", sdk_version="sdk_version_before"), ["cutoff", *_RELEASE]
    ).drop("cutoff_right", *(f"{name}_right" for name in _RELEASE))
    is_one = ((joined.sdk_before == joined.sdk) & (joined.sdk_version_before == joined.sdk_version)).fill_null(False)
    own = ibis.ifelse(is_one, joined.was_there.fill_null(0), 0)
    others = joined.n.fill_null(0) - own
    silent = joined.s.fill_null(0) - own * joined.fell_silent.fill_null(0)
    share = ratio(joined.all_silent, joined.all_there)
    excess = ratio(silent - others * share, others + PRIOR_ACCOUNTS)
    return joined.mutate(sdk_dropoff_excess=ibis.ifelse(joined.sdk.notnull(), excess, None))
