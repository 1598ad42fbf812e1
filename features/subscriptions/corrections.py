"""Leaves out the subscription events that a later one corrects: of one moment and kind the newest known counts."""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.schema import SubscriptionKind

__all__ = ["corrected", "is_known_again"]


_MOMENT = ["owner", "subscription_id", "occurred_at", "kind"]
_ONE_EACH = (SubscriptionKind.RENEW, SubscriptionKind.CANCEL_NOTICE, SubscriptionKind.CANCEL)
"""Kinds of which every subscription of an account may have one at the same moment."""


class _Standing(NamedTuple):
    """A row, and the place it stands at: its own, or that of the row it corrects."""

    row: int
    place: int


_ByPlan = dict[str | None, list[_Standing]]


def is_known_again(rows: pd.DataFrame) -> NDArray[np.bool_]:
    """Rows of which another one, of the same subscription, moment and kind, became known at another time.

    ``rows`` are events with ``owner``, an owner's together and in their order.
    """
    is_again = np.zeros(len(rows), np.bool_)
    owner, at = rows["owner"].to_numpy(), _microseconds(rows["occurred_at"])
    is_same = (owner[1:] == owner[:-1]) & (at[1:] == at[:-1])
    if is_same.any():
        tied = np.flatnonzero(np.append(is_same, False) | np.append(False, is_same))
        moments = rows.iloc[tied].groupby(_MOMENT, dropna=False, sort=False)["known_at"]
        is_again[tied] = (moments.transform("min") != moments.transform("max")).to_numpy()
    return is_again


def corrected(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows without those that others correct, which stand in their place.

    Rows that became known at one time came together and are side by side. A later one of the same moment corrects
    those of its subscription; without ids those of its plan, and a row whose plan is new at its moment one of another
    plan that did not come again. But renewals, notices and cancellations of two plans are those of two subscriptions.

    Parameters
    ----------
    rows
        Events with ``owner``, an owner's together and in their order. They get a new index.
    """
    rows = rows.reset_index(drop=True)
    several = np.flatnonzero(is_known_again(rows))
    if not len(several):
        return rows
    place = np.arange(len(rows))
    place[several] = -1
    plans = rows["plan"].astype(object).where(rows["plan"].notna(), None).to_numpy()
    known = _microseconds(rows["known_at"])
    has_id, kinds = rows["subscription_id"].notna().to_numpy(), rows["kind"].to_numpy()
    for positions in rows.iloc[several].groupby(_MOMENT, dropna=False, sort=False).indices.values():
        standing: _ByPlan = {}
        moment = several[positions]
        can_change_plan = kinds[moment[0]] not in _ONE_EACH
        for learned in np.unique(known[moment]):
            arriving: _ByPlan = {}
            for row in moment[known[moment] == learned].tolist():
                arriving.setdefault(None if has_id[row] else plans[row], []).append(_Standing(row, row))
            standing = _after(standing, arriving, can_change_plan=can_change_plan)
        for each in (each for several_of_plan in standing.values() for each in several_of_plan):
            place[each.row] = each.place
    order = np.lexsort((np.arange(len(rows)), place))
    return rows.iloc[order[place[order] >= 0]].reset_index(drop=True)


def _after(before: _ByPlan, arriving: _ByPlan, *, can_change_plan: bool) -> _ByPlan:
    """What holds of a moment once these rows became known."""
    left = {plan: rows for plan, rows in before.items() if plan not in arriving}
    standing = {plan: _in_place_of(before[plan], rows) for plan, rows in arriving.items() if plan in before}
    for plan, rows in arriving.items():
        if plan in before:
            continue
        others = {left[other][-1].place: other for other in left if can_change_plan or None in (other, plan)}
        standing[plan] = _in_place_of(left.pop(others[min(others)]), rows) if others else rows
    return left | standing


def _in_place_of(before: list[_Standing], rows: list[_Standing]) -> list[_Standing]:
    return [each._replace(place=before[-1].place) for each in rows]


def _microseconds(times: "pd.Series[pd.Timestamp]") -> NDArray[np.int64]:
    numbers = times.astype("datetime64[us, UTC]").astype("int64")
    return np.asarray(numbers, dtype=np.int64)
