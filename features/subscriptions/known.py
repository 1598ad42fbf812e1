"""The states of accounts as known at a cutoff, and at every cutoff at once."""

from datetime import datetime

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from features.schema import UTC_MICROSECONDS
from features.subscriptions.corrections import is_known_again
from features.subscriptions.states import LAPSE, account_states, microseconds, moments
from features.subscriptions.told_apart import in_order, told_apart
from features.windows import DAY_MICROSECONDS, as_cutoff, first_cutoffs, known_before

__all__ = ["ACCOUNT_STATES", "account_states_table", "known_states", "state_known_at", "states_at", "states_of"]

Ints = NDArray[np.int64]

ACCOUNT_STATES = pa.schema(
    [
        ("account_id", pa.string()),
        ("known_from", UTC_MICROSECONDS),
        ("known_until", UTC_MICROSECONDS),
        ("place", pa.int64()),
        ("occurred_at", UTC_MICROSECONDS),
        ("kind", pa.string()),
        ("plan", pa.string()),
        ("mrr", pa.float64()),
        ("quota_calls_per_month", pa.float64()),
        ("term_end", UTC_MICROSECONDS),
        ("is_subscribed", pa.bool_()),
        ("is_cancelled", pa.bool_()),
        ("customer_since", UTC_MICROSECONDS),
        ("is_plan_change", pa.bool_()),
    ]
)
"""The columns of :func:`known_states`. A cutoff sees a state from ``known_from`` until before ``known_until``."""

_FOREVER = np.iinfo(np.int64).min  # no time


def known_states(
    subscriptions: pd.DataFrame, *, grace_hours: float, renewal_grace_days: int, reactivation_days: int
) -> pd.DataFrame:
    """The states of every account as any cutoff knows them: the columns of :data:`ACCOUNT_STATES`.

    Of most accounts a later cutoff knows what an earlier one knew and what came after it; then there is one series of
    states, of which a cutoff sees the beginning. Of the others, which something earlier was learned of later, there is
    one series for each cutoff that knows more than the one before.
    """
    rows = in_order(subscriptions)
    owner = pd.factorize(rows["account_id"])[0].astype(np.int64)
    seen_from = _first_days(rows, grace_hours)
    several = np.isin(owner, owner[_is_learned_late(rows, owner, seen_from, renewal_grace_days)])
    plain = rows[~several].assign(owner=owner[~several], seen_from=seen_from[~several], series_from=-1, series_until=-1)
    late = _series(rows[several].assign(owner=owner[several], seen_from=seen_from[several]), owner.max(initial=-1) + 1)
    together = pd.concat([plain, late], ignore_index=True) if len(late) else plain.reset_index(drop=True)
    events = told_apart(together, reactivation_days=reactivation_days).rows
    states = account_states(events, renewal_grace_days=renewal_grace_days, reactivation_days=reactivation_days)

    of_row = (
        events[["account_id", "seen_from", "series_from", "series_until"]].iloc[states["row"]].reset_index(drop=True)
    )
    happened = microseconds(states["occurred_at"]) // DAY_MICROSECONDS + 1
    begins = np.maximum(of_row["seen_from"].to_numpy(), of_row["series_from"].to_numpy())
    begins = np.where((states["kind"] == LAPSE).to_numpy(), np.maximum(begins, happened), begins)
    ends = of_row["series_until"].to_numpy()
    states = states.drop(columns=["owner", "row"]).assign(
        account_id=of_row["account_id"],
        known_from=moments(begins * DAY_MICROSECONDS),
        known_until=moments(np.where(ends < 0, _FOREVER, ends * DAY_MICROSECONDS)),
    )
    by_account = states.sort_values("account_id", kind="stable", ignore_index=True)
    return by_account.assign(place=np.arange(len(by_account)))


