"""A cancellation notice states only itself: what it leaves empty is as the event before it said."""

import pandas as pd

from features.schema import SubscriptionKind

__all__ = ["STATED", "keep_what_notices_leave"]


STATED = ("plan", "mrr", "quota_calls_per_month", "term_end")
"""The columns in which a subscription event states what holds from then on."""


def keep_what_notices_leave(events: pd.DataFrame, *, subscription: "pd.Series[int]") -> pd.DataFrame:
    """The events; what a ``cancel_notice`` leaves empty in a column of :data:`STATED` is taken from the last other one.

    Taken is what the last event of the same subscription that is no notice said, also when that is nothing: an
    unlimited quota, or no term. ``subscription`` numbers the subscription of each event. ``events`` are in the order of
    their account's time, and stay so; they get a new index.
    """
    rows = events.reset_index(drop=True)
    is_notice = rows["kind"] == SubscriptionKind.CANCEL_NOTICE
    if not is_notice.any():
        return rows
    place = pd.Series(rows.index, index=rows.index, dtype="float64").where(~is_notice)
    last_other = place.groupby(subscription.to_numpy()).ffill().fillna(-1).astype("int64")[is_notice]
    filled = {}
    for name in STATED:
        stated = rows[name].reindex(last_other).set_axis(last_other.index)
        filled[name] = rows[name].where(~is_notice | rows[name].notna(), stated.reindex(rows.index))
    return rows.assign(**filled)
