"""What each subscription event, and each term that ran out, left an account with, over all its subscriptions."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.schema import SubscriptionKind
from features.subscriptions.notices import keep_what_notices_leave
from features.windows import DAY_MICROSECONDS

__all__ = ["LAPSE", "RENEWING", "account_states", "microseconds", "moments", "renews"]

Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

LAPSE = "lapse"
"""The kind of a state that no event made: a term had passed, and nothing renewed it in time."""

RENEWING = (
    SubscriptionKind.START,
    SubscriptionKind.RENEW,
    SubscriptionKind.UPGRADE,
    SubscriptionKind.REACTIVATE,
)
_NEVER = np.iinfo(np.int64).min


def account_states(rows: pd.DataFrame, *, renewal_grace_days: int, reactivation_days: int) -> pd.DataFrame:
    """The state of each owner after each of its events, and after each term that ran out.

    A subscription is in the state of its newest event. It runs until it is cancelled, or until ``renewal_grace_days``
    after its term without anything that renews it; plan and MRR stay where an event leaves them empty. The owner pays
    the sum of what runs, its quota is the sum (unlimited if one is), its plan and term are those of the subscription
    with the largest MRR, of several the oldest, of those the first by plan, then by id; when nothing runs, those of the
    one whose event is the newest, at no MRR.

    Parameters
    ----------
    rows
        Events with ``owner`` and ``subscription``, both numbers; an owner's together and in their order.

    Returns
    -------
    DataFrame
        In the order of owner and time: ``owner``; ``row``, the place of the event, or of the one whose term ran out;
        ``occurred_at``, for a term the last microsecond before its time to be renewed was over; ``kind``, of the event
        or :data:`LAPSE`; ``plan``, ``mrr``, ``quota_calls_per_month``, ``term_end``; ``is_subscribed``;
        ``is_cancelled``, whether the last subscription ended by a cancellation; ``customer_since``, when the account
        became a customer: a start or a reactivation while nothing ran, but for a start within ``reactivation_days``
        after a cancellation, null where no such event is known; ``is_return``, whether a customer came back after
        longer; ``is_plan_change``, whether the plan became another one. Of several states at one moment the last holds:
        the others change no plan.
    """
    rows = rows.reset_index(drop=True)
    line = rows.groupby(["owner", "subscription"], sort=False).ngroup()
    stated = _stated(rows, line)
    begun, ends, runs = _running(rows, stated["term_end"], line, renewal_grace_days)
    owner = rows["owner"].to_numpy()
    slots = line.to_numpy() - line.groupby(owner).transform("min").to_numpy()

    lapsing = np.flatnonzero(ends != _NEVER)
    row = np.concatenate([np.arange(len(rows)), lapsing])
    is_lapse = np.arange(len(row)) >= len(rows)
    at = np.where(is_lapse, ends[row] - 1, begun[row])
    order = np.lexsort((row, is_lapse, at, owner[row]))
    row, is_lapse, at = row[order], is_lapse[order], at[order]
    owners = owner[row]
    is_first = np.diff(owners, prepend=-1) != 0
    first = np.maximum.accumulate(np.where(is_first, np.arange(len(row)), 0))
    is_last = np.ones(len(row), np.bool_)
    is_last[:-1] = (owners[1:] != owners[:-1]) | (at[1:] != at[:-1])

    stated = stated.assign(begun=pd.Series(begun).groupby(line).transform("first"), id=rows["subscription_id"])
    total = _over_subscriptions(row, ~is_lapse & runs[row], slots[row], first, stated)
    kind = np.where(is_lapse, LAPSE, rows["kind"].to_numpy()[row])
    is_subscribed = total["running"] > 0
    since, is_return = _customer(kind, at, is_subscribed, is_first, first, reactivation_days * DAY_MICROSECONDS)
    return pd.DataFrame(
        {
            "owner": owners,
            "row": row,
            "occurred_at": moments(at),
            "kind": kind,
            "plan": stated["plan"].to_numpy()[total["main"]],
            "mrr": total["mrr"],
            "quota_calls_per_month": total["quota"],
            "term_end": moments(microseconds(stated["term_end"])[total["main"]]),
            "is_subscribed": is_subscribed,
            "is_cancelled": ~is_subscribed & (rows["kind"] == SubscriptionKind.CANCEL).to_numpy()[total["main"]],
            "customer_since": moments(since),
            "is_return": is_return,
            "is_plan_change": _plan_changes(stated["plan"].to_numpy()[total["main"]], is_subscribed & is_last, first),
        }
    )


def renews(rows: pd.DataFrame) -> "pd.Series[bool]":
    """Whether an event renews a subscription; a downgrade does when it carries a later term."""
    is_later = (rows["kind"] == SubscriptionKind.DOWNGRADE) & (rows["term_end"] > rows["occurred_at"])
    return rows["kind"].isin(RENEWING) | is_later


def microseconds(times: "pd.Series[pd.Timestamp]") -> Ints:
    """Microseconds since 1970; the smallest number where there is no time."""
    numbers = times.astype("datetime64[us, UTC]").astype("int64").where(times.notna(), _NEVER)
    return np.asarray(numbers, dtype=np.int64)


def moments(times: Ints) -> "pd.Series[pd.Timestamp]":
    """What :func:`microseconds` makes numbers of."""
    return pd.Series(times.view("datetime64[us]")).dt.tz_localize("UTC")


def _stated(rows: pd.DataFrame, line: "pd.Series[int]") -> pd.DataFrame:
    """What holds of a subscription after each event: plan and MRR as last named, quota and term as stated."""
    stated = keep_what_notices_leave(rows, subscription=line)
    is_notice = rows["kind"] == SubscriptionKind.CANCEL_NOTICE
    is_passing = is_notice | (rows["kind"] == SubscriptionKind.CANCEL)
    columns = {
        "quota_calls_per_month": stated["quota_calls_per_month"].astype("float64"),
        "term_end": stated["term_end"],
    }
    for name in ("plan", "mrr"):
        named = rows[name].where(~is_passing).groupby(line).ffill()
        columns[name] = rows[name].where(is_notice & rows[name].notna(), named)
    columns["plan"] = columns["plan"].where(columns["plan"].notna(), rows["plan"])
    columns["plan"] = columns["plan"].astype(object).where(columns["plan"].notna(), None)
    return pd.DataFrame({**columns, "mrr": columns["mrr"].astype("float64")})


def _running(
    rows: pd.DataFrame, term_end: "pd.Series[pd.Timestamp]", line: "pd.Series[int]", renewal_grace_days: int
) -> tuple[Ints, Ints, Bools]:
    """Of each event the moment, the end of the time in which its term can be renewed if it is not, and if it runs."""
    at, term, kind = microseconds(rows["occurred_at"]), microseconds(term_end), rows["kind"]
    is_cancel, is_notice = (kind == SubscriptionKind.CANCEL).to_numpy(), kind == SubscriptionKind.CANCEL_NOTICE
    is_open = pd.Series(np.where(is_cancel, 0.0, 1.0)).where(~is_notice).groupby(line).ffill().fillna(1.0) == 1.0
    # What says nothing of a later term leaves one that has passed as it is: it can still be renewed, and still ends.
    leaves = ~renews(rows.assign(term_end=term_end)).to_numpy() & ~is_cancel & (term <= at)
    effective = np.where((term > at) & ~is_cancel, term, _NEVER)
    while True:
        before = pd.Series(effective).groupby(line).shift(1, fill_value=_NEVER).to_numpy()
        is_left = leaves & (before != _NEVER) & (before <= at) & (effective != before)
        if not is_left.any():
            break
        effective = np.where(is_left, before, effective)
    grace = renewal_grace_days * DAY_MICROSECONDS
    until = np.where(effective == _NEVER, np.iinfo(np.int64).max, effective + np.where(effective == _NEVER, 0, grace))
    runs = is_open.to_numpy() & (until > at)
    following = pd.Series(at).groupby(line).shift(-1, fill_value=np.iinfo(np.int64).max).to_numpy()
    lapses = runs & (effective != _NEVER) & (following >= until)
    return at, np.where(lapses, until, np.int64(_NEVER)), runs


def _over_subscriptions(
    row: Ints, runs: Bools, slot: Ints, first: Ints, stated: pd.DataFrame
) -> dict[str, NDArray[Any]]:
    """Of each state how many subscriptions run, their MRR and quota, and the row of the one that names the plan."""
    count = len(row)
    slots = np.zeros(count, np.int64)
    np.maximum.at(slots, first, slot + 1)
    slots = slots[first]
    state = np.repeat(np.arange(count), slots)
    cell_slot = np.arange(len(state)) - np.repeat(np.cumsum(slots) - slots, slots)
    by_slot = np.argsort(cell_slot, kind="stable")
    state, cell_slot = state[by_slot], cell_slot[by_slot]
    # The newest state of the same subscription; what stands before the owner's first belongs to another one.
    begin = cell_slot * count
    newest = np.where(slot[state] == cell_slot, begin + state, begin - 1)
    newest = (np.maximum.accumulate(newest) if count else newest) - begin
    is_begun = newest >= first[state]
    state, newest = state[is_begun], newest[is_begun]

    cell_row, is_running = row[newest], runs[newest]
    price = stated["mrr"].to_numpy()[cell_row]
    quota = stated["quota_calls_per_month"].to_numpy()[cell_row]
    is_priced, is_limited = is_running & ~np.isnan(price), is_running & ~np.isnan(quota)
    running = np.bincount(state, is_running, minlength=count)
    priced = np.bincount(state, is_priced, minlength=count)
    limited = np.bincount(state, is_limited, minlength=count)
    mrr = np.bincount(state, np.where(is_priced, price, 0.0), minlength=count)
    quotas = np.bincount(state, np.where(is_limited, quota, 0.0), minlength=count)

    plans, ids = (pd.factorize(stated[name], sort=True)[0] for name in ("plan", "id"))
    plan = np.where(plans < 0, len(plans), plans)[cell_row]
    dearest = np.where(is_running, np.where(is_priced, -price, np.inf), -cell_row.astype(np.float64))
    oldest = stated["begun"].to_numpy()[cell_row]
    order = np.lexsort((cell_row, ids[cell_row], plan, oldest, dearest, ~is_running, state))
    main = cell_row[order][np.flatnonzero(np.diff(state[order], prepend=-1))]
    return {
        "running": running,
        "mrr": np.where((priced == 0) & (running > 0), np.nan, mrr),
        "quota": np.where((limited < running) | (running == 0), np.nan, quotas),
        "main": main,
    }


def _customer(
    kind: NDArray[np.object_], at: Ints, is_subscribed: Bools, is_first: Bools, first: Ints, reactivation: int
) -> tuple[Ints, Bools]:
    """Since when the account is a customer, and whether it came back after it had left."""
    place = np.arange(len(at))
    was_subscribed = np.concatenate([[False], is_subscribed[:-1]]) & ~is_first
    becomes = is_subscribed & ~was_subscribed
    left = np.maximum.accumulate(np.where(was_subscribed & ~is_subscribed, place, -1)) if len(at) else place
    left = np.where(left >= first, left, -1)
    is_start, is_back = kind == SubscriptionKind.START, kind == SubscriptionKind.REACTIVATE
    was_cancelled = (left >= 0) & (kind[left] == SubscriptionKind.CANCEL)
    is_undone = becomes & (is_start | is_back) & was_cancelled & (at - at[left] < reactivation)
    begins = becomes & ((is_start & ~is_undone) | is_back)
    newest = np.maximum.accumulate(np.where(begins | is_first, place, 0)) if len(at) else place
    return np.where(begins[newest], at[newest], _NEVER), becomes & ~is_first & ~is_undone


def _plan_changes(plan: NDArray[np.object_], counts: Bools, first: Ints) -> Bools:
    """Whether the plan is another one than the last that was named, of the states that count."""
    codes = pd.factorize(plan)[0]
    is_named = counts & (codes >= 0)
    place = np.where(is_named, np.arange(len(plan)), -1)
    newest = np.maximum.accumulate(place) if len(plan) else place
    before = np.concatenate([[-1], newest[:-1]])[: len(plan)]
    is_change: Bools = is_named & (before >= first) & (codes != codes[before])
    return is_change
