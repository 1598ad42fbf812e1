"""An ingest killed at any point leaves the old state to readers, and the same command ends as if undisturbed."""

import shutil
from pathlib import Path

import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.home.home import Home
from features.home.raw_tables import read_events
from features.ingest.ingest import ingest
from features.ingest.quarantine import read_quarantine
from features.settings.load import load_settings
from features.windows import utc
from tests.killing import killed

pytestmark = pytest.mark.slow

NOW = utc(2026, 2, 1)
HEADER = "event_id,account_id,event_time,ingested_at,status"


def put(path, *lines):
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """What lies in the store already, and what comes: four days, a bad row, a broken line, an earlier version."""
    folder = tmp_path_factory.mktemp("files")
    time = "2026-01-0{0}T10:00:00Z,2026-01-0{0}T10:00:0{1}Z"
    old = [f"e{day},a,{time.format(day, 9)},200" for day in (1, 2)]
    new = [f"e{day},a,{time.format(day, 5)},500" for day in (2, 3, 4)]
    return put(folder / "old.csv", *old), put(folder / "new.csv", *new, f"x,a b,{time.format(4, 5)},200", "broken")


@pytest.fixture(scope="module")
def before(files, tmp_path_factory):
    settings = load_settings(home=tmp_path_factory.mktemp("before") / "home", threads=1)
    ingest(Home(settings), now=NOW, events=[files[0]])
    return settings


@pytest.fixture(scope="module")
def undisturbed(files, before, tmp_path_factory):
    settings = copied(before, tmp_path_factory.mktemp("undisturbed"))
    ingest(Home(settings), now=NOW, events=[files[1]])
    return settings


def copied(settings, folder):
    return settings.model_copy(update={"home": Path(shutil.copytree(settings.home, folder / "home"))})


def state(settings):
    """What readers see: the manifests of events and records, and the rows of quarantine."""
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    events = engine.to_arrow(read_events(engine, Home(settings)).order_by("event_time")).to_pylist()
    refused = engine.to_arrow(read_quarantine(engine, Home(settings), "events").order_by("reason")).to_pylist()
    engine.close()
    return events, Home(settings).stores.events.manifest(), Home(settings).stores.raw.manifest(), refused


@pytest.mark.parametrize(
    ("at", "call"),
    [
        ("features.ingest.ingest:store_events", 1),  # everything is staged
        ("features.storage.store:StoreWriter.replace", 2),  # one day lies there, two do not
        ("os:fsync", 2),  # quarantine is published, events are about to be
    ],
    ids=["staged", "between days", "before the rename"],
)
def test_ingest(files, before, undisturbed, tmp_path, at, call):
    own = copied(before, tmp_path)
    killed(["--home", str(own.home), "ingest", "--events", str(files[1])], at=at, call=call, now=NOW)
    assert state(own)[:3] == state(before)[:3]
    ingest(Home(own), now=NOW, events=[files[1]])
    assert state(own) == state(undisturbed)
    assert Home(own).stores.quarantine.manifest() == Home(undisturbed).stores.quarantine.manifest()
    assert not list(own.home.rglob(".scratch-*"))
