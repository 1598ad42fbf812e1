"""Who a target applies to, as known at a cutoff: who may be learnt from and scored, and why others not."""

from datetime import datetime
from enum import StrEnum

import pandas as pd

from features.exceptions import InputError
from features.settings.fields import Settings
from features.subscriptions.known import state_known_at
from features.windows import as_cutoff, days_later, known_before
from training.labels.targets import Target, plan_ranks

__all__ = ["ACTIVITY", "Status", "status_at", "status_by_calls", "status_of"]


ACTIVITY = "calls_28d"
"""The feature that decides who is active: calls of any status in ``[c - 28 d, c)``, as known at the cutoff."""


class Status(StrEnum):
    """Whether a target applies to an account at a cutoff, and if not, why."""

    OK = "ok"
    NO_SUBSCRIPTION = "no_subscription"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    TOO_NEW = "too_new"
    TOP_PLAN = "top_plan"
    NO_RECENT_CALLS = "no_recent_calls"


def status_at(target: Target, subscriptions: pd.DataFrame, cutoff: datetime, settings: Settings) -> "pd.Series[str]":
    """Status of each account with a subscription event known at the cutoff, indexed by ``account_id``.

    A pure function of what was known at the cutoff, used by training and serving alike. An account that is not in the
    result has :attr:`Status.NO_SUBSCRIPTION`. A term that ended may still be renewed for ``renewal_grace_days``; until
    then the account counts as subscribed. Which plan is the top one is also as known at the cutoff.

    Raises
    ------
    InputError
        For a target whose population is not made from subscriptions: see :func:`status_by_calls`.
    """
    state = state_known_at(
        subscriptions,
        cutoff,
        grace_hours=settings.grace_hours,
        renewal_grace_days=settings.renewal_grace_days,
        reactivation_days=settings.reactivation_days,
    )
    return status_of(target, state, subscriptions, cutoff, settings)


def status_of(
    target: Target, state: pd.DataFrame, subscriptions: pd.DataFrame, cutoff: datetime, settings: Settings
) -> "pd.Series[str]":
    """:func:`status_at` of accounts whose state as known at the cutoff is at hand."""
    if target.kind == "inactivity":
        raise InputError(f"The population of {target.name} is not made from subscriptions.")
    status = pd.Series(str(Status.OK), index=state.index, dtype=object, name="status")
    if target.kind == "upgrade":
        known = subscriptions[
            (subscriptions["occurred_at"] < as_cutoff(cutoff))
            & (subscriptions["known_at"] < known_before(cutoff, grace_hours=settings.grace_hours))
        ]
        ranks = plan_ranks(known, settings)
        status[state["plan"].map(ranks) == max(ranks.values(), default=None)] = str(Status.TOP_PLAN)
    newest = days_later(as_cutoff(cutoff), -settings.minimum_tenure_days)
    status[state["customer_since"] > newest] = str(Status.TOO_NEW)
    status[~state["is_subscribed"]] = str(Status.EXPIRED)
    status[state["is_cancelled"]] = str(Status.CANCELLED)
    return status


def status_by_calls(calls: "pd.Series[float]") -> "pd.Series[str]":
    """Status of each account for a target whose population is made from calls, on the index of ``calls``.

    ``calls`` is the feature :data:`ACTIVITY` at one cutoff: training and serving read the same rows. There is no
    tenure rule.

    >>> status_by_calls(pd.Series({"a": 3.0, "b": 0.0})).tolist()
    ['ok', 'no_recent_calls']
    """
    status = pd.Series(str(Status.NO_RECENT_CALLS), index=calls.index, dtype=object, name="status")
    status[calls >= 1] = str(Status.OK)
    return status
