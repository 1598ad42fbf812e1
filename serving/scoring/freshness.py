"""Says whether a score can be given, and whether it can still be believed."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["Freshness", "Status", "age_hours", "judge", "old_features"]


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
_NO_CALLS = "no_calls: this account has never made a call, so there is nothing to judge it by."
_INFINITE = "infinite_feature: infinite values make no score: {}. Mend the source they come from, then build again."


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
    """

    measured_at: datetime
    stale_after_hours: float
    source_complete_until: datetime | None

    def too_late(self, as_of: datetime) -> str | None:
        """What to say when features of this cutoff are too old, or stand on a log that ends too early."""
        old = old_features(age_hours(as_of, self.measured_at), self.stale_after_hours)
        return old or self.late_source(as_of)

    def late_source(self, as_of: datetime) -> str | None:
        """What to say when the log itself ends too early: then silence is the pipeline's, not the customer's."""
        until = self.source_complete_until
        # A log may carry its newest event some hours before the cutoff; a day and a half of nothing at all is a fault.
        if until is None or age_hours(until, as_of) <= self.stale_after_hours:
            return None
        return f"source_late: the call log ends at {until:%Y-%m-%d %H:%M} UTC, so a silent account may not be silent."


def age_hours(as_of: datetime, moment: datetime) -> float:
    """Hours from ``as_of`` to ``moment``, never negative."""
    return max((moment - as_of).total_seconds() / 3600, 0.0)


def old_features(hours: float, stale_after_hours: float) -> str | None:
    """What to say when features of this age are stale; None when they are not."""
    if hours <= stale_after_hours:
        return None
    return f"old_features: the features are {hours:,.0f} hours old; the nightly run is late."


def judge(
    freshness: Freshness,
    *,
    is_known: bool,
    is_mixed: bool,
    applicable: str,
    has_called: bool,
    features_as_of: datetime | None,
    infinite: str | None = None,
) -> tuple[Status, str | None]:
    """Status of one account for one target, and the detail in words; the detail starts with a word for machines.

    Parameters
    ----------
    applicable
        ``ok``, or why the target does not apply (``training.labels.targets.Status``).
    has_called
        Whether the account has ever made a call.
    infinite
        Names of the features the model reads that hold infinite values here.
    """
    if not is_known or features_as_of is None:
        return Status.UNKNOWN_ACCOUNT, "unknown_account: the feature store has no account of this id."
    if applicable != "ok":
        return Status.NOT_APPLICABLE, _NOT_APPLICABLE.get(applicable, f"{applicable}: the target does not apply.")
    if not has_called or infinite:
        return Status.INSUFFICIENT_DATA, _INFINITE.format(infinite) if has_called else _NO_CALLS
    if is_mixed:
        return Status.STALE, "mixed_cutoffs: the store is being filled; no score until every view is of one cutoff."
    late = freshness.too_late(features_as_of)
    return (Status.SCORED, None) if late is None else (Status.STALE, late)
