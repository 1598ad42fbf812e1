"""Says in words why rows are not learnt from and judged by."""

from collections.abc import Mapping

from features.exceptions import counted
from training.labels.eligibility import Status
from training.labels.labels import GONE
from training.labels.targets import TARGETS

__all__ = ["IN_LEAD", "LEFT_OUT", "in_words"]


IN_LEAD = "event in the lead"
"""Rows whose event came before the label window: too soon for a warning to be of use."""

LEFT_OUT = "rows left out: "
"""What the names of counts of such rows begin with; then comes the reason."""

_ALREADY: Mapping[str, str] = {
    "subscription": "cancelled",
    "upgrade": "upgraded",
    "inactivity": "fallen silent",
}
_WHY: Mapping[str, str] = {
    Status.NO_SUBSCRIPTION: "the account had no subscription",
    Status.CANCELLED: "the subscription was cancelled",
    Status.EXPIRED: "the term of the subscription had ended",
    Status.TOO_NEW: "the account was too new a customer",
    Status.TOP_PLAN: "the account was on the largest plan already",
    Status.NO_RECENT_CALLS: "the account had not called for 28 days",
    GONE: "the account had gone already, which was not known yet",
}


def in_words(reason: str, count: int, *, target: str) -> str:
    """How many rows were left out, and why.

    >>> in_words("event in the lead", 145, target="churn")
    '145 rows left out: the account had already cancelled inside the warning time'
    """
    if reason == IN_LEAD:
        why = f"the account had already {_ALREADY[TARGETS[target].kind]} inside the warning time"
    else:
        why = _WHY.get(reason, reason)
    return f"{counted(count, 'row|rows')} left out: {why}"
