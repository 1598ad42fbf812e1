"""A snapshot of a home is one consistent state: each manifest is read once, and no file goes while it is held."""

import json
import os
from collections import Counter
from datetime import timedelta

import pytest

from features.build.build import build
from features.exceptions import InputError
from features.feature_store.store import open_store
from features.home.home import Home
from features.rollup.count import roll_up
from features.settings.fields import Settings
from features.storage.store import ManifestStore
from features.windows import DAY, utc
from tests.features.conftest import Log

C = utc(2026, 6, 29)
NOW = C + timedelta(hours=12)


@pytest.fixture
def manifests_read(monkeypatch):
    """Store to how often its manifest was read."""
    reads = Counter()
    read = ManifestStore.manifest

    def counted(store):
        reads[store.root.name] += 1
        return read(store)

    monkeypatch.setattr(ManifestStore, "manifest", counted)
    return reads


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory):
    log = Log(tmp_path_factory.mktemp("at-rest") / "home")
    log.add("events", {"event_time": C - DAY}, {"event_time": C - 2 * DAY}).store()
    roll_up(log.home)
    build(log.home, [C], now=NOW)
    return log


@pytest.fixture
def built(at_rest, tmp_path):
    return at_rest.copy_to(tmp_path / "built")


def files_of(home):
    manifest = home.stores.features.manifest()
    return [path for name in manifest.partitions for path in home.stores.features.files(name, manifest=manifest)]


def build_with(log, **event):
    log.add("events", event).store()
    roll_up(log.home)
    build(log.home, [C], now=NOW)


def test_two_builds_take_no_file_from_a_snapshot_and_the_next_writer_does(built):
    with built.home.snapshot() as steady:
        before = files_of(steady)
        build_with(built, event_time=C - 3 * DAY)
        build_with(built, event_time=C - 4 * DAY)
        assert files_of(built.home) != before
        assert files_of(steady) == before
        assert all(path.exists() for path in before)
    replaced = set(before) - set(files_of(built.home))
    assert replaced
    build_with(built, event_time=C - 5 * DAY)
    assert not any(path.exists() for path in replaced)


def test_a_store_that_is_new_inside_a_snapshot_is_still_empty_there(log):
    with log.home.snapshot() as steady:
        assert files_of(steady) == []
        log.add("events", {"event_time": C - DAY}).store()
        roll_up(log.home)
        build(log.home, [C], now=NOW)
        assert files_of(steady) == []


def test_a_snapshot_inside_a_snapshot_is_the_same(built):
    with built.home.snapshot() as steady, steady.snapshot() as again:
        assert again is steady


def test_a_build_reads_each_manifest_once_beside_its_writers(built, manifests_read):
    built.add("events", {"event_time": C - 3 * DAY}).store()
    roll_up(built.home)
    manifests_read.clear()
    build(built.home, [C], now=NOW)
    # The writer of features reads its own, and sweeps by it.
    assert manifests_read == {"rollups": 1, "raw": 1, "features": 2}


def test_materializing_and_reading_history_read_the_features_once(built, manifests_read):
    store = open_store(built.home)
    store.apply()
    manifests_read.clear()
    store.materialize(C)
    assert manifests_read["features"] == 1


def refused(monkeypatch, *flags):
    """Opening ``.readers`` with one of these flags is refused, as to a user who may only read."""
    opened = os.open

    def careful(path, asked, *mode):
        if str(path).endswith(".readers") and any(asked & flag for flag in flags):
            raise PermissionError(13, "Permission denied")
        return opened(path, asked, *mode)

    monkeypatch.setattr(os, "open", careful)


def test_who_may_only_read_keeps_the_files_too(built, monkeypatch):
    with monkeypatch.context() as patch:
        refused(patch, os.O_RDWR, os.O_CREAT)
        snapshot = built.home.snapshot()
        before = files_of(snapshot.__enter__())
    build_with(built, event_time=C - 3 * DAY)
    build_with(built, event_time=C - 4 * DAY)
    assert all(path.exists() for path in before)
    snapshot.__exit__(None, None, None)


def test_a_home_that_nobody_can_write_to_can_be_looked_at(built, monkeypatch):
    (built.home.stores.features.root / ".readers").unlink()
    refused(monkeypatch, os.O_RDWR, os.O_CREAT)
    with built.home.snapshot() as steady:
        assert files_of(steady)


def test_a_writer_inside_a_snapshot_begins_with_what_others_published(built):
    with built.home.snapshot() as steady:
        before = files_of(steady)
        build_with(built, event_time=C - 3 * DAY)
        published = files_of(built.home)
        with steady.stores.features.writer() as writer:
            writer.notes["mark"] = "of the snapshot"
        assert files_of(built.home) == published != before


def test_a_home_of_a_newer_version_is_refused(built):
    path = built.home.stores.features.root / "_manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 3}))
    with pytest.raises(InputError, match=r"newer version of Bellwether \(format 3; this one reads up to 2\)"):
        built.home.stores.features.manifest()


def test_every_path_lies_below_the_root(tmp_path):
    home = Home(Settings(home=tmp_path))
    paths = [value for name in dir(Home) if not name.startswith("_") and hasattr(value := getattr(home, name), "parts")]
    assert len(paths) > 10
    assert all(path.is_relative_to(tmp_path) for path in paths)
