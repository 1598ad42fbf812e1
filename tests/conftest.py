"""The simulated world, made once a session: ingested, rolled up, built, applied, materialized, trained."""

import os
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import hypothesis
import pytest

from features.settings import Settings, load_settings
from features.start import start
from features.windows import DAY, cutoffs_between, utc

start()

# A busy machine is no failure: no test asserts on time.
hypothesis.settings.register_profile("bellwether", deadline=None)
hypothesis.settings.load_profile("bellwether")

END = utc(2026, 6, 29)  # a Monday
ACCOUNTS, DAYS, CALLS_PER_DAY = 1000, 300, 2.5


@dataclass(frozen=True)
class World:
    """A small company whose truth is known, at rest in a home of its own."""

    settings: Settings
    files: Path
    now: datetime
    newest: datetime

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


@pytest.fixture(scope="session")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Simulated and ingested, nothing built."""
    from features.ingest import ingest
    from features.simulator import simulate

    root = tmp_path_factory.mktemp("world")
    files = root / "files"
    simulate(files, accounts=ACCOUNTS, days=DAYS, calls_per_day=CALLS_PER_DAY, seed=7, end=END)
    # The world lies in the past; only the tests of freshness ask how long ago.
    settings = load_settings(home=root / "home", stale_after_hours=1e6)
    now = END + timedelta(hours=12)
    ingest(
        settings,
        now=now,
        events=[files / "events"],
        accounts=[files / "accounts.parquet"],
        subscriptions=[files / "subscriptions.parquet"],
        touchpoints=[files / "touchpoints.parquet"],
    )
    return World(settings, files, now, END)


@pytest.fixture(scope="session")
def world(ingested: World) -> World:
    """Features of every Monday, in the offline store and, the newest, online. Do not write to it."""
    from features.build import build
    from features.rollup import roll_up
    from features.store import open_store

    roll_up(ingested.settings)
    cutoffs = list(cutoffs_between(END - (DAYS - 28) * DAY, END))
    build(ingested.settings, cutoffs, now=ingested.now)
    store = open_store(ingested.settings)
    store.apply()
    store.materialize(ingested.newest)
    return ingested


@pytest.fixture(scope="session")
def trained(world: World) -> World:
    """The world with a champion and one score run. Do not write to it."""
    from serving.batch import score_batch
    from training.flow import train
    from training.registry import promote

    train(world.settings, "churn", now=world.now, truth=world.truth)
    promote(world.settings, "churn")
    score_batch(world.settings, as_of=world.newest, now=world.now)
    return world
