"""Where the feature files of a group and cutoff lie, what columns they have, and which cutoffs are whole."""

from collections.abc import Callable, Mapping
from datetime import date, datetime
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from features.definitions.catalog import BUILT_IN, Catalog, cutoff_day_field, spec
from features.exceptions import InputError, WorkFailedError, listed
from features.fingerprint import digest
from features.storage.manifest import Manifest
from features.storage.store import ManifestStore

__all__ = [
    "ARROW_TYPES",
    "JOIN_KEY",
    "TIMESTAMP",
    "accounts_built",
    "build_of",
    "feature_at",
    "file_schema",
    "files_of_group",
    "group_at",
    "rows_at",
    "schema_of",
]


JOIN_KEY = "account_id"
TIMESTAMP = "event_timestamp"
_BUILD_DIGITS = 13  # of hex: a whole number that a double holds exactly

ARROW_TYPES = {"float": pa.float64(), "int": pa.int64(), "category": pa.string()}


def file_schema(group: str, catalog: Catalog = BUILT_IN) -> pa.Schema:
    """Columns of a group's files: one row per account, stamped with the cutoff."""
    return schema_of(group, {feature.name: feature.kind for feature in catalog.features_of_group(group)})


def schema_of(group: str, kinds: Mapping[str, str]) -> pa.Schema:
    """Columns of a group's files, from the kind of each feature of the group, in order."""
    return pa.schema(
        [
            (JOIN_KEY, pa.string()),
            (TIMESTAMP, pa.timestamp("us", tz="UTC")),
            (cutoff_day_field(group), pa.int64()),
            *((name, ARROW_TYPES[kind]) for name, kind in kinds.items()),
        ]
    )


def files_of_group(store: ManifestStore, group: str, *, wanted: Callable[[date], bool]) -> list[Path]:
    """The files the manifest lists for a group's cutoffs that are ``wanted``; a folder may hold others."""
    manifest = store.manifest()
    return [
        file
        for day in _cutoffs(manifest, group)
        if wanted(day)
        for file in store.files(_partition(group, day), manifest=manifest)
    ]


def build_of(manifest: Manifest, day: date) -> int:
    """Which build of a cutoff the manifest lists: a number made of the content of every group's files.

    The same content gives the same number, whichever of its groups were built last.
    """
    at_cutoff = {name: files for name, files in manifest.partitions.items() if name.endswith(f"/cutoff={day}")}
    return int(digest(at_cutoff)[:_BUILD_DIGITS], 16)


def accounts_built(store: ManifestStore, cutoff: datetime, catalog: Catalog = BUILT_IN) -> list[str]:
    """Ids of the accounts that have features at a cutoff, the same in every group.

    Raises
    ------
    InputError
        When a group has no files of the cutoff.
    WorkFailedError
        When the groups differ in their number of accounts.
    """
    day = cutoff.date()
    manifest = store.manifest()
    whole = set.intersection(*(set(_cutoffs(manifest, group)) for group in catalog.groups))
    build = f"`bellwether features build --from {day} --to {day}`"
    if day not in whole:
        built = listed(sorted(whole, reverse=True)) or "none"
        raise InputError(f"The cutoff {day} is not built in every group. Built, newest first: {built}. Run {build}.")
    rows = {
        group: sum(pq.read_metadata(file).num_rows for file in files_of_group(store, group, wanted=day.__eq__))
        for group in catalog.groups
    }
    if len(set(rows.values())) > 1:
        counts = ", ".join(f"{group} {count}" for group, count in rows.items())
        raise WorkFailedError(f"The groups of {day} differ in their accounts: {counts}. Run {build} again.")
    accounts: list[str] = []
    for file in files_of_group(store, catalog.groups[0], wanted=day.__eq__):
        accounts += pq.read_table(file, columns=[JOIN_KEY], partitioning=None)[JOIN_KEY].to_pylist()
    return accounts


def group_at(store: ManifestStore, group: str, cutoff: datetime, catalog: Catalog = BUILT_IN) -> pa.Table:
    """The rows of a group at a cutoff, one per account; empty where nothing is built."""
    files = files_of_group(store, group, wanted=cutoff.date().__eq__)
    schema = file_schema(group, catalog)
    tables = [pq.read_table(file, partitioning=None).select(schema.names).cast(schema) for file in files]
    return pa.concat_tables([schema.empty_table(), *tables])


def feature_at(store: ManifestStore, name: str, cutoff: datetime) -> "pd.Series[float]":
    """One built-in number of every account at a cutoff, by ``account_id``; empty where nothing is built."""
    group = spec(name).group
    tables = [
        pq.read_table(file, columns=[JOIN_KEY, name], partitioning=None)
        for file in files_of_group(store, group, wanted=cutoff.date().__eq__)
    ]
    schema = pa.schema([(JOIN_KEY, pa.string()), (name, ARROW_TYPES[spec(name).kind])])
    values = pa.concat_tables([schema.empty_table(), *(table.cast(schema) for table in tables)])
    return pd.Series(
        values[name].cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False),
        index=pd.Index(values[JOIN_KEY].to_pylist(), dtype=object, name=JOIN_KEY),
        name=name,
    )


def rows_at(store: ManifestStore, cutoff: datetime, catalog: Catalog = BUILT_IN) -> pa.Table:
    """What the catalogue describes of every account at a cutoff, one row each by ``account_id``; empty if not built.

    Raises
    ------
    WorkFailedError
        When the groups differ in their accounts.
    """
    columns: dict[str, pa.ChunkedArray] = {}
    for group in catalog.described_groups:
        names = [JOIN_KEY, *(feature.name for feature in catalog.features_of_group(group))]
        rows = group_at(store, group, cutoff, catalog).select(names).sort_by(JOIN_KEY)
        if not columns.setdefault(JOIN_KEY, rows[JOIN_KEY]).equals(rows[JOIN_KEY]):
            raise WorkFailedError(
                f"The {catalog.groups[0]} and {group} features at {cutoff.date()} are of different accounts. "
                f"Run `bellwether features build --from {cutoff.date()} --to {cutoff.date()}` again."
            )
        columns |= {name: rows[name] for name in names}
    return pa.table(columns)


def _partition(group: str, day: date) -> str:
    return f"{group}/cutoff={day.isoformat()}"


def _cutoffs(manifest: Manifest, group: str) -> list[date]:
    prefix = _partition(group, date.min).removesuffix(date.min.isoformat())
    return sorted(
        date.fromisoformat(name.removeprefix(prefix)) for name in manifest.partitions if name.startswith(prefix)
    )
