"""Feast on the two files of a home, opened on first use, and again when other files lie in their place."""

from collections.abc import Sequence
from typing import Any

from features.definitions.catalog import build_field
from features.exceptions import DependencyError
from features.feature_store.failures import APPLY, reported
from features.feature_store.fast_import import without_type_checks
from features.feature_store.read_only_online import OnlineState, read_without_writing
from features.feature_store.sqlite_files import (
    forget_lost_views,
    protect_online,
    read_ahead_journal,
    refuse_lost_registry,
    snapshot,
)
from features.feature_store.views import feature_objects, repo_config
from features.home.home import Home
from features.storage.database import DatabaseAwayError, Patience, give_id, settle
from features.storage.read_only import is_read_only

with without_type_checks():
    from feast import FeatureService, FeatureStore

__all__ = ["OpenedStore", "online_table"]


def online_table(home: Home, group: str) -> str:
    """The table of the online store that holds a view's rows."""
    return f"{home.settings.feature_project}_{group}"


class OpenedStore:
    """Feast's own store of a home, with the services that were read; its user keeps threads apart.

    A store that is away, or is being made again, is answered for by the files that are still open while there is
    patience left: nobody who asks in the moment of a restore is turned away.
    """

    def __init__(self, home: Home, patience: Patience) -> None:
        self._home = home
        self._registry, self._online = (
            home.database(path, remedy=APPLY) for path in (home.feast_registry, home.feast_online)
        )
        self._patience = patience
        self._feast: FeatureStore | None = None
        self._services: dict[str, FeatureService] = {}
        self._was_filled = False
        self._fault: DatabaseAwayError | None = None
        self._online_state: OnlineState | None = None

    def feast(self) -> FeatureStore:
        """Feast's store, on the files that lie there now.

        Raises
        ------
        DependencyError
            When a file is missing or damaged, the registry was lost, or a store that held rows was made anew and holds
            none yet.
        """
        try:
            self._renew()
        except DependencyError as error:
            self._fault = error if isinstance(error, DatabaseAwayError) else None
            if self._feast is None or not self._patience.is_left():
                self.close()
                raise
        else:
            self._fault = None
            self._patience.restore()
            if is_read_only(self._online.path):
                self._online_state = read_without_writing(self._feast, self._online.path, self._online_state)
        return self._feast

    def faults(self) -> list[DatabaseAwayError]:
        """What is wrong with its files now, or was at the last look, whatever is still open."""
        files = [fault for fault in (self._registry.fault(), self._online.fault()) if fault is not None]
        return files or ([self._fault] if self._fault is not None else [])

    def stamping(self) -> FeatureStore:
        """Feast's store, declared again where its views are of a version that did not say which build a row is of.

        Raises
        ------
        DependencyError
            As :meth:`feast`.
        """
        self._was_filled = False  # it is about to be
        feast = self.feast()
        with reported(self._home.feast):
            views = [feast.registry.get_feature_view(group, feast.project) for group in self._home.catalog.groups]
        if all(_names_builds(view.name, view.features) for view in views):
            return feast
        self.declare(feature_objects(self._home))
        return self.feast()

    def service(self, feast: FeatureStore, name: str) -> FeatureService:
        """A feature service; looked up again until it is one that names builds."""
        if name in self._services:
            return self._services[name]
        service = feast.get_feature_service(name)
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
        refuse_lost_registry(self._registry.path, self._online.path)
        snapshot(self._registry.path)
        self._was_filled = False  # whoever declares a store may find it empty
        self.close()
        forget_lost_views(self._registry.path, self._home.catalog.groups)
        with reported(self._home.feast):
            FeatureStore(config=repo_config(self._home)).apply(objects)
        self.guard()
        snapshot(self._registry.path)

    def declare_anew(self, groups: Sequence[str]) -> None:
        """Forget what the registry says of these views, then declare everything; the caller holds the lock.

        Raises
        ------
        DependencyError
            When a file cannot be used.
        """
        self._was_filled = False
        with reported(self._home.feast):
            self.close()
            registry = FeatureStore(config=repo_config(self._home)).registry
            for group in groups:
                registry.delete_feature_view(group, self._home.settings.feature_project)
            FeatureStore(config=repo_config(self._home)).apply(feature_objects(self._home))
        self.guard()
        snapshot(self._registry.path)

    def guard(self) -> None:
        """Let both files be read while they are written, be told from others, and keep the newer of two rows."""
        read_ahead_journal(self._registry.path)
        protect_online(self._online.path, (online_table(self._home, group) for group in self._home.catalog.groups))
        for database in (self._registry, self._online):
            give_id(database.path)

    def settle(self) -> None:
        """Let both files be whole without their journals."""
        for database in (self._registry, self._online):
            settle(database.path)

    def close(self) -> None:
        """Forget what is open."""
        self._disconnect()
        self._feast, self._services = None, {}

    def _renew(self) -> None:
        """Open what lies there, where that is not what is open."""
        databases = (self._registry, self._online)
        states = [database.look() for database in databases]
        if self._feast is not None and all(
            state.is_file_of(database.opened) for database, state in zip(databases, states, strict=True)
        ):
            if all(state is database.opened for database, state in zip(databases, states, strict=True)):
                return
            self._disconnect()  # written to, or restored in place under the connections' pages
        else:
            self._open()
        for database, state in zip(databases, states, strict=True):
            database.opened = state
            database.look()  # with the journal that its connection has made

    def _open(self) -> None:
        refuse_lost_registry(self._registry.path, self._online.path)
        with reported(self._home.feast):
            feast = FeatureStore(config=repo_config(self._home))
            views = feast.registry.list_feature_views(feast.project)
            if not is_read_only(self._online.path):
                # A connection that is open makes the file's journal, by which that is known again.
                feast._get_provider().online_store._get_conn(feast.config).execute("PRAGMA schema_version").fetchall()  # noqa: SLF001
        is_filled = any(view.most_recent_end_time is not None for view in views)
        if self._was_filled and not is_filled:
            raise DatabaseAwayError(
                self._online, "was made anew and holds no rows yet", "Run `bellwether features materialize`."
            )
        self.close()
        self._feast, self._was_filled = feast, is_filled

    def _disconnect(self) -> None:
        """Close the connections of both files; Feast opens others."""
        if self._feast is None:
            return
        self._feast.registry.write_engine.dispose()
        online = self._feast._get_provider().online_store  # noqa: SLF001 - Feast has no other way to its connection
        if online._conn is not None:  # noqa: SLF001
            online._conn.close()  # noqa: SLF001
            online._conn = None  # noqa: SLF001
        self._online_state = None


def _names_builds(view: str, fields: Sequence[Any]) -> bool:
    return build_field(view) in {field.name for field in fields}
