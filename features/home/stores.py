"""The stores of a home."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from features.storage.store import ManifestStore

__all__ = ["Stores", "feature_partition"]


@dataclass(frozen=True)
class Stores:
    """Every store of Parquet files below one folder.

    Attributes
    ----------
    root
        The folder.
    """

    root: Path

    @property
    def events(self) -> ManifestStore:
        """One partition ``day=YYYY-MM-DD`` per event day (UTC), one file ``events`` in each."""
        return ManifestStore(self.root / "events")

    @property
    def raw(self) -> ManifestStore:
        """The record tables (one partition and one file each), and what is known about all four raw tables."""
        return ManifestStore(self.root / "raw")

    @property
    def quarantine(self) -> ManifestStore:
        """Rows that were not stored: one row per refused row, with its reason, file and row number."""
        return ManifestStore(self.root / "quarantine")

    @property
    def rollups(self) -> ManifestStore:
        """Partitions ``day=YYYY-MM-DD``, one logical file per rollup; and closed months summed up."""
        return ManifestStore(self.root / "rollups")

    @property
    def metrics(self) -> ManifestStore:
        """Partitions ``<metric>/day=YYYY-MM-DD``; notes of how many events and of what is seen."""
        return ManifestStore(self.root / "metrics")

    @property
    def tables(self) -> ManifestStore:
        """Rows of external tables: partitions ``<table>/day=YYYY-MM-DD``, by the first cutoff that may see them."""
        return ManifestStore(self.root / "tables")

    @property
    def features(self) -> ManifestStore:
        """Partitions ``<group>/cutoff=YYYY-MM-DD``, one logical file ``<group>`` in each."""
        return ManifestStore(self.root / "features")


def feature_partition(group: str, cutoff: datetime) -> str:
    """Where the store keeps a group's rows of a cutoff."""
    return f"{group}/cutoff={cutoff.date().isoformat()}"
