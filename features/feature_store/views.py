"""The catalogue as Feast's objects: entity, views, services and configuration."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.pool import NullPool

from features.definitions.catalog import BUILT_IN, Catalog, build_field, cutoff_day_field
from features.feature_store.fast_import import without_type_checks
from features.feature_store.offline_store import ManifestOfflineStore
from features.home.home import Home
from features.offline.files import JOIN_KEY, TIMESTAMP
from features.paths import sqlite_url
from features.storage.read_only import connected_to_read, is_read_only

with without_type_checks():
    from feast import Entity, FeatureService, FeatureView, Field, FileSource, RepoConfig, ValueType
    from feast.data_format import ParquetFormat
    from feast.types import Float64, Int64, String

__all__ = ["feature_objects", "repo_config"]


ENTITY = "account"
TIME_TO_LIVE = timedelta(hours=1)  # only the row stamped exactly with the cutoff joins
KEY_VERSION = 3
_FEAST_TYPES = {"float": Float64, "int": Int64, "category": String}


def repo_config(home: Home) -> RepoConfig:
    """Feast's configuration, with absolute paths: Feast resolves relative ones against the working directory."""
    return RepoConfig(
        project=home.settings.feature_project,
        provider="local",
        registry={
            "registry_type": "sql",
            "path": sqlite_url(home.feast_registry),
            # A view that is being refreshed goes on being served, also after a killed run.
            "serve_features_while_materializing": True,
            **_read_only(home.feast_registry),
        },
        offline_store={
            "type": f"{ManifestOfflineStore.__module__}.{ManifestOfflineStore.__name__}",
            "feature_files": str(home.stores.features.root),
            "threads": home.settings.threads,
            "memory_limit": home.settings.memory_limit,
            "spill": str(home.spill),
            "declared": _declared(home.catalog),
        },
        online_store={"type": "sqlite", "path": str(home.feast_online)},
        materialization={"pull_latest_features": True, "online_write_batch_size": 5000},
        data_quality_monitoring={"auto_baseline": False},
        entity_key_serialization_version=KEY_VERSION,
        repo_path=home.feast,
    )


def _read_only(registry: Path) -> dict[str, Any]:
    """What Feast's registry is told where it cannot be written: to make no tables, and to open the file each time."""
    if not is_read_only(registry):
        return {}
    connect = partial(connected_to_read, registry, check_same_thread=False)
    return {"schema_mode": "skip", "sqlalchemy_config_kwargs": {"creator": connect, "poolclass": NullPool}}


def feature_objects(home: Home) -> list[Any]:
    """The entity, one view per group and the services, made from the catalogue.

    No view has a created timestamp: what was known when is decided once, where the rows are built.
    """
    catalog = home.catalog
    account = Entity(name=ENTITY, join_keys=[JOIN_KEY], value_type=ValueType.STRING)
    views = {group: _view(group, account, home.stores.features.root, catalog) for group in catalog.groups}
    services = [
        FeatureService(
            name=name,
            features=[
                views[group][[*_names(catalog, name, group), cutoff_day_field(group), build_field(group)]]
                for group in catalog.groups_of_service(name)
            ],
        )
        for name in catalog.services
    ]
    return [account, *views.values(), *services]


def _view(group: str, account: Entity, root: Path, catalog: Catalog) -> FeatureView:
    return FeatureView(
        name=group,
        entities=[account],
        ttl=TIME_TO_LIVE,
        schema=[
            Field(name=JOIN_KEY, dtype=String),
            Field(name=cutoff_day_field(group), dtype=Int64, description="the cutoff, in days; never null"),
            Field(name=build_field(group), dtype=Int64, description="the build of that cutoff; stamped online"),
            *(
                Field(name=feature.name, dtype=_FEAST_TYPES[feature.kind], description=feature.meaning)
                for feature in catalog.features_of_group(group)
            ),
        ],
        source=FileSource(
            name=f"{group}_files", path=str(root / group), file_format=ParquetFormat(), timestamp_field=TIMESTAMP
        ),
        online=True,
    )


def _names(catalog: Catalog, service: str, group: str) -> list[str]:
    return [feature.name for feature in catalog.features_of_service(service) if feature.group == group]


def _declared(catalog: Catalog) -> dict[str, dict[str, str]]:
    """The views that are not built in: feature to kind, in order."""
    views = {group: features for group, features in catalog.views.items() if group not in BUILT_IN.views}
    return {group: {feature.name: feature.kind for feature in features} for group, features in views.items()}
