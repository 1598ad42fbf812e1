"""Feast's offline store over the feature files that the manifest lists: rows as they were at a point in time."""

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import closing, contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
from pydantic import Field as PydanticField

from features.definitions.catalog import build_field
from features.engine.duckdb_engine import Engine, duckdb_engine, spill_folder
from features.engine.prepared import named
from features.feature_store.fast_import import without_type_checks
from features.feature_store.reads import Files, ReadJob, compiled_read, refuse_to_write
from features.offline.files import JOIN_KEY, TIMESTAMP, build_of, file_schema, files_of_group, schema_of
from features.storage.store import ManifestStore

with without_type_checks():
    from feast import FeatureView, FileSource, RepoConfig
    from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
    from feast.infra.offline_stores.ibis import get_historical_features_ibis, pull_latest_from_table_or_query_ibis

__all__ = ["ManifestOfflineStore", "ManifestOfflineStoreConfig", "reading"]


class _Reading:
    """Reads of one state of the store, one after the other in one engine."""

    def __init__(self, store: ManifestStore) -> None:
        self.store = store
        self._engine: Engine | None = None

    def engine(self, config: RepoConfig) -> Engine:
        """The engine, opened by the first read."""
        if self._engine is None:
            self._engine = _opened(config)
        return self._engine

    def close(self) -> None:
        """Close the engine, where there was a read."""
        if self._engine is not None:
            self._engine.close()


_READING: ContextVar[_Reading | None] = ContextVar("reads of feature files", default=None)
"""What is read inside :func:`reading`."""


@contextmanager
def reading(store: ManifestStore) -> Iterator[None]:
    """Let Feast read the files that this store lists, as one of a snapshot does, and read no manifest of its own."""
    with closing(_Reading(store)) as reads:
        token = _READING.set(reads)
        try:
            yield
        finally:
            _READING.reset(token)


class ManifestOfflineStoreConfig(DuckDBOfflineStoreConfig):  # type: ignore[misc]
    """Settings of :class:`ManifestOfflineStore`; Feast finds it by its name.

    ``feature_files`` is where the files lie now: the registry remembers the folder of the day of ``apply``, which
    is wrong in a home that was moved or restored. ``declared`` are the views of features that users declared.
    """

    type: str = "features.feature_store.offline_store.ManifestOfflineStore"
    feature_files: str
    threads: int = 2
    memory_limit: str = "3GB"
    spill: str
    declared: dict[str, dict[str, str]] = PydanticField(default_factory=dict)


