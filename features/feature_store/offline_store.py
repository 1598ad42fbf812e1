"""Feast's offline store over the feature files that the manifest lists: rows as they were at a point in time."""

import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import Field as PydanticField

from features.engine.duckdb_engine import Engine, duckdb_engine, spill_folder
from features.exceptions import WorkFailedError
from features.feature_store.fast_import import without_type_checks
from features.offline.files import TIMESTAMP, file_schema, files_of_group, schema_of
from features.storage.store import ManifestStore

with without_type_checks():
    from feast import FeatureView, FileSource, RepoConfig
    from feast.infra.offline_stores.duckdb import DuckDBOfflineStore, DuckDBOfflineStoreConfig
    from feast.infra.offline_stores.ibis import get_historical_features_ibis, pull_latest_from_table_or_query_ibis

__all__ = ["ManifestOfflineStore", "ManifestOfflineStoreConfig", "reading"]


_READ: ContextVar[ManifestStore | None] = ContextVar("store of feature files", default=None)
"""The store whose files are read inside :func:`reading`."""


@contextmanager
def reading(store: ManifestStore) -> Iterator[None]:
    """Let Feast read the files that this store lists, as one of a snapshot does, and read no manifest of its own."""
    token = _READ.set(store)
    try:
        yield
    finally:
        _READ.reset(token)


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

    Each call has an engine of its own: Feast's store leaves a view per read on one shared connection, which
    two threads must not use at once.
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
        """Join each view's row of the same account and cutoff to every entity row."""
        days = {moment.date() for moment in pd.DatetimeIndex(entity_df[TIMESTAMP]).tz_convert("UTC").unique()}
        engine = _engine(config)
        job = get_historical_features_ibis(
            config=config,
            feature_views=feature_views,
            feature_refs=feature_refs,
            entity_df=entity_df,
            registry=registry,
            project=project,
            full_feature_names=full_feature_names,
            filter_by_created_timestamp=filter_by_created_timestamp,
            data_source_reader=_reader(engine, config, days.__contains__),
            data_source_writer=_refuse_to_write,
        )
        return _closing(job, engine)

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
        """Read the newest row of each account between two cutoffs, both included."""
        first, last = start_date.astimezone(UTC).date(), end_date.astimezone(UTC).date()
        engine = _engine(config)
        job = pull_latest_from_table_or_query_ibis(
            config=config,
            data_source=data_source,
            join_key_columns=join_key_columns,
            feature_name_columns=feature_name_columns,
            timestamp_field=timestamp_field,
            created_timestamp_column=created_timestamp_column,
            start_date=start_date,
            end_date=end_date,
            data_source_reader=_reader(engine, config, lambda day: first <= day <= last),
            data_source_writer=_refuse_to_write,
        )
        return _closing(job, engine)


def _engine(config: RepoConfig) -> Engine:
    here = config.offline_store
    return duckdb_engine(threads=here.threads, memory_limit=here.memory_limit, spill=spill_folder(Path(here.spill)))


def _closing(job: Any, engine: Engine) -> Any:
    """The job, whose engine is closed with it: Feast runs a job after it was handed out, and tells nobody when."""
    weakref.finalize(job, engine.close)
    return job


def _reader(engine: Engine, config: RepoConfig, wanted: Callable[[date], bool]) -> Callable[[FileSource, str], Any]:
    store = _READ.get() or ManifestStore(Path(config.offline_store.feature_files))

    def read(source: FileSource, repo_path: str) -> Any:  # noqa: ARG001
        group = Path(source.path).name
        files = files_of_group(store, group, wanted=wanted)
        declared = config.offline_store.declared.get(group)
        return engine.read_parquet(files, schema=file_schema(group) if declared is None else schema_of(group, declared))

    return read


def _refuse_to_write(*_: Any, **__: Any) -> None:
    raise WorkFailedError("Feature files are written by `bellwether features build`, not through Feast.")
