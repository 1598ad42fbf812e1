"""A home that version 0.1.0 made: told in one sentence, counted and built once more, and nothing of it is lost."""

import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from features.audit.time_machine import audit_store
from features.build.build import build
from features.feature_store.store import open_store
from features.home.home import Home
from features.offline.cutoffs import EARLIER_VERSION, built_cutoffs, is_of_earlier_version, left_out
from features.rollup.count import roll_up
from features.settings.load import load_settings
from features.windows import DAY, utc
from tests.killing import killed
from training.registry.addresses import relocate
from training.registry.champions import champion

ARCHIVE = Path(__file__).parent / "home-0.1.0.tar.xz"
NEWEST = utc(2026, 6, 29)
NOW = utc(2026, 6, 29, 12)
CUTOFFS = [NEWEST - 7 * DAY, NEWEST]
ADDED = {f"recency/cutoff={cutoff.date()}" for cutoff in CUTOFFS}  # groups that version did not have
MENDED = {"days_in_stage", "sdk_version_age_days"}  # null since where they may have begun before the log


@pytest.fixture
def earlier(tmp_path):
    with tarfile.open(ARCHIVE) as archive:
        archive.extractall(tmp_path, filter="data")
    home = Home(load_settings(home=tmp_path / "home", stale_after_hours=1e6))
    relocate(home)
    return home


def kept(home):
    """What no version may lose: raw rows, the ledger, the registry's versions and aliases, the key."""
    raw = {
        path.relative_to(home.root): pq.read_table(path, partitioning=None).num_rows
        for store in (home.stores.events, home.stores.raw)
        for path in store.root.rglob("*.parquet")
    }
    rows = []
    for database, tables in (
        (home.ledger, ("score_runs", "scores", "reasons")),
        (home.mlflow_database, ("model_versions",)),
    ):
        with closing(sqlite3.connect(database)) as connection:
            rows += [sorted(map(repr, connection.execute(f"SELECT * FROM {table}"))) for table in tables]
    return raw, rows, home.secret_key.read_bytes()


def values(home):
    """Every value of the features, by group and cutoff, but of those that mean something else since."""
    manifest = home.stores.features.manifest()
    return {
        name: [
            {key: float(f"{value:.9g}") if isinstance(value, float) else value for key, value in row.items()}
            for row in pq.read_table(path, partitioning=None, columns=lasting(path)).to_pylist()
        ]
        for name in manifest.partitions
        for path in home.stores.features.files(name, manifest=manifest)
    }


def lasting(path):
    return [name for name in pq.read_schema(path).names if name not in MENDED]


def run(home, *arguments):
    from features.cli import main

    return CliRunner().invoke(main, ["features", *arguments], obj=home)


def test_it_is_told_and_nothing_is_taken_for_current(earlier):
    assert is_of_earlier_version(earlier)
    assert built_cutoffs(earlier) == []
    assert left_out(earlier) == [EARLIER_VERSION]


def test_its_champion_answers_before_anything_is_built(earlier):
    assert champion(earlier, "churn").version == "1"
    online = open_store(earlier).online(["acct_000001"], service="churn_v2")
    assert online.known.all()
    assert not online.mixed.any()


@pytest.mark.slow
def test_one_build_makes_the_same_values_again_and_loses_nothing(earlier, monkeypatch):
    monkeypatch.setattr("features.cli._now", lambda: NOW)
    before, rows = kept(earlier), values(earlier)
    assert all(folder.exists() for folder in earlier.remnants)
    ended = run(earlier, "build", "--from", "2026-06-22", "--to", "2026-06-29")
    assert ended.exit_code == 0
    assert ended.stderr.count("was counted and built by an earlier version; both are done once more") == 1
    rebuilt = values(earlier)
    assert {partition: rebuilt[partition] for partition in rows} == rows
    assert rebuilt.keys() - rows.keys() == ADDED
    assert kept(earlier) == before
    assert built_cutoffs(earlier) == CUTOFFS
    assert not any(folder.exists() for folder in earlier.remnants)
    again = run(earlier, "build", "--from", "2026-06-22", "--to", "2026-06-29")
    assert "earlier version" not in again.stderr
    store = open_store(earlier)
    store.apply()
    store.materialize(NEWEST)
    found = audit_store(earlier, sample=40, seed=1)
    assert (found.differences, found.moving) == ((), {})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("at", "call", "after"),
    [
        ("features.storage.store:StoreWriter.replace", 2, False),  # some days are staged
        ("features.storage.store:ManifestStore._publish", 1, True),  # the rollups are published, no feature is
        ("features.build.workbench:Workbench.write", 3, True),  # some groups are made
    ],
)
def test_killed_and_run_again_it_ends_as_if_nothing_had_been(earlier, at, call, after):
    before, rows = kept(earlier), values(earlier)
    home = ["--home", str(earlier.root)]
    killed(
        [*home, "features", "build", "--from", "2026-06-22", "--to", "2026-06-29"],
        at=at,
        call=call,
        after=after,
        now=NOW,
    )
    roll_up(earlier)
    build(earlier, CUTOFFS, now=NOW)
    assert not is_of_earlier_version(earlier)
    rebuilt = values(earlier)
    assert {partition: rebuilt[partition] for partition in rows} == rows
    assert rebuilt.keys() - rows.keys() == ADDED
    assert kept(earlier) == before
