"""Labels: what became of each account after a cutoff, from everything known at ``complete_until``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from features.exceptions import InputError, WorkFailedError
from features.schema import SubscriptionKind
from features.settings import Settings
from features.windows import as_cutoff, days_later, label_window
from training.targets import Status, Target, status_at

__all__ = ["GONE", "Labels", "churn_events", "is_closed", "label"]

GONE = "already_gone"
"""Accounts that had left before the cutoff although it was not yet known: left out, counted."""

_ORDER = ["account_id", "occurred_at", "known_at", "source_order"]
_RENEWING = (
    SubscriptionKind.START,
    SubscriptionKind.RENEW,
    SubscriptionKind.UPGRADE,
    SubscriptionKind.REACTIVATE,
)


@dataclass(frozen=True)
class Labels:
    """One row per account of the population and closed cutoff.

    Attributes
    ----------
    frame
        ``account_id``, ``cutoff``, ``label`` (0 or 1), ``event_time`` (of the label's event, or of the one in the
        lead), ``in_lead`` (an event in ``[c, c + lead)``: left out of fitting and of the headline metrics).
    open_cutoffs
        Cutoffs whose label is not final yet.
    left_out
        Reason to the number of (account, cutoff) pairs that are not in the population.
    """

    frame: pd.DataFrame
    open_cutoffs: tuple[datetime, ...]
    left_out: Mapping[str, int]


def is_closed(chosen: Target, cutoff: datetime, *, complete_until: datetime) -> bool:
    """Whether the label at the cutoff is final: its window has passed, and nothing in it can be undone any more."""
    window_end = label_window(cutoff, lead_days=chosen.lead_days, horizon_days=chosen.horizon_days)[1]
    return bool(days_later(window_end, chosen.settlement_days) <= complete_until)


def churn_events(
    subscriptions: pd.DataFrame, *, complete_until: datetime, renewal_grace_days: int, reactivation_days: int
) -> pd.DataFrame:
    """When accounts left: one row per account and departure, with ``event_time`` and ``return_time`` (null if none).

    A departure is a ``cancel`` without a start or reactivation within ``reactivation_days``, or a term that passed
    without a start, renew, upgrade or reactivation within ``renewal_grace_days`` (a downgrade that carries a later
    term renews it as well); its date is then ``term_end``. The first of both counts until the account returns. A
    ``cancel_notice`` is no departure.
    """
    known = subscriptions[subscriptions["known_at"] <= complete_until].sort_values(_ORDER, kind="stable")
    known = known.reset_index(drop=True)
    occurred, ends, kind = known["occurred_at"], known["term_end"], known["kind"]
    renews = kind.isin(_RENEWING) | ((kind == SubscriptionKind.DOWNGRADE) & (ends > occurred))
    returns = kind.isin((SubscriptionKind.START, SubscriptionKind.REACTIVATE))
    account = known["account_id"]
    next_row = occurred.groupby(account).shift(-1)
    next_renewal = _next(occurred.where(renews), account)
    next_return = _next(occurred.where(returns), account)

    is_cancel = kind == SubscriptionKind.CANCEL
    is_final = ~(next_return < days_later(occurred, reactivation_days))
    # The row in force when its term ends: it began before, and no other row came between.
    is_in_force = ends.notna() & ~is_cancel & (occurred < ends) & ~(next_row < ends)
    is_expiry = is_in_force & ~(next_renewal < days_later(ends, renewal_grace_days))

    spell = renews.groupby(account).cumsum()
    departures = pd.concat(
        [
            pd.DataFrame({"account_id": account, "event_time": times, "return_time": next_renewal, "spell": spell})[
                chosen
            ]
            for times, chosen in ((occurred, is_cancel & is_final), (ends, is_expiry))
        ]
    ).sort_values(["account_id", "event_time"], kind="stable")
    first: pd.DataFrame = departures.drop_duplicates(["account_id", "spell"])
    return first.drop(columns="spell").reset_index(drop=True)


def label(
    chosen: Target,
    subscriptions: pd.DataFrame,
    cutoffs: Sequence[datetime],
    *,
    complete_until: datetime | None,
    settings: Settings,
) -> Labels:
    """Label the population of every closed cutoff.

    Raises
    ------
    WorkFailedError
        When there are no subscription events.
    InputError
        For a target whose labels are made otherwise.
    """
    if chosen.kind != "subscription":
        raise InputError(f"The labels of {chosen.name} are not made from subscriptions.")
    if complete_until is None or subscriptions.empty:
        raise WorkFailedError(
            f"There are no subscription events, so nobody is known to have left and {chosen.name} cannot be learnt. "
            "Load them with `bellwether ingest --subscriptions FILE`."
        )
    departures = churn_events(
        subscriptions,
        complete_until=complete_until,
        renewal_grace_days=settings.renewal_grace_days,
        reactivation_days=settings.reactivation_days,
    )
    closed = [cutoff for cutoff in sorted(cutoffs) if is_closed(chosen, cutoff, complete_until=complete_until)]
    left_out: dict[str, int] = {}
    parts = []
    for cutoff in closed:
        status = status_at(chosen, subscriptions, cutoff, settings)
        for reason, count in status[status != Status.OK].value_counts().items():
            left_out[str(reason)] = left_out.get(str(reason), 0) + int(count)
        part = _outcome(chosen, status.index[status == Status.OK], cutoff, departures)
        left_out[GONE] = left_out.get(GONE, 0) + int(part["gone"].sum())
        parts.append(part[~part["gone"]].drop(columns="gone"))
    frame = pd.concat(parts, ignore_index=True) if parts else _outcome(chosen, pd.Index([]), None, departures)
    return Labels(frame, tuple(sorted(set(cutoffs) - set(closed))), left_out)


def _outcome(chosen: Target, accounts: pd.Index, cutoff: datetime | None, departures: pd.DataFrame) -> pd.DataFrame:
    """What became of these accounts after one cutoff."""
    columns = ["account_id", "cutoff", "label", "event_time", "in_lead", "gone"]
    if cutoff is None:
        return pd.DataFrame(columns=columns[:-1])
    at = as_cutoff(cutoff)
    begin, end = label_window(cutoff, lead_days=chosen.lead_days, horizon_days=chosen.horizon_days)
    times = departures["event_time"]
    gone = departures[(times < at) & ~(departures["return_time"] < at)]["account_id"]
    in_lead = departures[(times >= at) & (times < begin)].groupby("account_id")["event_time"].min()
    in_window = departures[(times >= begin) & (times < end)].groupby("account_id")["event_time"].min()
    names = pd.Series(accounts, dtype=object)
    lead_time, window_time = names.map(in_lead), names.map(in_window)
    return pd.DataFrame(
        {
            "account_id": names,
            "cutoff": pd.Series(at, index=names.index, dtype="datetime64[us, UTC]"),
            "label": window_time.notna().astype("int64"),
            "event_time": lead_time.fillna(window_time).astype("datetime64[us, UTC]"),
            "in_lead": lead_time.notna(),
            "gone": names.isin(gone),
        },
        columns=columns,
    )


def _next(times: "pd.Series[pd.Timestamp]", account: "pd.Series[str]") -> "pd.Series[pd.Timestamp]":
    """The next time after this row that is not null, within the account."""
    return times.groupby(account).shift(-1).groupby(account).bfill()
