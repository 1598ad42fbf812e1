"""Says whether a score can be given, and whether it can still be believed."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from features.exceptions import WorkFailedError
from features.home.home import Home
from features.storage.state_file import recall

__all__ = [
    "MIXED_BUILDS",
    "MIXED_CUTOFFS",
    "SOURCE_LATE",
    "Freshness",
    "Status",
    "age_hours",
    "in_words",
    "judge",
    "old_features",
    "refused_night",
]

SOURCE_LATE = "source_late"
"""What the home remembers of a night that scored nobody, since the call log ends too early."""


MIXED_CUTOFFS, MIXED_BUILDS = "mixed_cutoffs", "mixed_builds"
"""How the views of one account may fail to belong together."""


class Status(StrEnum):
    """What an answer about one account and target is."""

    SCORED = "scored"
    STALE = "stale"
    NOT_APPLICABLE = "not_applicable"
    INSUFFICIENT_DATA = "insufficient_data"
    UNKNOWN_ACCOUNT = "unknown_account"


_NOT_APPLICABLE = {
    "cancelled": "cancelled: the subscription had ended by the time of these features.",
    "expired": "expired: the term had ended and was not renewed by the time of these features.",
    "too_new": "too_new: this became an account too recently to be judged; see the setting minimum_tenure_days.",
    "no_subscription": "no_subscription: no subscription of this account is known.",
    "top_plan": "top_plan: the account is on the largest plan there is.",
    "no_recent_calls": "no_recent_calls: the account made no call in the last 28 days, so it is silent already.",
}
_CODE = re.compile(r"(^|(?<=[.] ))[a-z]+(?:_[a-z]+)*: (.)")
_NO_CALLS = "no_calls: this account has never made a call, so there is nothing to judge it by."
_INFINITE = "infinite_feature: infinite values make no score: {}. Mend the source they come from, then build again."


_MIXED = {
    MIXED_CUTOFFS: "the store is being filled; no score until every view is of one cutoff.",
    MIXED_BUILDS: "the store is being filled again; no score until every view is of one build of the cutoff.",
}


@dataclass(frozen=True)
class Freshness:
    """What is true of every account of one answer.

    Attributes
    ----------
    measured_at
        The service's clock; for a batch run its own as-of.
    stale_after_hours
        Features older than this are stale.
    source_complete_until
        The moment up to which the call log is known; None when nobody knows.
    refused_night
        The as-of of the last night, where that found the source late and scored nobody.
    """

    measured_at: datetime
    stale_after_hours: float
    source_complete_until: datetime | None
    refused_night: datetime | None = None

    def too_late(self, as_of: datetime) -> str | None:
        """What to say when features of this cutoff are too old, or stand on a log that ends too early."""
        old = old_features(
            as_of, self.measured_at, stale_after_hours=self.stale_after_hours, refused_night=self.refused_night
        )
        return old or self.late_source(as_of)

    def late_source(self, as_of: datetime) -> str | None:
        """What to say when the log itself ends too early: then silence is the pipeline's, not the customer's."""
        until = self.source_complete_until
        # A log may carry its newest event some hours before the cutoff; a day and a half of nothing at all is a fault.
        if until is None or age_hours(until, as_of) <= self.stale_after_hours:
            return None
        return f"source_late: the call log ends at {until:%Y-%m-%d %H:%M} UTC, so a silent account may not be silent."


def in_words(detail: str | None) -> str:
    """A detail without the words for machines that its sentences begin with.

    >>> in_words("expired: the term had ended. churn_risk_high: no upgrade is offered.")
    'The term had ended. No upgrade is offered.'
    """
    return _CODE.sub(lambda match: match[2].upper(), detail or "")


def age_hours(as_of: datetime, moment: datetime) -> float:
    """Hours from ``as_of`` to ``moment``, never negative."""
    return max((moment - as_of).total_seconds() / 3600, 0.0)


def old_features(
    as_of: datetime, now: datetime, *, stale_after_hours: float, refused_night: datetime | None
) -> str | None:
    """What to say when features of this cutoff are not to be believed at ``now``; None when they are.

    They are of a time that has not come, or too old: since the source is late, or the night.
    """
    if as_of > now:
        return (
            f"clock_ahead: the features are of {as_of:%Y-%m-%d}, which has not come; a clock was ahead, or is behind "
            "now. `bellwether doctor` says more."
        )
    hours = age_hours(as_of, now)
    if hours <= stale_after_hours:
        return None
    if refused_night is not None and refused_night > as_of:
        return (
            f"source_late: the night of {refused_night:%Y-%m-%d} found the call log to end too early and scored "
            f"nobody; the features are {hours:,.0f} hours old."
        )
    return f"old_features: the features are {hours:,.0f} hours old; the nightly run is late."


def refused_night(home: Home) -> datetime | None:
    """The as-of of the last night, where that found the source late and scored nobody."""
    try:
        state = recall(home.nightly_state)
    except WorkFailedError:  # the next night writes it anew
        return None
    return datetime.fromisoformat(state["as_of"]) if state.get("state") == SOURCE_LATE else None


def judge(
    freshness: Freshness,
    *,
    is_known: bool,
    mixture: str | None,
    applicable: str,
    has_called: bool,
    features_as_of: datetime | None,
    infinite: str | None = None,
) -> tuple[Status, str | None]:
    """Status of one account for one target, and the detail in words; the detail starts with a word for machines.

    Parameters
    ----------
    mixture
        :data:`MIXED_CUTOFFS` or :data:`MIXED_BUILDS` where the account's views do not belong together.
    applicable
        ``ok``, or why the target does not apply (``training.labels.eligibility.Status``).
    has_called
        Whether the account has ever made a call.
    infinite
        Names of the features the model reads that hold infinite values here.
    """
    if not is_known or features_as_of is None:
        return Status.UNKNOWN_ACCOUNT, "unknown_account: the feature store has no account of this id."
    if applicable != "ok":
        return Status.NOT_APPLICABLE, _NOT_APPLICABLE.get(applicable, f"{applicable}: the target does not apply.")
    if mixture is not None:  # before anything that is read from the rows themselves
        return Status.STALE, f"{mixture}: {_MIXED[mixture]}"
    if not has_called or infinite:
        return Status.INSUFFICIENT_DATA, _INFINITE.format(infinite) if has_called else _NO_CALLS
    late = freshness.too_late(features_as_of)
    return (Status.SCORED, None) if late is None else (Status.STALE, late)