class ManifestOfflineStore(DuckDBOfflineStore):  # type: ignore[misc]
    """Feast's DuckDB store that reads only the files a manifest lists, and of these only the cutoffs asked for.

    No engine is shared between threads, and none outlives its reads: Feast's own store leaves a view per read on one
    connection of the process.
    """

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame,
        registry: Any,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002  # the signature is Feast's
        filter_by_created_timestamp: bool = False,  # noqa: FBT001, FBT002
    ) -> Any:
        """Join each view's row of the same account and cutoff to every entity row.

        Which build a row is of is asked online alone: what is read here is one state of the files.
        """
        stamps = {f"{view.name}:{build_field(view.name)}" for view in feature_views}
        feature_refs = [reference for reference in feature_refs if reference not in stamps]
        times = pd.DatetimeIndex(entity_df[TIMESTAMP]).tz_convert("UTC")
        asked = entity_df.assign(**{TIMESTAMP: times})
        days = {moment.date() for moment in times.unique()}
        names = {reference.split(":")[1] for reference in feature_refs}
        files: dict[str, Files] = {}
        for view in feature_views:
            files |= _files(config, view.batch_source, names, days.__contains__)
        options = {
            "feature_refs": feature_refs,
            "full_feature_names": full_feature_names,
            "filter_by_created_timestamp": filter_by_created_timestamp,
        }
        read = compiled_read(
            (_shape(options, files), str(asked.dtypes.to_dict()), tuple(map(_view_shape, feature_views))),
            lambda: get_historical_features_ibis(
                config=config,
                feature_views=feature_views,
                entity_df=asked,
                registry=registry,
                project=project,
                data_source_reader=_named(files),
                data_source_writer=refuse_to_write,
                **options,
            ),
        )
        return ReadJob(partial(_engine, config), read, files, asked)

    @staticmethod
    def pull_latest_from_table_or_query(
        config: RepoConfig,
        data_source: FileSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> Any:
        """Read the newest row of each account between two cutoffs, both included; stamp it with its build."""
        stamp = build_field(Path(data_source.path).name)
        is_stamped = stamp in feature_name_columns
        feature_name_columns = [name for name in feature_name_columns if name != stamp]
        first, last = start_date.astimezone(UTC).date(), end_date.astimezone(UTC).date()
        files = _files(config, data_source, set(feature_name_columns), lambda day: first <= day <= last)
        options = {
            "join_key_columns": join_key_columns,
            "feature_name_columns": feature_name_columns,
            "timestamp_field": timestamp_field,
            "created_timestamp_column": created_timestamp_column,
            "start_date": start_date,
            "end_date": end_date,
        }
        read = compiled_read(
            _shape(options, files),
            lambda: pull_latest_from_table_or_query_ibis(
                config=config,
                data_source=data_source,
                data_source_reader=_named(files),
                data_source_writer=refuse_to_write,
                **options,
            ),
        )
        return ReadJob(
            partial(_engine, config), read, files, stamped=partial(_stamped, config, stamp) if is_stamped else None
        )


def _stamped(config: RepoConfig, field: str, rows: pa.Table) -> pa.Table:
    """The rows with the build of each one's cutoff."""
    manifest = _store(config).manifest()
    days = [moment.astimezone(UTC).date() for moment in rows[TIMESTAMP].to_pylist()]
    builds = {day: build_of(manifest, day) for day in set(days)}
    return rows.append_column(field, pa.array([builds[day] for day in days], pa.int64()))


@contextmanager
def _engine(config: RepoConfig) -> Iterator[Engine]:
    """The engine of the reads around, or one for this read alone."""
    reads = _READING.get()
    if reads is not None:
        yield reads.engine(config)
    else:
        with closing(_opened(config)) as engine:
            yield engine


def _opened(config: RepoConfig) -> Engine:
    here = config.offline_store
    return duckdb_engine(threads=here.threads, memory_limit=here.memory_limit, spill=spill_folder(Path(here.spill)))


def _files(
    config: RepoConfig, source: FileSource, names: Collection[str], wanted: Callable[[date], bool]
) -> dict[str, Files]:
    """By the name of a source's group: the files of wanted cutoffs, and which of their columns are read."""
    group = Path(source.path).name
    declared = config.offline_store.declared.get(group)
    schema = file_schema(group) if declared is None else schema_of(group, declared)
    columns = [column for column in schema if column.name in {JOIN_KEY, TIMESTAMP, *names}]
    return {group: (files_of_group(_store(config), group, wanted=wanted), pa.schema(columns))}


def _store(config: RepoConfig) -> ManifestStore:
    """The store of the reads around, or that of the configuration."""
    reads = _READING.get()
    return ManifestStore(Path(config.offline_store.feature_files)) if reads is None else reads.store


def _named(files: Mapping[str, Files]) -> Callable[[FileSource, str], Any]:
    """What reads a source for Feast: a table by name, which stands for the files once an engine names them so."""

    def read(source: FileSource, repo_path: str) -> Any:  # noqa: ARG001
        group = Path(source.path).name
        return named(group, files[group][1])

    return read


def _shape(options: Mapping[str, Any], files: Mapping[str, Files]) -> tuple[str, ...]:
    """What a read is made of, without its rows and files."""
    return repr(options), *(f"{group}: {schema}" for group, (_, schema) in files.items())


def _view_shape(view: FeatureView) -> str:
    source, projection = view.batch_source, view.projection
    times = (view.ttl, source.timestamp_field, source.created_timestamp_column)
    keys = ([column.name for column in view.entity_columns], projection.join_key_map, dict(source.field_mapping))
    return repr((view.name, projection.name_alias, times, keys))
