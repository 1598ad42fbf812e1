"""A store that is open goes on with the files that take the place of its own, and says what is away."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from features.exceptions import DependencyError
from features.feature_store.store import Store, open_store
from features.home.home import Home
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.storage.database import Patience
from features.windows import as_cutoff, cutoff_day

FIRST, SECOND = "2026-06-15", "2026-06-22"


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory, write_features: Callable[..., None]) -> Settings:
    """The second cutoff online; beside it the store as it was with the first. Do not write to it."""
    settings = load_settings(home=tmp_path_factory.mktemp("replaced") / "home")
    write_features(settings.home, {FIRST: ["a", "b"], SECOND: ["a", "b"]})
    store = open_store(Home(settings))
    store.apply()
    store.materialize(as_cutoff(FIRST))
    shutil.copytree(settings.home / "feast", settings.home / "backup")
    store.materialize(as_cutoff(SECOND))
    return settings


@pytest.fixture
def home(at_rest: Settings, tmp_path: Path) -> Home:
    """The same in a home of the test's own."""
    shutil.copytree(at_rest.home, tmp_path / "home")
    return Home(at_rest.model_copy(update={"home": tmp_path / "home"}))


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(home: Home, clock: Clock) -> Iterator[Store]:
    """Open, as a service has it, and asked before."""
    opened = Store(home, Patience(10, clock=clock))
    assert day(opened) == SECOND
    assert opened.faults() == []
    yield opened
    opened._opened.close()


def day(store: Store) -> str:
    """The cutoff from which an account is answered."""
    rows = store.online(["a"])
    assert rows.known.all()
    (day,) = set(rows.oldest_days)
    return next(date for date in (FIRST, SECOND) if cutoff_day(as_cutoff(date)) == day)


def names(store: Store) -> list[str]:
    return [fault.name for fault in store.faults()]


@pytest.mark.parametrize("files", [["online.db"], ["registry.db", "online.db"]])
def test_files_restored_by_rename_answer_at_once(home: Home, store: Store, files: list[str]) -> None:
    assert home.feast_online.with_name("online.db-wal").exists()  # of the file that is replaced
    for name in files:
        (home.root / "backup" / name).replace(home.feast / name)
    assert day(store) == FIRST
    assert store.faults() == []
    if "registry.db" in files:
        assert store.materialized_cutoff() == as_cutoff(FIRST)
    store.materialize(as_cutoff(SECOND))
    assert day(store) == day(open_store(home)) == SECOND


def test_a_journal_that_the_replaced_file_left_is_not_read(home: Home, store: Store) -> None:
    with contextlib.closing(sqlite3.connect(home.feast_online)) as connection:
        with connection:
            connection.execute("UPDATE bellwether_usage SET event_ts = event_ts + 1")
        assert home.feast_online.with_name("online.db-wal").stat().st_size > 0
        assert day(store) == SECOND
        (home.root / "backup/online.db").replace(home.feast_online)
        assert day(store) == FIRST
    with contextlib.closing(sqlite3.connect(home.feast_online)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_an_older_copy_written_over_the_open_file_answers(home: Home, store: Store) -> None:
    shutil.copyfile(home.root / "backup/online.db", home.feast_online)
    assert day(store) == FIRST


@pytest.mark.parametrize("filled_by", ["another", "itself"])
def test_a_folder_made_anew_answers_once_it_is_filled(home: Home, store: Store, clock: Clock, filled_by: str) -> None:
    home.feast.rename(home.root / "feast.before")
    assert day(store) == SECOND  # from what is open
    assert names(store) == ["feast/registry.db", "feast/online.db"]
    other = open_store(home)
    other.apply()
    assert day(store) == SECOND
    assert names(store) == ["feast/online.db"]
    clock.now = 10
    with pytest.raises(DependencyError, match=r"was made anew and holds no rows yet\. Run `bellwether features mater"):
        store.online(["a"])
    (other if filled_by == "another" else store).materialize(as_cutoff(FIRST))
    assert day(store) == FIRST
    assert names(store) == []


@pytest.mark.parametrize("name", ["registry.db", "online.db"])
def test_a_file_taken_away_is_answered_for_a_while_and_again_when_it_is_back(
    home: Home, store: Store, clock: Clock, name: str
) -> None:
    (home.feast / name).rename(home.root / "elsewhere")
    for clock.now in (0, 9.9):
        assert day(store) == SECOND
        assert names(store) == [f"feast/{name}"]
    clock.now = 10
    for _ in range(2):
        with pytest.raises(DependencyError, match=f"{name} is missing"):
            store.online(["a"])
    assert not (home.feast / name).exists()
    (home.root / "elsewhere").rename(home.feast / name)
    assert day(store) == SECOND
    assert names(store) == []


@pytest.mark.parametrize(("name", "bytes_left"), [("online.db", 0), ("online.db", 50_000), ("registry.db", 0)])
def test_a_file_cut_short_is_damage_and_not_an_empty_store(
    home: Home, store: Store, clock: Clock, name: str, bytes_left: int
) -> None:
    shutil.copyfile(home.feast / name, home.root / "whole")
    os.truncate(home.feast / name, bytes_left)
    assert names(store) == [f"feast/{name}"]
    clock.now = 1000
    with contextlib.suppress(DependencyError):  # the first answer may come of pages that are in memory
        store.online(["a"])
    clock.now = 2000
    with pytest.raises(DependencyError, match=r"is damaged|is empty"):
        store.online(["a"])
    (home.root / "whole").replace(home.feast / name)
    assert day(store) == SECOND
    assert names(store) == []
