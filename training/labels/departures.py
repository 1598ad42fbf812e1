"""Departures: when an account left, which is when the last of its subscriptions ended."""

from datetime import datetime

import pandas as pd

from features.schema import SubscriptionKind
from features.subscriptions.notices import keep_what_notices_leave
from features.subscriptions.states import renews
from features.subscriptions.told_apart import in_order, told_apart
from features.windows import days_later

__all__ = ["churn_events"]

_RETURNING = (SubscriptionKind.START, SubscriptionKind.REACTIVATE)
_COLUMNS = ["account_id", "event_time", "return_time"]


def churn_events(
    subscriptions: pd.DataFrame, *, complete_until: datetime, renewal_grace_days: int, reactivation_days: int
) -> pd.DataFrame:
    """When accounts left: one row per account and departure, with ``event_time`` and ``return_time`` (null if none).

    A subscription ends by a ``cancel`` without a start or reactivation within ``reactivation_days``, or by a term that
    passed without a start, renew, upgrade or reactivation within ``renewal_grace_days`` (a downgrade that carries a
    later term renews it as well); its date is then ``term_end``. The first of both counts until it returns. A
    ``cancel_notice`` ends nothing, and one without a term leaves the running term as it was. The account leaves when
    its last subscription ends and no other begins within these days.
    """
    known = in_order(subscriptions[subscriptions["known_at"] <= complete_until])
    known = known.assign(owner=pd.factorize(known["account_id"])[0])
    rows = told_apart(known, reactivation_days=reactivation_days).rows
    line = rows.groupby(["owner", "subscription"], sort=False).ngroup()
    rows = keep_what_notices_leave(rows, subscription=line).assign(line=line.to_numpy())
    ends = _ends(rows, renewal_grace_days=renewal_grace_days, reactivation_days=reactivation_days)
    is_several = rows.groupby("owner")["line"].transform("nunique").gt(1)
    left = ends
    if is_several.any():
        together = ends["owner"].isin(rows.loc[is_several, "owner"])
        left = pd.concat([ends[~together], _account_ends(rows[is_several], ends[together])])
    return left.sort_values(["owner", "event_time"], kind="stable", ignore_index=True)[_COLUMNS]


def _ends(rows: pd.DataFrame, *, renewal_grace_days: int, reactivation_days: int) -> pd.DataFrame:
    """The ends of each subscription, and until when the account's next one may undo it."""
    occurred, term, kind, line = rows["occurred_at"], rows["term_end"], rows["kind"], rows["line"]
    renewing = renews(rows)
    next_row = occurred.groupby(line).shift(-1)
    next_renewal = _next(occurred.where(renewing), line)
    next_return = _next(occurred.where(kind.isin(_RETURNING)), line)

    is_cancel = kind == SubscriptionKind.CANCEL
    is_final = ~(next_return < days_later(occurred, reactivation_days))
    # The row in force when its term ends: it began before, and no other row came between.
    is_in_force = term.notna() & ~is_cancel & (occurred < term) & ~(next_row < term)
    is_expiry = is_in_force & ~(next_renewal < days_later(term, renewal_grace_days))

    spell = renewing.groupby(line).cumsum()
    every = rows[["account_id", "owner", "line"]].assign(return_time=next_renewal, spell=spell)
    ends = pd.concat(
        [
            every.assign(event_time=times, undone_before=days_later(times, days), is_cancel=is_cancel)[is_end]
            for times, days, is_end in (
                (occurred, reactivation_days, is_cancel & is_final),
                (term, renewal_grace_days, is_expiry),
            )
        ]
    ).sort_values(["line", "event_time"], kind="stable")
    first: pd.DataFrame = ends.drop_duplicates(["line", "spell"])
    # What is back at the moment it ends was never away.
    return first[~(first["return_time"] <= first["event_time"])].drop(columns="spell")


def _account_ends(rows: pd.DataFrame, ends: pd.DataFrame) -> pd.DataFrame:
    """The ends after which nothing of the account runs, and nothing begins in time."""
    keys = ["account_id", "owner", "event_time", "kind"]
    begins = rows.drop_duplicates("line").assign(event_time=lambda table: table["occurred_at"])[keys]
    # What begins a subscription anew is an event: what it is called decides whether it undoes a cancellation.
    returns = ends[ends["return_time"].notna()].merge(
        rows[["line", "occurred_at", "kind"]].drop_duplicates(["line", "occurred_at"], keep="last"),
        left_on=["line", "return_time"],
        right_on=["line", "occurred_at"],
    )
    returns = returns.assign(event_time=lambda table: table["return_time"])[keys]
    left = ends.assign(kind="", change=-1)[[*keys, "change", "undone_before", "is_cancel"]]
    starts = pd.concat([begins, returns]) if len(returns) else begins
    starts = starts.assign(change=1, undone_before=starts["event_time"], is_cancel=False)
    moves = pd.concat([starts, left]) if len(left) else starts
    # Of what begins at one moment a start counts first: it undoes what a renewal does not.
    moves = moves.assign(is_other=~moves["kind"].isin(_RETURNING)).sort_values(
        ["owner", "event_time", "change", "is_other"], ascending=[True, True, False, True], kind="stable"
    )
    moves = moves.reset_index(drop=True)
    running = moves.groupby("owner")["change"].cumsum()
    following = moves.groupby("owner")[["event_time", "kind"]].shift(-1)
    is_undone = (following["event_time"] < moves["undone_before"]) & (
        following["kind"].isin(_RETURNING) | ~moves["is_cancel"]
    )
    is_last = (moves["change"] < 0) & (running == 0) & ~is_undone
    return moves.assign(return_time=following["event_time"])[is_last]


def _next(times: "pd.Series[pd.Timestamp]", line: "pd.Series[int]") -> "pd.Series[pd.Timestamp]":
    """The next time after this row that is not null, within the subscription."""
    return times.groupby(line).shift(-1).groupby(line).bfill()
