"""The stores of a home."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from features.storage.lock import shared_by_readers
from features.storage.manifest import Manifest
from features.storage.store import ManifestStore, StoreWriter
from features.storage.verification import Verification

__all__ = ["SteadyStores", "Stores", "feature_partition"]


@dataclass(frozen=True)
class Stores:
    """Every store of Parquet files below one folder.

    Attributes
    ----------
    root
        The folder.
    verification
        Remembers which of their files were found whole.
    """

    root: Path
    verification: Verification = field(default_factory=Verification)

    @property
    def events(self) -> ManifestStore:
        """One partition ``day=YYYY-MM-DD`` per event day (UTC), one file ``events`` in each."""
        return self._store("events")

    @property
    def raw(self) -> ManifestStore:
        """The record tables (one partition and one file each), and what is known about all four raw tables."""
        return self._store("raw")

    @property
    def quarantine(self) -> ManifestStore:
        """Rows that were not stored: one row per refused row, with its reason, file and row number."""
        return self._store("quarantine")

    @property
    def rollups(self) -> ManifestStore:
        """Partitions ``day=YYYY-MM-DD``, one logical file per rollup; and closed months summed up."""
        return self._store("rollups")

    @property
    def metrics(self) -> ManifestStore:
        """Partitions ``<metric>/day=YYYY-MM-DD``, with what was counted and what a cutoff may see among the facts."""
        return self._store("metrics")

    @property
    def tables(self) -> ManifestStore:
        """Rows of external tables: partitions ``<table>/day=YYYY-MM-DD``, by the first cutoff that may see them."""
        return self._store("tables")

    @property
    def features(self) -> ManifestStore:
        """Partitions ``<group>/cutoff=YYYY-MM-DD``, one logical file ``<group>`` in each."""
        return self._store("features")

    def named(self, name: str) -> ManifestStore:
        """The store of that name."""
        return self._store(name)

    def _store(self, name: str) -> ManifestStore:
        return ManifestStore(self.root / name, self.verification)


@dataclass(frozen=True)
class SteadyStores(Stores):
    """The stores, each as it is when it is first looked at; made by :meth:`features.home.home.Home.snapshot`.

    Attributes
    ----------
    readers
        Closes what keeps the listed files from being swept.
    """

    readers: ExitStack = field(kw_only=True)
    _opened: dict[str, ManifestStore] = field(default_factory=dict)

    def _store(self, name: str) -> ManifestStore:
        if name not in self._opened:
            self._opened[name] = _SteadyStore(self.root / name, self.verification, self.readers)
        return self._opened[name]


class _SteadyStore(ManifestStore):
    """A store whose manifest is read once, and whose files stay until its readers are closed.

    It is written as it is now, not as it was: a writer that began with an old manifest would lose what came between.
    """

    def __init__(self, root: Path, verification: Verification, readers: ExitStack) -> None:
        super().__init__(root, verification)
        self._readers = readers
        self._manifest: Manifest | None = None

    def manifest(self) -> Manifest:
        """The state at the first call; see :meth:`ManifestStore.manifest`."""
        if self._manifest is None:
            if self.root.is_dir() and (descriptor := shared_by_readers(self.root)) is not None:
                self._readers.callback(os.close, descriptor)
            self._manifest = super().manifest()
        return self._manifest

    @contextmanager
    def writer(self) -> Iterator[StoreWriter]:
        """Change the store as it is now; see :meth:`ManifestStore.writer`."""
        with ManifestStore(self.root, self.verification).writer() as writer:
            yield writer


def feature_partition(group: str, cutoff: datetime) -> str:
    """Where the store keeps a group's rows of a cutoff."""
    return f"{group}/cutoff={cutoff.date().isoformat()}"
