"""The results of the time-machine audit: what was compared, what differs, and where a difference comes from."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from features.audit.differences import is_equal

__all__ = ["ROW", "Cause", "OnlineAudit", "OnlineDifference", "PairDifference", "StoreAudit"]

ROW = "(row)"
"""Stands for the feature where a whole row is there on one side only, or is of another cutoff."""


class Cause(StrEnum):
    """Where a difference comes from, as far as it can be told."""

    FUTURE = "the future"
    """It changes with what came later: its definition reads past the cutoff, or ignores when a row was known."""
    MEANING = "another meaning"
    """It is made otherwise today: its definition changed without a new name, or raw rows changed behind it."""
    TRAINING = "another path"
    """The files are as they should be, and Feast gives training something else."""


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
        As Feast gives it to training; null for a row it was not asked for.
    """

    account_id: str
    cutoff: datetime
    feature: str
    stored: object
    rebuilt: object
    exchanged: object
    historical: object

    @property
    def is_rebuilt_otherwise(self) -> bool:
        """Whether the past alone gives something else than what is stored."""
        return not is_equal(self.stored, self.rebuilt)

    @property
    def moves_with_the_future(self) -> bool:
        """Whether another future gives something else than the past alone."""
        return not is_equal(self.rebuilt, self.exchanged)

    @property
    def is_given_otherwise(self) -> bool:
        """Whether training is given something else than what is stored."""
        return self.feature != ROW and not is_equal(self.stored, self.historical)


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
    moving
        Feature to the (account, cutoff) pairs, of everybody at these cutoffs, that another future changes.
    notes
        Sentences about what was not compared.
    """

    seed: int
    features: int
    accounts: Mapping[datetime, int]
    exchanged_rows: Mapping[datetime, int]
    moving: Mapping[str, int]
    differences: tuple[PairDifference, ...]
    online: OnlineAudit
    notes: tuple[str, ...]

    @property
    def pairs(self) -> int:
        """(account, cutoff) pairs compared."""
        return sum(self.accounts.values())

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not (self.moving or self.differences or self.online.differences)

    def cause(self, difference: PairDifference) -> Cause:
        """The first cause that fits a difference.

        What came late for one account may be another's in the exchanged future.
        """
        if difference.moves_with_the_future or (difference.is_rebuilt_otherwise and difference.feature in self.moving):
            return Cause.FUTURE
        return Cause.MEANING if difference.is_rebuilt_otherwise else Cause.TRAINING
