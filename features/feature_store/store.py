"""The only door to Feast: apply, materialize, historical and online reads."""

import contextlib
import io
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from features.definitions.catalog import NEWEST_SERVICE, SERVICES, build_field
from features.engine.errors import engine_failures
from features.exceptions import InputError, WorkFailedError
from features.feature_store.copied import note_copied
from features.feature_store.failures import reported
from features.feature_store.fast_import import without_type_checks
from features.feature_store.keys import entity_keys, whole_number
from features.feature_store.offline_store import reading
from features.feature_store.online_rows import OnlineRows, decode
from features.feature_store.opened import OpenedStore, online_table
from features.feature_store.requested_rows import checked_entities, feature_frame, refuse_incomplete
from features.feature_store.sqlite_files import accounts_of_build, forget_others
from features.feature_store.view_states import ViewState, view_state
from features.feature_store.views import feature_objects
from features.home.home import Home
from features.offline.cutoffs import outdated_cutoffs
from features.offline.files import JOIN_KEY, accounts_built, build_of, file_schema
from features.progress import Progress, silent
from features.start import start
from features.storage.damage import damage_named
from features.storage.database import DatabaseAwayError, Patience
from features.storage.lock import exclusive_lock
from features.windows import as_cutoff

with without_type_checks():
    from feast import Entity, FeatureService, FeatureStore
    from feast.errors import FeastObjectNotFoundException

__all__ = ["Store", "open_store"]

_ACCOUNTS_PER_READ = 1000  # one SQL variable per account
_ROW = "row_position"


def open_store(home: Home, *, patience_seconds: float = 0.0) -> "Store":
    """The feature store of a home; nothing is read or made before it is used.

    ``patience_seconds`` is how long it answers from files that are still open while others take their place.
    """
    start()  # importing Feast puts its own warning filters before ours
    return Store(home, Patience(patience_seconds))


