"""The simulated world, made once a session: ingested, rolled up, built, applied, materialized, trained."""

from __future__ import annotations

import functools
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from features.start import start

start()

from features.home.home import Home  # noqa: E402 - what OpenBLAS is told counts before NumPy is imported
from features.settings.fields import Settings  # noqa: E402
from features.settings.load import load_settings  # noqa: E402
from features.windows import DAY, utc  # noqa: E402
from tests.dealing import in_order, scheduler  # noqa: E402
from tests.shared import linked, made_once  # noqa: E402

# A busy machine is no failure: no test asserts on time.
hypothesis.settings.register_profile("bellwether", deadline=None)
hypothesis.settings.load_profile("bellwether")

END = utc(2026, 6, 29)  # a Monday
ACCOUNTS, DAYS, CALLS_PER_DAY = 560, 300, 0.8
JUDGING_BLOCKS = 2  # each is a training of its own
DAYS_APART = 21  # its cutoffs, Mondays all of them: enough to learn from, and a third as many to build


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        items[:] = in_order(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return scheduler(config, log) if config.getvalue("dist") == "loadfile" else None


@dataclass(frozen=True)
class World:
    """A small company whose truth is known, at rest in a home of its own."""

    settings: Settings
    files: Path
    now: datetime
    newest: datetime

    @property
    def home(self) -> Home:
        """The same as a home."""
        return Home(self.settings)

    def copy_to(self, root: Path) -> World:
        """The same in another folder."""
        return _world(linked(self.settings.home.parent, root))

    @property
    def truth(self) -> Path:
        return self.files / "truth.parquet"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Folder of the real logs."""
    folder = os.environ.get("BELLWETHER_SHARED_DATA")
    if not folder:
        pytest.skip("BELLWETHER_SHARED_DATA does not name the folder of the real logs")
    return Path(folder)


@pytest.fixture(autouse=True)
def _no_outside_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("BELLWETHER_")]:
        if name not in {"BELLWETHER_SHARED_DATA", "BELLWETHER_REQUIRE_SERVICES"}:
            monkeypatch.delenv(name)


@pytest.fixture(scope="session", autouse=True)
def _migrated_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A new registry is a copy of one that MLflow made: it migrates an empty database fifty times, for seconds."""
    from training.registry import mlflow_client

    address_of = mlflow_client.tracking_address

    def make(root: Path) -> None:
        with mlflow_client.opened_mlflow() as mlflow:
            address = f"sqlite:///{root / 'mlflow.db'}"
            mlflow.MlflowClient(tracking_uri=address, registry_uri=address).search_experiments(max_results=1)

    @functools.cache
    def made() -> Path:
        return made_once(tmp_path_factory, "registry", make) / "mlflow.db"

    def address(home: Home) -> str:
        if not home.mlflow_database.exists() and home.mlflow_artifacts.is_dir():
            shutil.copyfile(made(), home.mlflow_database)
        return address_of(home)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mlflow_client, "tracking_address", address)
        yield


def _world(root: Path) -> World:
    # The world lies in the past; only the tests of freshness ask how long ago.
    settings = load_settings(home=root / "home", stale_after_hours=1e6)
    return World(settings, root / "files", END + timedelta(hours=12), END)


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Simulated and ingested, nothing built. Do not write to it."""
    from features.ingest.ingest import ingest
    from features.simulator import simulate

    def make(root: Path) -> None:
        made = _world(root)
        simulate(made.files, accounts=ACCOUNTS, days=DAYS, calls_per_day=CALLS_PER_DAY, seed=7, end=END)
        ingest(
            made.home,
            now=made.now,
            events=[made.files / "events"],
            accounts=[made.files / "accounts.parquet"],
            subscriptions=[made.files / "subscriptions.parquet"],
            touchpoints=[made.files / "touchpoints.parquet"],
        )

    return _world(made_once(tmp_path_factory, "ingested", make))


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, ingested: World) -> World:
    """Features of every other Monday, in the offline store and, the newest, online. Do not write to it."""
    from features.build.build import build
    from features.feature_store.store import open_store
    from features.rollup.count import roll_up

    def make(root: Path) -> None:
        made = ingested.copy_to(root)
        roll_up(made.home)
        build(made.home, [END - age * DAY for age in range(0, DAYS - 28, DAYS_APART)], now=made.now)
        store = open_store(made.home)
        store.apply()
        store.materialize(made.newest)

    return _world(made_once(tmp_path_factory, "world", make))


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory, world: World) -> World:
    """The world with a champion and one score run; how good the champion is nobody asks. Do not write to it."""
    from serving.routine.batch import score_batch
    from training.flow import train
    from training.registry.addresses import relocate
    from training.registry.promotion import promote

    def make(root: Path) -> None:
        made = world.copy_to(root)
        quickly = made.settings.model_copy(update={"judging_blocks": JUDGING_BLOCKS})
        train(Home(quickly), "churn", now=made.now)
        promote(made.home, "churn", unproven=True)
        score_batch(made.home, as_of=made.newest, now=made.now)

    found = _world(made_once(tmp_path_factory, "trained", make))
    relocate(found.home)
    return found
