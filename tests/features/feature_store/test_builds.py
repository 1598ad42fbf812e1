"""Views of one cutoff and two builds are told apart: the store is filled again after a rebuild, and stopped midway."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from features.definitions.catalog import GROUPS, NEWEST_SERVICE, build_field
from features.exceptions import WorkFailedError
from features.feature_store.keys import entity_keys
from features.feature_store.store import Store, open_store
from features.home.home import Home
from features.offline.files import build_of
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.windows import utc

CUTOFF, DATE, ACCOUNTS = utc(2026, 6, 22), "2026-06-22", ["a", "b", "c"]
FILLED = "features.feature_store.store.forget_others"


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory, write_features: Callable[..., None]) -> Settings:
    """One cutoff, built and online. Do not write to it."""
    settings = load_settings(home=tmp_path_factory.mktemp("builds"))
    write_features(settings.home, {DATE: ACCOUNTS})
    store = open_store(Home(settings))
    store.apply()
    store.materialize(CUTOFF)
    return settings


@pytest.fixture
def home(at_rest: Settings, tmp_path: Path) -> Home:
    """The same in a home of the test's own."""
    shutil.copytree(at_rest.home, tmp_path / "home")
    return Home(at_rest.model_copy(update={"home": tmp_path / "home"}))


def stopped(store: Store, monkeypatch: pytest.MonkeyPatch, *, views: int) -> None:
    """Fill the store again, and stop after so many views."""

    def stop(*_: Any) -> None:
        nonlocal views
        views -= 1
        if views == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(FILLED, stop)
        with pytest.raises(KeyboardInterrupt):
            store.materialize(CUTOFF)


def mixed(store: Store) -> list[bool]:
    rows = store.online([*ACCOUNTS, "nobody"])
    assert not rows.mixed.any()  # all of one cutoff, all the time
    return rows.mixed_builds.tolist()


def online(home: Home, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(home.feast_online)) as connection, connection:
        connection.execute(statement)


def test_views_of_two_builds_of_a_cutoff_are_mixed_until_all_are_of_one(
    home: Home, monkeypatch: pytest.MonkeyPatch, write_features: Callable[..., None]
) -> None:
    store = open_store(home)
    assert mixed(store) == [False] * 4
    write_features(home.root, {DATE: ACCOUNTS}, seed=1)
    stopped(store, monkeypatch, views=3)
    assert mixed(store) == [True, True, True, False]
    store.materialize(CUTOFF)
    assert mixed(store) == [False] * 4


def test_one_rebuilt_group_makes_another_build_of_all(
    home: Home, monkeypatch: pytest.MonkeyPatch, write_features: Callable[..., None]
) -> None:
    store = open_store(home)
    before = set(store.online(["a"]).builds["usage"])
    write_features(home.root, {DATE: ACCOUNTS}, groups=["errors"], seed=1)
    stopped(store, monkeypatch, views=1)
    assert mixed(store) == [True, True, True, False]
    store.materialize(CUTOFF)
    after = store.online(["a"]).builds
    assert len({build for column in after.values() for build in column}) == 1
    assert set(after["usage"]) != before


def test_what_did_not_change_may_be_filled_again_and_stopped(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(home)
    stopped(store, monkeypatch, views=3)
    assert mixed(store) == [False] * 4


def test_the_same_content_is_the_same_build_in_every_home(
    home: Home, tmp_path: Path, write_features: Callable[..., None]
) -> None:
    write_features(tmp_path / "other", {"2026-06-15": ["x"], DATE: ACCOUNTS})
    other = Home(load_settings(home=tmp_path / "other"))
    builds = [build_of(one.stores.features.manifest(), CUTOFF.date()) for one in (home, other)]
    assert builds[0] == builds[1] < 2**53
    assert set(open_store(home).online(["a"]).builds["usage"]) == {builds[0]}


def test_rows_that_name_no_build_are_of_one_and_not_of_another(home: Home) -> None:
    named = "feature_name LIKE '%\\_build' ESCAPE '\\'"
    for group in GROUPS:
        online(home, f"DELETE FROM bellwether_{group} WHERE {named}")
    store = open_store(home)
    assert mixed(store) == [False] * 4
    store.materialize(CUTOFF)
    assert mixed(store) == [False] * 4
    (key,) = entity_keys(["b"])
    online(home, f"DELETE FROM bellwether_errors WHERE {named} AND entity_key = x'{key.hex()}'")
    assert mixed(open_store(home)) == [False, True, False, False]


def test_a_row_that_was_not_written_again_is_counted(
    home: Home, monkeypatch: pytest.MonkeyPatch, write_features: Callable[..., None]
) -> None:
    from feast.infra.online_stores.sqlite import SqliteOnlineStore

    write = SqliteOnlineStore.online_write_batch
    monkeypatch.setattr(
        SqliteOnlineStore,
        "online_write_batch",
        lambda self, config, table, data, progress: write(self, config, table, data[:-1], progress),
    )
    write_features(home.root, {DATE: ACCOUNTS}, seed=1)
    with pytest.raises(WorkFailedError, match=r"View usage has 2 accounts of 2026-06-22 online and 3 offline"):
        open_store(home).materialize(CUTOFF)


def test_views_that_do_not_name_a_build_are_declared_again_when_they_are_filled(
    home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    from feast import FeatureService, FeatureView

    from features.feature_store.views import feature_objects

    def of_an_earlier_version(home: Home) -> list[Any]:
        objects = feature_objects(home)
        for declared in objects:
            if isinstance(declared, FeatureView):
                declared.features = [field for field in declared.features if field.name != build_field(declared.name)]
            if isinstance(declared, FeatureService):
                for view in declared.feature_view_projections:
                    view.features = [field for field in view.features if field.name != build_field(view.name)]
        return objects

    shutil.rmtree(home.feast)
    with monkeypatch.context() as patch:
        patch.setattr("features.feature_store.store.feature_objects", of_an_earlier_version)
        store = open_store(home)
        store.apply()
    reader = open_store(home)  # a service, open since before the upgrade's first night
    assert not reader.online(["a"], service=NEWEST_SERVICE).mixed_builds.any()
    store.materialize(CUTOFF)
    assert all(column[0] > 0 for column in open_store(home).online(["a"]).builds.values())
