"""Numbers the subscription each row belongs to: its id, or what :mod:`features.subscriptions.unnamed` reads."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.schema import SubscriptionKind
from features.subscriptions.corrections import corrected
from features.subscriptions.unnamed import UnnamedRow, subscriptions_of

__all__ = ["ORDER", "ToldApart", "in_order", "told_apart"]


ORDER = ("occurred_at", "known_at", "source_order")
"""The order of an account's rows."""

_LAST_WORD = ("kind", "plan", "mrr", "quota_calls_per_month", "term_end", "subscription_id")  # between two files
_SAME = ["owner", "occurred_at", "kind", "plan", "mrr"]


@dataclass(frozen=True)
class ToldApart:
    """Subscription events with the number of their subscription, and whom there is something to say about.

    Attributes
    ----------
    rows
        The events with ``subscription``, a number, without those that others correct
        (:func:`features.subscriptions.corrections.corrected`) and cancellations that end nothing which runs. An event
        that came without an id and once more with one is there once.
    with_second, kept_alive
        Owners; see :class:`features.subscriptions.unnamed.Told`.
    """

    rows: pd.DataFrame
    with_second: tuple[int, ...] = ()
    kept_alive: tuple[int, ...] = ()


def in_order(subscriptions: pd.DataFrame) -> pd.DataFrame:
    """The events account by account in the order of time, knowledge and file, with a new index.

    What ties these leave, as between two files, ends with what the rows say, so that the order of the rows is no
    matter.
    """
    if "subscription_id" not in subscriptions:
        subscriptions = subscriptions.assign(subscription_id=None)
    keys = ["account_id", *ORDER]
    rows = subscriptions.sort_values(keys, kind="stable", ignore_index=True)
    is_tied = rows.duplicated(keys, keep=False).to_numpy()
    if is_tied.any():
        last_word = [name for name in _LAST_WORD if name in rows]
        tied = rows[is_tied].sort_values([*keys, *last_word], kind="stable", na_position="first")
        order = np.arange(len(rows))
        order[is_tied] = tied.index.to_numpy()
        rows = rows.take(order).reset_index(drop=True)
    return rows


def told_apart(rows: pd.DataFrame, *, reactivation_days: int) -> ToldApart:
    """Number the subscriptions of each ``owner``; the rows of an owner stand together, in their order."""
    rows = corrected(rows)
    ids = rows["subscription_id"]
    owner, has_id = rows["owner"].to_numpy(), ids.notna().to_numpy()
    number = np.where(has_id, pd.factorize(ids)[0] + 1, 0).astype(np.int64)
    is_read = np.isin(owner, owner[_is_unclear(rows, has_id)])
    if not is_read.any():
        return ToldApart(rows.assign(subscription=number))
    again = rows[_SAME].merge(rows.loc[has_id & is_read, _SAME].drop_duplicates(), how="left", indicator=True)
    is_repeat = is_read & ~has_id & (again["_merge"] == "both").to_numpy()
    rows, owner, number, is_read = rows[~is_repeat], owner[~is_repeat], number[~is_repeat], is_read[~is_repeat]
    places = np.flatnonzero(is_read)
    plain = _plain(rows.iloc[places])
    begins = np.flatnonzero(np.diff(owner[places], prepend=-1))
    with_second, kept_alive = [], []
    for begin, end in zip(begins, [*begins[1:], len(places)], strict=True):
        numbers, told = subscriptions_of(plain[begin:end], reactivation_days=reactivation_days)
        number[places[begin:end]] = numbers
        with_second += [int(owner[places[begin]])] * told.has_second
        kept_alive += [int(owner[places[begin]])] * told.is_kept_alive
    rows = rows.assign(subscription=number)[number >= 0].reset_index(drop=True)
    return ToldApart(rows, tuple(with_second), tuple(kept_alive))


def _is_unclear(rows: pd.DataFrame, has_id: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Rows of owners whose rows have to be read one after the other.

    These are starts after another row, cancellations of another plan than the row before names, and rows without an id
    beside rows with one. Nobody else has more than one subscription without an id.
    """
    owner, kind, plan = (rows[name] for name in ("owner", "kind", "plan"))
    is_first = ~owner.duplicated().to_numpy()
    is_start = (kind == SubscriptionKind.START).to_numpy() & ~is_first
    before = plan.groupby(owner).ffill().groupby(owner).shift(1)
    is_other = (plan.notna() & before.notna() & (plan != before)).to_numpy()
    is_cancel = (kind == SubscriptionKind.CANCEL).to_numpy() & is_other
    with_ids = np.isin(owner, owner[has_id])
    unclear: NDArray[np.bool_] = ~has_id & (is_start | is_cancel | with_ids)
    return unclear


def _plain(rows: pd.DataFrame) -> list[UnnamedRow]:
    texts = {name: rows[name].astype(object).where(rows[name].notna(), None) for name in ("subscription_id", "plan")}
    times = {
        name: rows[name].astype("datetime64[us, UTC]").astype("int64").where(rows[name].notna(), 0)
        for name in ("occurred_at", "term_end")
    }
    return [
        UnnamedRow(name, at, kind, plan, None if np.isnan(mrr) else mrr, end or None)
        for name, at, kind, plan, mrr, end in zip(
            texts["subscription_id"].tolist(),
            times["occurred_at"].tolist(),
            rows["kind"].tolist(),
            texts["plan"].tolist(),
            rows["mrr"].astype("float64").tolist(),
            times["term_end"].tolist(),
            strict=True,
        )
    ]
