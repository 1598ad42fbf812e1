"""Labels: what became of each account after a cutoff, from everything known at ``complete_until``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import pandas as pd

from features.exceptions import InputError, WorkFailedError
from features.settings.fields import Settings
from features.subscriptions.known import known_states, states_at, states_of
from features.windows import as_cutoff, days_later, label_window
from training.labels.departures import churn_events
from training.labels.eligibility import Status, status_by_calls, status_of
from training.labels.excluded import Excluded
from training.labels.targets import Target, plan_ranks
from training.labels.upgrades import plan_states, upgrades_after

__all__ = ["GONE", "Labels", "churn_events", "is_closed", "label", "label_silence"]


GONE = "already_gone"
"""Accounts that had left before the cutoff although it was not yet known: left out, counted."""

_COLUMNS = ("account_id", "cutoff", "label", "event_time", "in_lead")


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
    excluded
        Abnormal spans, with how many closed cutoffs are left out for each.
    """

    frame: pd.DataFrame
    open_cutoffs: tuple[datetime, ...]
    left_out: Mapping[str, int]
    excluded: tuple[Excluded, ...] = ()


def is_closed(target: Target, cutoff: datetime, *, complete_until: datetime) -> bool:
    """Whether the label at the cutoff is final: its window has passed, and nothing in it can be undone any more."""
    window_end = label_window(cutoff, lead_days=target.lead_days, horizon_days=target.horizon_days)[1]
    return bool(days_later(window_end, target.settlement_days) <= complete_until)


def label(
    target: Target,
    subscriptions: pd.DataFrame,
    cutoffs: Sequence[datetime],
    *,
    complete_until: datetime | None,
    settings: Settings,
) -> Labels:
    """Label the population of every closed cutoff, for a target that is made from subscription events.

    Raises
    ------
    WorkFailedError
        When there are no subscription events.
    InputError
        For a target whose labels are made otherwise.
    """
    if target.kind == "inactivity":
        raise InputError(f"The labels of {target.name} are not made from subscriptions.")
    if complete_until is None or subscriptions.empty:
        raise WorkFailedError(
            f"There are no subscription events, so nobody is known to have {target.happened} and {target.name} cannot "
            "be learnt. Load them with `bellwether ingest --subscriptions FILE --backfill`, or train from the calls "
            "alone with `bellwether train --target churn_inactivity`."
        )
    known = subscriptions[subscriptions["known_at"] <= complete_until]
    days = {"renewal_grace_days": settings.renewal_grace_days, "reactivation_days": settings.reactivation_days}
    states = plan_states(states_of(known, **days), plan_ranks(known, settings))
    departures = churn_events(subscriptions, complete_until=complete_until, **days)
    as_known = known_states(subscriptions, grace_hours=settings.grace_hours, **days)

    def at(cutoff: datetime) -> _Known:
        moment = as_cutoff(cutoff)
        begin, end = label_window(cutoff, lead_days=target.lead_days, horizon_days=target.horizon_days)
        left, came_back = departures["event_time"], departures["return_time"]
        events = departures if target.kind == "subscription" else upgrades_after(states, cutoff)
        return _Known(
            status=status_of(target, states_at(as_known, cutoff), subscriptions, cutoff, settings),
            gone=departures[(left < moment) & ~(came_back < moment)]["account_id"],
            lead=_first(events, moment, begin),
            window=_first(events, begin, end),
        )

    return _labels(target, cutoffs, complete_until, at)


def label_silence(
    target: Target,
    calls: pd.DataFrame,
    activity: Callable[[datetime], "pd.Series[float]"],
    cutoffs: Sequence[datetime],
    *,
    complete_until: datetime | None,
) -> Labels:
    """Label the population of every closed cutoff with whether no call at all follows in the label window.

    Nobody is left out for the lead: a silence has no moment. The event of a silent row is the account's last call
    before the window, so that every cutoff inside one silence tells of one event.

    Parameters
    ----------
    calls
        One row per account and UTC day with customer traffic of any status, everything known by now: ``account_id``,
        ``event_day`` (midnight) and ``last_call``.
    activity
        Cutoff to the feature :data:`training.labels.eligibility.ACTIVITY` of every account at it, by ``account_id``.

    Raises
    ------
    WorkFailedError
        When there are no calls.
    """
    if complete_until is None or calls.empty:
        raise WorkFailedError(
            f"There are no calls, so nobody is known to have {target.happened} and {target.name} cannot be learnt. "
            "Load them with `bellwether ingest --events FILE`."
        )

    def at(cutoff: datetime) -> _Known:
        begin, end = label_window(cutoff, lead_days=target.lead_days, horizon_days=target.horizon_days)
        account, day = calls["account_id"], calls["event_day"]
        is_heard = account.isin(account[(day >= begin) & (day < end)])
        return _Known(
            status=status_by_calls(activity(cutoff)),
            gone=account[:0],
            lead=calls["last_call"][:0],
            window=calls[(day < begin) & ~is_heard].groupby("account_id")["last_call"].max(),
        )

    return _labels(target, cutoffs, complete_until, at)


@dataclass(frozen=True)
class _Known:
    """What is known about one cutoff: status by account, who was gone unknown to us, first event by account."""

    status: "pd.Series[str]"
    gone: "pd.Series[str]"
    lead: "pd.Series[pd.Timestamp]"
    window: "pd.Series[pd.Timestamp]"


def _labels(
    target: Target, cutoffs: Sequence[datetime], complete_until: datetime, at: Callable[[datetime], _Known]
) -> Labels:
    closed = [cutoff for cutoff in sorted(cutoffs) if is_closed(target, cutoff, complete_until=complete_until)]
    left_out: dict[str, int] = {}
    parts = [pd.DataFrame(columns=list(_COLUMNS))] if not closed else []
    for cutoff in closed:
        outcome = at(cutoff)
        for reason, count in outcome.status[outcome.status != Status.OK].value_counts().items():
            left_out[str(reason)] = left_out.get(str(reason), 0) + int(count)
        accounts = outcome.status.index[outcome.status == Status.OK]
        is_gone = accounts.isin(outcome.gone)
        left_out[GONE] = left_out.get(GONE, 0) + int(is_gone.sum())
        parts.append(_outcome(accounts[~is_gone], cutoff, outcome))
    return Labels(pd.concat(parts, ignore_index=True), tuple(sorted(set(cutoffs) - set(closed))), left_out)


def _outcome(accounts: "pd.Index[str]", cutoff: datetime, known: _Known) -> pd.DataFrame:
    """What became of these accounts after one cutoff."""
    names = pd.Series(accounts, dtype=object)
    lead_time = pd.to_datetime(names.map(known.lead), utc=True)
    window_time = pd.to_datetime(names.map(known.window), utc=True)
    return pd.DataFrame(
        {
            "account_id": names,
            "cutoff": pd.Series(as_cutoff(cutoff), index=names.index, dtype="datetime64[us, UTC]"),
            "label": window_time.notna().astype("int64"),
            "event_time": lead_time.fillna(window_time).astype("datetime64[us, UTC]"),
            "in_lead": lead_time.notna(),
        },
        columns=list(_COLUMNS),
    )


def _first(events: pd.DataFrame, begin: datetime, end: datetime) -> "pd.Series[pd.Timestamp]":
    """The first event of each account in ``[begin, end)``."""
    times = events["event_time"]
    first: pd.Series[pd.Timestamp] = events[(times >= begin) & (times < end)].groupby("account_id")["event_time"].min()
    return first
