"""A home in which everything is real and small: a hundred accounts, up to yesterday, and what came in since."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from features.home.home import Home
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.storage.store import ManifestStore
from features.windows import DAY, utc
from tests.shared import linked, made_once

if TYPE_CHECKING:
    from serving.routine.nightly_report import NightlyReport

END = utc(2026, 6, 29)  # a Monday
YESTERDAY = END - DAY
NOW = END + timedelta(hours=12)


@dataclass(frozen=True)
class Household:
    """A home, and the files of the days that were not ingested yet."""

    settings: Settings
    newest_days: tuple[Path, ...]

    @property
    def home(self) -> Home:
        """The same as a home."""
        return Home(self.settings)

    def copy_to(self, folder: Path) -> Household:
        """The same in another folder."""
        home = linked(self.settings.home, folder / "home")
        return replace(self, settings=self.settings.model_copy(update={"home": home}))

    def deliver(self, *files: Path, table: str = "events") -> None:
        """Put files into the inbox."""
        folder = self.settings.home / "inbox" / table
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, folder)


def _settings(root: Path) -> Settings:
    return load_settings(home=root / "home", stale_after_hours=1e6)


def _days(root: Path) -> list[Path]:
    return sorted((root / "files/events").iterdir())


@pytest.fixture(scope="session")
def yesterday(tmp_path_factory: pytest.TempPathFactory) -> Household:
    """Built, online and scored as of yesterday, by a champion. Do not write to it."""
    from features.build.build import build
    from features.feature_store.store import open_store
    from features.ingest.ingest import ingest
    from features.rollup.count import roll_up
    from features.simulator import simulate
    from serving.ledger.ledger import open_ledger
    from serving.routine.batch import score_batch
    from tests.serving.conftest import make_bundle, register_bundle
    from training.registry.addresses import relocate
    from training.registry.promotion import promote

    def make(root: Path) -> None:
        settings = _settings(root)
        simulate(root / "files", accounts=100, days=40, calls_per_day=1.0, seed=7, end=END)
        ingest(
            Home(settings),
            now=NOW - DAY,
            events=_days(root)[:-3],
            accounts=[root / "files/accounts.parquet"],
            subscriptions=[root / "files/subscriptions.parquet"],
            touchpoints=[root / "files/touchpoints.parquet"],
        )
        roll_up(Home(settings))
        build(Home(settings), [YESTERDAY], now=NOW)
        store = open_store(Home(settings))
        store.apply()
        store.materialize(YESTERDAY)
        _, version = register_bundle(settings, make_bundle(), root)
        promote(Home(settings), "churn", version=version)
        score_batch(Home(settings), as_of=YESTERDAY, now=NOW - DAY)
        open_ledger(Home(settings)).close()

    root = made_once(tmp_path_factory, "yesterday", make)
    relocate(Home(_settings(root)))
    return Household(_settings(root), tuple(_days(root)[-3:]))


@pytest.fixture
def own(yesterday: Household, tmp_path: Path) -> Household:
    """The same, for a test that writes."""
    return yesterday.copy_to(tmp_path)


@pytest.fixture
def times_of_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file arrives when a test says so: nobody can set the time at which the system saw it come."""
    monkeypatch.setattr("features.ingest.inbox._arrived_at", lambda state: datetime.fromtimestamp(state.st_mtime, UTC))


def state(household: Household) -> dict[str, Any]:
    """Every manifest of the home, and how many score runs it has."""
    from serving.ledger.ledger import open_ledger

    ledger = open_ledger(household.home)
    head = ledger.latest("churn")
    ledger.close()
    manifests = {
        name: ManifestStore(household.settings.home / name).manifest()
        for name in ("events", "raw", "quarantine", "rollups", "features")
    }
    return {"run": head, **manifests}


def arrived(household: Household, *files: Path, at: datetime = END + timedelta(hours=1), table: str = "events") -> None:
    """Deliver files that were written at a moment."""
    household.deliver(*files, table=table)
    for file in files:
        os.utime(household.settings.home / "inbox" / table / file.name, (at.timestamp(), at.timestamp()))


def night(household: Household, *, now: datetime = NOW, **given: Any) -> NightlyReport:
    """One night."""
    from serving.routine.nightly import run_nightly

    return run_nightly(household.home, now=now, **given)
