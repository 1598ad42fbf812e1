"""What can be foretold: the targets, and the order of plans that says what an upgrade is."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

import pandas as pd

from features.exceptions import InputError, listed
from features.home.home import Home
from features.settings.fields import Settings
from training.labels.names import registered_name

__all__ = [
    "TARGETS",
    "Target",
    "default_target",
    "plan_ranks",
    "target",
]


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
    known_tells
        Families of features that may tell the label alone, since it is made of what they count.
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
    known_tells: tuple[str, ...] = ()

    @property
    def registered_name(self) -> str:
        """Name of the registered model, and of the MLflow experiment."""
        return registered_name(self.name)

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
    known_tells: tuple[str, ...] = ()


TARGETS: Mapping[str, _Kind] = {
    "churn": _Kind(
        "subscription", "cancellation or expiry of the subscription", "left", "subscriptions", "churn_v3", "churn_risk"
    ),
    "upsell": _Kind(
        "upgrade", "upgrade to a larger plan or price", "upgraded", "subscriptions", "upsell_v3", "upgrade_risk"
    ),
    "churn_inactivity": _Kind(
        "inactivity", "no call at all", "fell silent", "events", "churn_v3", None, ("silence", "usage_level")
    ),
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
    kind = TARGETS[name]
    newest = home.catalog.newest
    undone = max(home.settings.renewal_grace_days, home.settings.reactivation_days)
    return Target(
        name=name,
        horizon_days=home.settings.horizon_days,
        lead_days=home.settings.lead_days,
        settlement_days=undone if kind.kind == "subscription" else 0,
        **{
            **{field.name: getattr(kind, field.name) for field in fields(kind)},
            "service": newest.get(kind.service, kind.service),
        },
    )


def default_target(*, has_subscriptions: bool) -> str:
    """The target of whoever names none: churn, or silence where no subscription says who left.

    >>> default_target(has_subscriptions=False)
    'churn_inactivity'
    """
    return "churn" if has_subscriptions else "churn_inactivity"


def plan_ranks(subscriptions: pd.DataFrame, settings: Settings) -> Mapping[str, int]:
    """Rank of each plan, 0 the smallest; plans that share a rank are no upgrade of each other.

    The order of the setting ``plan_ranks``, where a plan that is not in it has no rank; else by the median MRR of a
    plan over these subscription events, where a plan without MRR has none.
    """
    if settings.plan_ranks:
        return {plan: rank for rank, plan in enumerate(settings.plan_ranks)}
    medians = subscriptions.groupby("plan")["mrr"].median().dropna()
    return {str(plan): int(rank) - 1 for plan, rank in medians.rank(method="dense").items()}
