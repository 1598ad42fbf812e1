"""Where the stores of a home lie."""

from datetime import datetime
from typing import TYPE_CHECKING

from features.settings.fields import Settings
from features.storage.store import ManifestStore

if TYPE_CHECKING:
    pass

__all__ = [
    "events_store",
    "feature_partition",
    "feature_store",
    "metric_store",
    "quarantine_store",
    "raw_store",
    "rollup_store",
    "table_store",
]


def rollup_store(settings: Settings) -> ManifestStore:
    """The store of the rollups: partitions ``day=YYYY-MM-DD``, one logical file per rollup."""
    return ManifestStore(settings.home / "rollups")


def table_store(settings: Settings) -> ManifestStore:
    """The store of the rows: partitions ``<table>/day=YYYY-MM-DD``, by the first cutoff that may see them."""
    return ManifestStore(settings.home / "tables")


def events_store(settings: Settings) -> ManifestStore:
    """The event store: one partition ``day=YYYY-MM-DD`` per event day (UTC), one file ``events`` in each."""
    return ManifestStore(settings.home / "events")


def raw_store(settings: Settings) -> ManifestStore:
    """The record tables (one partition and one file each), and what is known about all four raw tables."""
    return ManifestStore(settings.home / "raw")


def quarantine_store(settings: Settings) -> ManifestStore:
    """Rows that were not stored: one row per refused row, with its reason, file and row number."""
    return ManifestStore(settings.home / "quarantine")


def feature_store(settings: Settings) -> ManifestStore:
    """The store of the features: partitions ``<group>/cutoff=YYYY-MM-DD``, one logical file ``<group>`` in each."""
    return ManifestStore(settings.home / "features")


def feature_partition(group: str, cutoff: datetime) -> str:
    """Where the store keeps a group's rows of a cutoff."""
    return f"{group}/cutoff={cutoff.date().isoformat()}"


def metric_store(settings: Settings) -> ManifestStore:
    """The store of the counts: partitions ``<metric>/day=YYYY-MM-DD``; notes of how many events and of what is seen."""
    return ManifestStore(settings.home / "metrics")
