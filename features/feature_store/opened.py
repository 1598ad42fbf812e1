"""Feast on the two files of a home, opened on first use."""

from collections.abc import Sequence
from typing import Any

from features.definitions.catalog import build_field
from features.exceptions import DependencyError
from features.feature_store.failures import APPLY, reported
from features.feature_store.fast_import import without_type_checks
from features.feature_store.read_only_online import OnlineState, read_without_writing
from features.feature_store.sqlite_files import protect_online, read_ahead_journal, refuse_lost_registry, snapshot
from features.feature_store.views import feature_objects, repo_config
from features.home.home import Home
from features.storage.read_only import is_read_only

with without_type_checks():
    from feast import FeatureService, FeatureStore

__all__ = ["OpenedStore", "online_table"]


def online_table(home: Home, group: str) -> str:
    """The table of the online store that holds a view's rows."""
    return f"{home.settings.feature_project}_{group}"


class OpenedStore:
    """Feast's own store of a home, with the services that were read; its user keeps threads apart."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._registry, self._online = home.feast_registry, home.feast_online
        self._feast: FeatureStore | None = None
        self._services: dict[str, FeatureService] = {}
        self._online_state: OnlineState | None = None

    def feast(self) -> FeatureStore:
        """Feast's store.

        Raises
        ------
        DependencyError
            When a file is missing, or the registry was lost.
        """
        for path in (self._registry, self._online):
            if not path.exists():  # Feast would make an empty one
                self.close()
                raise DependencyError(f"There is no feature store: {path} is missing. {APPLY}")
        if self._feast is None:
            refuse_lost_registry(self._registry, self._online)
            self._feast = FeatureStore(config=repo_config(self._home))
        if is_read_only(self._online):
            self._online_state = read_without_writing(self._feast, self._online, self._online_state)
        return self._feast

    def stamping(self) -> FeatureStore:
        """Feast's store, declared again where its views are of a version that did not say which build a row is of.

        Raises
        ------
        DependencyError
            As :meth:`feast`.
        """
        feast = self.feast()
        with reported(self._home.feast):
            views = [feast.registry.get_feature_view(group, feast.project) for group in self._home.catalog.groups]
        if all(_names_builds(view.name, view.features) for view in views):
            return feast
        self.declare(feature_objects(self._home))
        return self.feast()

    def service(self, name: str) -> FeatureService:
        """A feature service; looked up again until it is one that names builds."""
        if name in self._services:
            return self._services[name]
        service = self.feast().get_feature_service(name)
        if all(_names_builds(view.name, view.features) for view in service.feature_view_projections):
            self._services[name] = service
        return service

    def declare(self, objects: Sequence[Any]) -> None:
        """Make these objects what the registry says; the caller holds the lock of the folder.

        Raises
        ------
        DependencyError
            When the registry was lost, or a file cannot be used.
        """
        refuse_lost_registry(self._registry, self._online)
        snapshot(self._registry)
        with reported(self._home.feast):
            self.close()
            FeatureStore(config=repo_config(self._home)).apply(objects)
        self.guard()
        snapshot(self._registry)

    def declare_anew(self, groups: Sequence[str]) -> None:
        """Forget what the registry says of these views, then declare everything; the caller holds the lock.

        Raises
        ------
        DependencyError
            When a file cannot be used.
        """
        with reported(self._home.feast):
            self.close()
            registry = FeatureStore(config=repo_config(self._home)).registry
            for group in groups:
                registry.delete_feature_view(group, self._home.settings.feature_project)
            FeatureStore(config=repo_config(self._home)).apply(feature_objects(self._home))
        self.guard()
        snapshot(self._registry)

    def guard(self) -> None:
        """Let both files be read while they are written, and let no older row replace a newer one."""
        read_ahead_journal(self._registry)
        protect_online(self._online, (online_table(self._home, group) for group in self._home.catalog.groups))

    def close(self) -> None:
        """Forget what is open."""
        self._feast, self._services, self._online_state = None, {}, None


def _names_builds(view: str, fields: Sequence[Any]) -> bool:
    return build_field(view) in {field.name for field in fields}
