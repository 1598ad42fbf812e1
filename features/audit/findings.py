"""What the time-machine audit compared, and what it found."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

__all__ = ["ROW", "OnlineAudit", "OnlineDifference", "PairDifference", "StoreAudit"]

ROW = "(row)"
"""Stands for the feature where a whole row is there on one side only, or is of another cutoff."""


@dataclass(frozen=True)
class PairDifference:
    """A feature of one account at one cutoff that is not the same however it comes about; None stands for null.

    Attributes
    ----------
    stored
        In the feature files.
    rebuilt
        From what was known at the cutoff and nothing else.
    exchanged
        Rebuilt with what came later permuted between accounts.
    historical
        As Feast gives it to training.
    """

    account_id: str
    cutoff: datetime
    feature: str
    stored: object
    rebuilt: object
    exchanged: object
    historical: object


@dataclass(frozen=True)
class OnlineDifference:
    """A feature of one account whose online value is not the offline one of the same cutoff; None stands for null."""

    account_id: str
    feature: str
    offline: object
    online: object


@dataclass(frozen=True)
class OnlineAudit:
    """Online rows beside their offline ones.

    Attributes
    ----------
    cutoff
        What the online store holds; None before the first materialization.
    accounts
        Accounts compared; 0 where the offline rows of the cutoff are gone or outdated.
    """

    cutoff: datetime | None
    accounts: int
    differences: tuple[OnlineDifference, ...]


@dataclass(frozen=True)
class StoreAudit:
    """What was compared, and what differs.

    Attributes
    ----------
    accounts
        Accounts compared at each cutoff, ascending.
    exchanged_rows
        Raw rows that another account had in the exchanged future of each cutoff.
    notes
        Sentences about what was not compared.
    """

    seed: int
    features: int
    accounts: Mapping[datetime, int]
    exchanged_rows: Mapping[datetime, int]
    differences: tuple[PairDifference, ...]
    online: OnlineAudit
    notes: tuple[str, ...]

    @property
    def pairs(self) -> int:
        """(account, cutoff) pairs compared."""
        return sum(self.accounts.values())
