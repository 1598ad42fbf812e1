"""What can be foretold, and who it can be foretold for as known at a cutoff."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from enum import StrEnum
from typing import Literal

import pandas as pd

from features.exceptions import InputError, listed
from features.home.home import Home
from features.schema import SubscriptionKind
from features.settings.fields import Settings
from features.windows import as_cutoff, days_later, known_before
from training.labels.cancel_notices import keep_what_notices_leave

__all__ = [
    "ACTIVITY",
    "TARGETS",
    "Status",
    "Target",
    "default_target",
    "known_state",
    "plan_ranks",
    "status_at",
    "status_by_calls",
    "target",
]


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


@dataclass(frozen=True)
class Target:
    """One event to foretell.

    Attributes
    ----------
    kind
        Where the label comes from: subscription events, calls, or plan changes.
    horizon_days, lead_days
        The label looks at ``[c + lead_days, c + lead_days + horizon_days)``.
    settlement_days
        Days after an event during which it may still be undone (a cancellation taken back, a term renewed late). Until
        they have passed, the label is open.
    source
        Raw table the labels are made from; its completeness closes them.
    happened
        What a positive account did, in the past tense.
    service
        Feature service its models read: the newest, with what is declared in the settings.
    truth_column
        Column of the simulator's truth with the true risk; None where nothing of the kind is simulated.
    """

    name: str
    kind: Literal["subscription", "inactivity", "upgrade"]
    title: str
    happened: str
    source: Literal["subscriptions", "events"]
    service: str
    truth_column: str | None
    horizon_days: int
    lead_days: int
    settlement_days: int

    @property
    def registered_name(self) -> str:
        """Name of the registered model, and of the MLflow experiment."""
        return f"bellwether-{self.name.replace('_', '-')}"

    @property
    def closing_days(self) -> int:
        """Days from a cutoff until its label is final; also the purge gap between fitting and judging."""
        return self.lead_days + self.horizon_days + self.settlement_days


@dataclass(frozen=True)
class _Kind:
    kind: Literal["subscription", "inactivity", "upgrade"]
    title: str
    happened: str
    source: Literal["subscriptions", "events"]
    service: str
    truth_column: str | None


TARGETS: Mapping[str, _Kind] = {
    "churn": _Kind(
        "subscription", "cancellation or expiry of the subscription", "left", "subscriptions", "churn_v2", "churn_risk"
    ),
    "upsell": _Kind(
        "upgrade", "upgrade to a larger plan or price", "upgraded", "subscriptions", "upsell_v2", "upgrade_risk"
    ),
    "churn_inactivity": _Kind("inactivity", "no call at all", "fell silent", "events", "churn_v2", None),
}
"""Targets by name; :func:`target` adds what is set."""


def target(name: str, home: Home) -> Target:
    """The target of this name under these settings.

    A departure may be undone for some days; an upgrade and a silent month are final when they have happened.

    Raises
    ------
    InputError
        When there is none.
    """
    if name not in TARGETS:
        raise InputError(f"There is no target {name!r}. Choose one of: {listed(TARGETS)}.")
    chosen = TARGETS[name]
    newest = home.catalog.newest
    undone = max(home.settings.renewal_grace_days, home.settings.reactivation_days)
    return Target(
        name=name,
        horizon_days=home.settings.horizon_days,
        lead_days=home.settings.lead_days,
        settlement_days=undone if chosen.kind == "subscription" else 0,
        **{
            **{field.name: getattr(chosen, field.name) for field in fields(chosen)},
            "service": newest.get(chosen.service, chosen.service),
        },
    )


def default_target(*, has_subscriptions: bool) -> str:
    """The target of whoever names none: churn, or silence where no subscription says who left.

    >>> default_target(has_subscriptions=False)
    'churn_inactivity'
    """
    return "churn" if has_subscriptions else "churn_inactivity"


def known_state(
    subscriptions: pd.DataFrame, cutoff: datetime, *, grace_hours: float, renewal_grace_days: int
) -> pd.DataFrame:
    """Subscription state of each account as known at the cutoff: one row per account, indexed by ``account_id``.

    The state is the row with the largest (``occurred_at``, ``known_at``, ``source_order``) among those with
    ``occurred_at < c`` and ``known_at < c + grace``; what a ``cancel_notice`` leaves empty is as the last other row
    said. ``spell_start`` is when the account last became a customer: its
    first start, a reactivation, or a start after a cancellation or an expiry. It is null when no such row is known,
    since the first row of a log is not a sign-up.
    """
    in_order = _known(subscriptions, cutoff, grace_hours=grace_hours).sort_values(
        ["account_id", "occurred_at", "known_at", "source_order"], kind="stable"
    )
    known = keep_what_notices_leave(in_order)
    before = known.groupby("account_id", sort=False)[["kind", "term_end"]].shift(1)
    is_start = known["kind"] == SubscriptionKind.START
    is_return = (before["kind"] == SubscriptionKind.CANCEL) | (
        days_later(before["term_end"], renewal_grace_days) <= known["occurred_at"]
    )
    is_first_start = is_start & ~known["account_id"].where(is_start).duplicated()
    begins = is_first_start | (is_start & is_return) | (known["kind"] == SubscriptionKind.REACTIVATE)
    began = known[begins].groupby("account_id", sort=False)["occurred_at"].max()
    state = known.drop_duplicates("account_id", keep="last").set_index("account_id")
    return state[["kind", "plan", "mrr", "term_end"]].assign(spell_start=began.reindex(state.index))


def plan_ranks(subscriptions: pd.DataFrame, settings: Settings) -> Mapping[str, int]:
    """Rank of each plan, 0 the smallest; plans that share a rank are no upgrade of each other.

    The order of the setting ``plan_ranks``, where a plan that is not in it has no rank; else by the median MRR of a
    plan over these subscription events, where a plan without MRR has none.
    """
    if settings.plan_ranks:
        return {plan: rank for rank, plan in enumerate(settings.plan_ranks)}
    medians = subscriptions.groupby("plan")["mrr"].median().dropna()
    return {str(plan): int(rank) - 1 for plan, rank in medians.rank(method="dense").items()}


def status_at(chosen: Target, subscriptions: pd.DataFrame, cutoff: datetime, settings: Settings) -> "pd.Series[str]":
    """Status of each account with a subscription event known at the cutoff, indexed by ``account_id``.

    A pure function of what was known at the cutoff, used by training and serving alike. An account that is not in the
    result has :attr:`Status.NO_SUBSCRIPTION`. A term that ended may still be renewed for ``renewal_grace_days``; until
    then the account counts as subscribed. Which plan is the top one is also as known at the cutoff.

    Raises
    ------
    InputError
        For a target whose population is not made from subscriptions: see :func:`status_by_calls`.
    """
    if chosen.kind == "inactivity":
        raise InputError(f"The population of {chosen.name} is not made from subscriptions.")
    state = known_state(
        subscriptions, cutoff, grace_hours=settings.grace_hours, renewal_grace_days=settings.renewal_grace_days
    )
    moment = as_cutoff(cutoff)
    status = pd.Series(str(Status.OK), index=state.index, dtype=object, name="status")
    if chosen.kind == "upgrade":
        known = _known(subscriptions, cutoff, grace_hours=settings.grace_hours)
        ranks = plan_ranks(known, settings)
        # A renewal that names no plan keeps the plan there was: as the labels see it.
        named = known[~known["kind"].isin((SubscriptionKind.CANCEL, SubscriptionKind.CANCEL_NOTICE))]
        ordered = named.sort_values(["account_id", "occurred_at", "known_at", "source_order"], kind="stable")
        held = ordered.groupby("account_id")["plan"].last().reindex(state.index)  # last() passes over nulls
        status[held.map(ranks) == max(ranks.values(), default=None)] = str(Status.TOP_PLAN)
    status[state["spell_start"] > days_later(moment, -settings.minimum_tenure_days)] = str(Status.TOO_NEW)
    status[days_later(state["term_end"], settings.renewal_grace_days) <= moment] = str(Status.EXPIRED)
    status[state["kind"] == SubscriptionKind.CANCEL] = str(Status.CANCELLED)
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


def _known(subscriptions: pd.DataFrame, cutoff: datetime, *, grace_hours: float) -> pd.DataFrame:
    """The subscription events known at the cutoff."""
    return subscriptions[
        (subscriptions["occurred_at"] < as_cutoff(cutoff))
        & (subscriptions["known_at"] < known_before(cutoff, grace_hours=grace_hours))
    ]