class Store:
    """Features by account: written by cutoff, read as of many cutoffs (offline) or as of the newest (online).

    One object may be used by several threads.
    """

    def __init__(self, home: Home, patience: Patience) -> None:
        self._home = home
        self._folder = home.feast
        self._registry, self._online = home.feast_registry, home.feast_online
        self._lock = threading.RLock()  # Feast's SQLite store has one connection for all threads
        self._opened = OpenedStore(home, patience)

    def apply(self) -> list[str]:
        """Declare the catalogue to Feast; running it again changes nothing.

        Views and services that left the catalogue stay registered: a model may still name them.

        Returns
        -------
        list of str
            Names of the views, then of the services.

        Raises
        ------
        LockHeldError
            When another process writes to the store.
        DependencyError
            When the registry was lost, or a file cannot be used.
        """
        objects = feature_objects(self._home)
        with exclusive_lock(self._folder), self._lock:
            self._opened.declare(objects)
            self._opened.settle()
        return [item.name for item in objects if not isinstance(item, Entity)]

    def materialize(self, cutoff: datetime, *, progress: Progress = silent) -> int:
        """Copy the rows of one cutoff, all accounts and all views, to the online store; forget all other accounts.

        Never incremental: Feast's increments lose late rows. Running it again repairs a killed run.

        Returns
        -------
        int
            Accounts written.

        Raises
        ------
        InputError
            When the cutoff is not built, or a newer one is online: going back would leave a mixture.
        WorkFailedError
            When a view's accounts online are not those of its offline rows.
        LockHeldError, DependencyError
            As :meth:`apply`.
        """
        with self._home.snapshot() as steady, reading(steady.stores.features):
            return self._fill(steady, as_cutoff(cutoff), progress)

    def _fill(self, home: Home, cutoff: datetime, progress: Progress) -> int:
        with self._damage_named():
            accounts = accounts_built(home.stores.features, cutoff, home.catalog)
        if cutoff in outdated_cutoffs(home):
            raise InputError(
                f"The cutoff {cutoff.date()} was built under other settings or definitions. "
                f"Run `bellwether features build --from {cutoff.date()} --to {cutoff.date()}` first."
            )
        with exclusive_lock(self._folder), self._lock:
            feast = self._opened.stamping()
            with reported(self._folder):
                newest = max((online for online in self._online_cutoffs(feast) if online), default=cutoff)
            if newest > cutoff:
                raise InputError(
                    f"The online store already holds {newest.date()}, newer than {cutoff.date()}. "
                    f"Materialize {newest.date()} or a later cutoff."
                )
            self._opened.guard()
            keys, groups = entity_keys(accounts), self._home.catalog.groups
            build = whole_number(build_of(home.stores.features.manifest(), cutoff.date()))
            for done, group in enumerate(groups, start=1):
                # Feast reports on stdout, which belongs to data.
                with (
                    reported(self._folder),
                    self._damage_named(),
                    engine_failures(),
                    contextlib.redirect_stdout(io.StringIO()),
                ):
                    feast.materialize(start_date=cutoff, end_date=cutoff, feature_views=[group])
                # An account can leave: with another grace, what made it known may come too late.
                forget_others(self._online, self._table(group), keys)
                written = accounts_of_build(self._online, self._table(group), field=build_field(group), build=build)
                if written != len(accounts):
                    raise WorkFailedError(
                        f"View {group} has {written} accounts of {cutoff.date()} online and {len(accounts)} offline. "
                        "Run `bellwether features materialize` again; if it stays so, build the cutoff again first."
                    )
                progress("materialize", done, len(groups))
            self._opened.settle()
            note_copied(home, cutoff, accounts=len(accounts))
        return len(accounts)

    def historical(self, entities: pd.DataFrame, *, service: str = NEWEST_SERVICE) -> pd.DataFrame:
        """Features of accounts as of cutoffs, by Feast's point-in-time join.

        Parameters
        ----------
        entities
            Columns ``account_id`` (str) and ``event_timestamp`` (time with zone, a UTC midnight); pairs may repeat.
        service
            Feature service.

        Returns
        -------
        DataFrame
            One row per row of ``entities``, in its order, with a fresh index: ``account_id``, ``event_timestamp``
            (microseconds, UTC), then the features in service order; numbers as float64 with NaN for null (integers
            are exact up to 2**53), categories as objects with None for null.

        Raises
        ------
        InputError
            When ``entities`` or ``service`` cannot be used.
        WorkFailedError
            When a view has no row of an account at its cutoff, or a file of features is damaged or missing.
        DependencyError
            When Feast's registry is away.
        """
        catalog = self._home.catalog
        features, asked = catalog.features_of_service(service), checked_entities(entities)
        groups = catalog.groups_of_service(service)
        if asked.empty:  # Feast looks for the smallest time
            nothing = pa.schema([field for group in groups for field in list(file_schema(group, catalog))[2:]])
            return feature_frame(asked, nothing.empty_table(), features, places=np.empty(0, dtype=np.int64))
        with (
            self._home.snapshot() as steady,
            reading(steady.stores.features),
            self._lock,
            reported(self._folder),
            self._damage_named(),
            engine_failures(),
        ):
            feast = self._opened.feast()
            job = feast.get_historical_features(
                entity_df=asked.assign(**{_ROW: np.arange(len(asked), dtype=np.int64)}),
                features=self._opened.service(feast, service),
            )
            table = job.to_arrow()
        if table.num_rows != len(asked):
            raise WorkFailedError(
                f"{len(asked)} rows were asked for and {table.num_rows} came back: an account has more than one row "
                "at a cutoff. Run `bellwether features build` for these cutoffs again."
            )
        places = table[_ROW].to_numpy()
        refuse_incomplete(asked, table, groups, places=places)
        return feature_frame(asked, table, features, places=places)

    def online(self, account_ids: Sequence[str], *, service: str = NEWEST_SERVICE) -> OnlineRows:
        """Newest features of accounts, from the online store.

        Raises
        ------
        InputError
            When an account id is no text, or there is no such service.
        DependencyError
            When the store is away.
        """
        declared = self._home.catalog.features_of_service(service)
        if isinstance(account_ids, str) or not all(isinstance(account, str) and account for account in account_ids):
            raise InputError("Account ids are a list of texts that are not empty. Mend the list and ask again.")
        ids = list(account_ids)
        chunks = [ids[start : start + _ACCOUNTS_PER_READ] for start in range(0, len(ids), _ACCOUNTS_PER_READ)]
        with self._lock, reported(self._folder):
            feast = self._opened.feast()
            features = self._opened.service(feast, service)
            try:
                answers = _answers(feast, features, chunks)
            except FeastObjectNotFoundException:  # Feast keeps the views for minutes, and another process applies
                feast.refresh_registry()
                answers = _answers(feast, features, chunks)
        return decode(
            declared, ids, ((list(a.metadata.feature_names.val), [r.values for r in a.results]) for a in answers)
        )

    def materialized_cutoff(self) -> datetime | None:
        """The cutoff the online store holds in every view; None before the first materialization.

        Raises
        ------
        DependencyError
            When the registry cannot be read.
        """
        if not self._registry.exists() and not self._online.exists():
            return None
        with self._lock, reported(self._folder):
            online = self._online_cutoffs(self._opened.feast())
        return None if None in online else min(moment for moment in online if moment is not None)

    def views(self) -> "list[ViewState]":
        """What the registry says of each view of the catalogue.

        Raises
        ------
        DependencyError
            When the registry cannot be read.
        """
        with self._lock, reported(self._folder):
            feast = self._opened.feast()
            known = {view.name: view for view in feast.registry.list_feature_views(feast.project)}
        return [view_state(group, known.get(group)) for group in self._home.catalog.groups]

    def renew(self, groups: Sequence[str]) -> None:
        """Declare views anew, with nothing believed of what they hold; an online file that is gone is made again.

        Raises
        ------
        LockHeldError, DependencyError
            As :meth:`apply`.
        """
        with exclusive_lock(self._folder), self._lock:
            self._opened.declare_anew(groups)

    def faults(self) -> list[DatabaseAwayError]:
        """What is wrong with its files now, also while it still answers from those that were opened."""
        with self._lock:
            return self._opened.faults()

    def ping(self) -> None:
        """Read one row that is not there, through everything a real read passes.

        Raises
        ------
        DependencyError
            When the store is away.
        """
        # Every home has the first service, also before the newest is applied.
        self.online(["-"], service=next(iter(SERVICES)))

    # ---- inside ----

    def _damage_named(self) -> AbstractContextManager[None]:
        return damage_named(self._home.stores.features)

    def _table(self, group: str) -> str:
        return online_table(self._home, group)

    def _online_cutoffs(self, feast: FeatureStore) -> list[datetime | None]:
        views = [feast.registry.get_feature_view(group, feast.project) for group in self._home.catalog.groups]
        return [view.most_recent_end_time and view.most_recent_end_time.astimezone(UTC) for view in views]


def _answers(feast: FeatureStore, service: FeatureService, chunks: Sequence[Sequence[str]]) -> list[Any]:
    """Feast's answer to each chunk of account ids."""
    return [feast.get_online_features(features=service, entity_rows={JOIN_KEY: chunk}).proto for chunk in chunks]
