"""A home: where everything of it lies, and how it is read."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from features.home.stores import SteadyStores, Stores
from features.paths import expanded
from features.settings.fields import FILE_NAME, Settings
from features.storage.database import RESTORE, Database
from features.storage.lock import exclusive_lock
from features.storage.verification import Verification

if TYPE_CHECKING:
    from features.definitions.catalog import Catalog
    from features.definitions.sets import FeatureSet
    from features.engine.choice import EngineChoice, WorkingEngine
    from features.engine.duckdb_engine import Engine

__all__ = ["Home"]


@dataclass(frozen=True)
class Home:
    """One folder with every store of a company, and the settings it is read under.

    Making one reads nothing. Nobody else spells a path of the home.

    Attributes
    ----------
    settings
        What was set when it was opened.
    """

    settings: Settings

    @property
    def root(self) -> Path:
        """The folder itself."""
        return self.settings.home

    def moved_to(self, folder: Path) -> "Home":
        """The home of the same settings in another folder."""
        return Home(self.settings.model_copy(update={"home": folder}))

    @contextmanager
    def snapshot(self) -> "Iterator[Home]":
        """Each store as of its first look: its manifest is read once, and no listed file goes before the block ends.

        A step takes one, and ends it when it publishes. Others write on meanwhile; what they publish of a store that
        was not looked at yet is seen. A process forked inside the block holds on to the files until it ends too.
        """
        if isinstance(self.stores, SteadyStores):
            yield self  # it is one already
            return
        with ExitStack() as readers:
            steady = Home(self.settings)
            steady.__dict__["stores"] = SteadyStores(self.root, self.stores.verification, readers=readers)
            yield steady

    @property
    def folders(self) -> tuple[Path, ...]:
        """The folders that every home has."""
        stores = self.stores
        raw = (stores.events.root, stores.raw.root, stores.quarantine.root)
        return (*raw, stores.rollups.root, stores.features.root, self.feast, self.mlflow, self.bundles)

    @property
    def remnants(self) -> tuple[Path, ...]:
        """Folders in which versions before 0.2 kept what features were made from; nothing reads them."""
        return tuple(self.stores.features.root / name for name in ("seen", "origins"))

    def empty(self) -> None:
        """Remove every store, and whatever was made from it; the secret key and the settings file stay.

        Raises
        ------
        OSError
            When the ledger cannot be removed.
        """
        derived = (self.stores.metrics.root, self.stores.tables.root)
        for folder in (*self.folders, *derived, self.demo, self.nightly):
            shutil.rmtree(folder, ignore_errors=True)
        for path in self.root.glob(f"{self.ledger.name}*"):
            path.unlink()

    @cached_property
    def stores(self) -> Stores:
        """Its stores of Parquet files, by name."""
        return Stores(self.root, Verification(by_content=self.settings.engine == "duckdb"))

    @property
    def secret_key(self) -> Path:
        """File of the key under which tokens and users are stored."""
        return self.root / "secret.key"

    @property
    def settings_file(self) -> Path:
        """The settings file that lies in the home itself, where there is one."""
        return self.root / FILE_NAME

    @property
    def inbox(self) -> Path:
        """Where new files arrive; below the home unless the setting is absolute."""
        return self.root / expanded(self.settings.inbox)

    @property
    def nightly(self) -> Path:
        """What the nightly routine remembers."""
        return self.root / "nightly"

    @property
    def nightly_state(self) -> Path:
        """How the last night ended."""
        return self.nightly / "state.json"

    @property
    def set_aside(self) -> Path:
        """Copies of what a repair changed or removed."""
        return self.root / "set-aside"

    @property
    def feast(self) -> Path:
        """Folder of Feast's registry and online store."""
        return self.root / "feast"

    @property
    def feast_registry(self) -> Path:
        """Feast's registry."""
        return self.feast / "registry.db"

    @property
    def feast_online(self) -> Path:
        """Feast's online store."""
        return self.feast / "online.db"

    @property
    def feast_copied(self) -> Path:
        """What the rows of the online store were copied from."""
        return self.feast / "copied.json"

    @property
    def mlflow(self) -> Path:
        """Folder of MLflow's database and artifacts."""
        return self.root / "mlflow"

    @property
    def mlflow_database(self) -> Path:
        """MLflow's runs and models."""
        return self.mlflow / "mlflow.db"

    @property
    def mlflow_artifacts(self) -> Path:
        """MLflow's files."""
        return self.mlflow / "artifacts"

    @property
    def bundles(self) -> Path:
        """Verified local copies of bundles, each in a folder named by its SHA-256."""
        return self.root / "bundles"

    @property
    def ledger(self) -> Path:
        """Score runs as they were written."""
        return self.root / "ledger.db"

    @property
    def bentoml(self) -> Path:
        """What BentoML keeps while the service runs."""
        return self.root / "bentoml"

    @property
    def demo(self) -> Path:
        """Files and state of the demonstration."""
        return self.root / "demo"

    @property
    def demo_state(self) -> Path:
        """Which company the demonstration in this home is."""
        return self.demo / "company.json"

    @property
    def audit(self) -> Path:
        """Where the audit builds the past again."""
        return self.root / "audit"

    @property
    def champion_sets(self) -> Path:
        """What the champions read of declared features."""
        return self.root / "feature_sets.json"

    @property
    def spill(self) -> Path:
        """Where an engine that only reads spills to."""
        return self.root / "spill"

    @property
    def catalog(self) -> "Catalog":
        """What its settings declare beside the built-in features, and what its champions read.

        Raises
        ------
        DependencyError
            When the home cannot say what its champions read.
        """
        from features.home.declared_sets import catalog_of

        return catalog_of(self._declared_today, self.champion_sets)

    @property
    def feature_sets(self) -> "dict[str, FeatureSet]":
        """Every set of declared features that is built, by the name of its view.

        Raises
        ------
        DependencyError
            As :attr:`catalog`.
        """
        from features.home.declared_sets import sets_of

        return sets_of(self._declared_today, self.champion_sets)

    def set_of_service(self, service: str) -> "FeatureSet":
        """The declared features a feature service reads; none for a built-in one."""
        from features.definitions.sets import FeatureSet

        view = self.catalog.custom.get(service)
        return FeatureSet() if view is None else self.feature_sets[view]

    @property
    def _declared_today(self) -> "FeatureSet":
        from features.definitions.sets import FeatureSet

        return FeatureSet(self.settings.metrics, self.settings.tables)

    @property
    def engine_choice(self) -> "EngineChoice":
        """What its settings say of the engine."""
        from features.engine.choice import EngineChoice

        setting = self.settings
        return EngineChoice(
            setting.engine, setting.threads, setting.memory_limit, setting.spark_master, setting.spark_conf
        )

    def working_engine(self, *, spill: Path) -> "WorkingEngine":
        """The engine of the settings, for rollup and build.

        Raises
        ------
        DependencyError
            When pyspark or Java is not installed, or the cluster cannot be reached.
        """
        from features.engine.choice import chosen_engine

        return chosen_engine(self.engine_choice, spill=spill)

    def engine(self, *, spill: Path | None = None) -> "Engine":
        """An embedded engine with the memory and threads of the settings; close it."""
        from features.engine.duckdb_engine import duckdb_engine

        return duckdb_engine(threads=self.settings.threads, memory_limit=self.settings.memory_limit, spill=spill)

    def database(self, path: Path, *, remedy: str = RESTORE) -> Database:
        """One of its SQLite files, told from whatever takes its place; ``remedy`` is for one that is missing."""
        return Database(path, name=path.relative_to(self.root).as_posix(), set_aside=self.set_aside, remedy=remedy)

    def lock(self, name: str) -> AbstractContextManager[None]:
        """The advisory lock of one of its folders.

        Raises
        ------
        LockHeldError
            When another process holds it.
        InputError
            When the folder cannot be written.
        """
        return exclusive_lock(self.root / name)