def states_at(states: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
    """The newest state of each account that the cutoff sees among :func:`known_states`, indexed by ``account_id``."""
    moment = as_cutoff(cutoff)
    is_seen = (states["known_from"] <= moment) & ~(states["known_until"] <= moment)
    return states[is_seen].drop_duplicates("account_id", keep="last").set_index("account_id")


def state_known_at(
    subscriptions: pd.DataFrame,
    cutoff: datetime,
    *,
    grace_hours: float,
    renewal_grace_days: int,
    reactivation_days: int,
) -> pd.DataFrame:
    """The state of each account as known at one cutoff, indexed by ``account_id``: as :func:`states_at`."""
    moment = as_cutoff(cutoff)
    is_known = subscriptions["known_at"] < known_before(cutoff, grace_hours=grace_hours)
    states = states_of(
        subscriptions[is_known & (subscriptions["occurred_at"] < moment)],
        renewal_grace_days=renewal_grace_days,
        reactivation_days=reactivation_days,
    )
    return states[states["occurred_at"] < moment].drop_duplicates("account_id", keep="last").set_index("account_id")


def states_of(subscriptions: pd.DataFrame, *, renewal_grace_days: int, reactivation_days: int) -> pd.DataFrame:
    """Every state of every account, from these events and no others: account by account, in the order of time."""
    rows = in_order(subscriptions)
    rows = rows.assign(owner=pd.factorize(rows["account_id"])[0].astype(np.int64))
    events = told_apart(rows, reactivation_days=reactivation_days).rows
    states = account_states(events, renewal_grace_days=renewal_grace_days, reactivation_days=reactivation_days)
    return states.drop(columns=["owner", "row"]).assign(
        account_id=events["account_id"].to_numpy()[states["row"].to_numpy()]
    )


def account_states_table(
    subscriptions: pa.Table, *, grace_hours: float, renewal_grace_days: int, reactivation_days: int
) -> pa.Table:
    """:func:`known_states` of a raw table, for an engine."""
    states = known_states(
        subscriptions.to_pandas(),
        grace_hours=grace_hours,
        renewal_grace_days=renewal_grace_days,
        reactivation_days=reactivation_days,
    )
    return pa.Table.from_pandas(states[ACCOUNT_STATES.names], ACCOUNT_STATES, preserve_index=False)


def _first_days(rows: pd.DataFrame, grace_hours: float) -> Ints:
    """Of each row the first cutoff that may see it, in days since 1970."""
    happened, known = (pa.chunked_array([pa.array(rows[name])]) for name in ("occurred_at", "known_at"))
    first = first_cutoffs(happened, known, grace_hours=grace_hours)
    return np.asarray(first.cast(pa.int32()).to_numpy(), dtype=np.int64)


def _is_learned_late(rows: pd.DataFrame, owner: Ints, seen_from: Ints, renewal_grace_days: int) -> NDArray[np.bool_]:
    """Rows that a cutoff learns of after it took something else for true: rows or ends of terms that come after them.

    So are corrections, and rows that name their subscription, where others of the account do not: one may be an event
    come once more.
    """
    is_before = np.concatenate([owner[:-1] == owner[1:], [False]])[: len(owner)]
    is_late = is_before & (np.concatenate([seen_from[1:], seen_from[:1]])[: len(owner)] < seen_from)
    with_term = rows["term_end"].notna().to_numpy()
    ends = microseconds(rows["term_end"])[with_term] // 1 + renewal_grace_days * DAY_MICROSECONDS
    # The end of the time to renew that comes next after the row, of whichever term of the account.
    order = np.lexsort((ends, owner[with_term]))
    ends, of = ends[order], owner[with_term][order]
    at = microseconds(rows["occurred_at"])
    codes = pd.factorize(np.concatenate([ends, at]), sort=True)[0].astype(np.int64)
    width = len(codes) + 1
    keys, wanted = of * width + codes[: len(ends)], owner * width + codes[len(ends) :]
    place = np.searchsorted(keys, wanted, side="right")
    is_there = place < len(keys)
    place = np.where(is_there, place, 0)
    if len(keys):
        is_there &= of[place] == owner
        is_late |= is_there & ((ends[place] - 1) // DAY_MICROSECONDS + 1 < seen_from)
    has_id = rows["subscription_id"].notna().to_numpy()
    is_late |= is_known_again(rows.assign(owner=owner))
    return is_late | (has_id & np.isin(owner, owner[~has_id]))


def _series(rows: pd.DataFrame, first_owner: int) -> pd.DataFrame:
    """The rows of each owner once for each cutoff that is the first to see one of them: those it sees."""
    days = rows[["owner", "seen_from"]].drop_duplicates().sort_values(["owner", "seen_from"], ignore_index=True)
    following = days.groupby("owner")["seen_from"].shift(-1, fill_value=-1)
    days = days.rename(columns={"seen_from": "series_from"}).assign(
        series_until=following, series=first_owner + np.arange(len(days))
    )
    seen = rows.merge(days, on="owner")
    seen = seen[seen["seen_from"] <= seen["series_from"]].sort_values("series", kind="stable")
    return seen.drop(columns="owner").rename(columns={"series": "owner"})
