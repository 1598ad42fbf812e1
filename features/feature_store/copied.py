"""What the rows of the online store were copied from: noted when a copy is whole, so that a change since is told."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from features.definitions.catalog import cutoff_day_field
from features.feature_store.opened import online_table
from features.feature_store.sqlite_files import accounts_stamped
from features.home.home import Home
from features.home.stores import feature_partition
from features.storage.state_file import recall, remember

__all__ = ["Copied", "accounts_online", "copied", "forget_copied", "note_copied"]


@dataclass(frozen=True)
class Copied:
    """One copy of a cutoff's rows into the online store.

    Attributes
    ----------
    cutoff
        As ISO-8601 text.
    accounts
        Rows of each view.
    files
        View to the fingerprint of its feature files, as they were.
    """

    cutoff: str
    accounts: int
    files: Mapping[str, str | None]

    @classmethod
    def of(cls, home: Home, cutoff: datetime, *, accounts: int) -> "Copied":
        """What a copy made now would be of."""
        manifest = home.stores.features.manifest()
        files = {group: manifest.fingerprint(feature_partition(group, cutoff)) for group in home.catalog.groups}
        return cls(cutoff.isoformat(), accounts, files)

    def is_of(self, home: Home, cutoff: datetime) -> bool:
        """Whether the feature files of this cutoff are those that were copied."""
        return self == self.of(home, cutoff, accounts=self.accounts)

    def is_held(self, home: Home) -> bool:
        """Whether every view still has as many accounts as were copied into it.

        Raises
        ------
        DependencyError
            When the online store cannot be read.
        """
        cutoff = datetime.fromisoformat(self.cutoff)
        return all(accounts_online(home, group, cutoff) == self.accounts for group in self.files)


def accounts_online(home: Home, group: str, cutoff: datetime) -> int:
    """Accounts whose online row of a view is of this cutoff."""
    field = cutoff_day_field(group)
    return accounts_stamped(home.feast_online, online_table(home, group), field=field, cutoff=cutoff)


def copied(home: Home) -> Copied | None:
    """The last whole copy; None where there is none, or an earlier version made it.

    Raises
    ------
    WorkFailedError
        When the note cannot be read.
    """
    note = recall(home.feast_copied)
    return Copied(note["cutoff"], note["accounts"], note["files"]) if note else None


def note_copied(home: Home, cutoff: datetime, *, accounts: int) -> None:
    """Remember that every view holds the rows of this cutoff as they are built now."""
    copy = Copied.of(home, cutoff, accounts=accounts)
    remember(home.feast_copied, {"cutoff": copy.cutoff, "accounts": copy.accounts, "files": dict(copy.files)})


def forget_copied(home: Home) -> None:
    """Believe no copy any more."""
    home.feast_copied.unlink(missing_ok=True)
