"""A file is read only when it is what its manifest says; looked at once for the work of one process."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.exceptions import WorkFailedError
from features.home.home import Home
from features.home.stores import Stores
from features.settings.load import load_settings
from features.storage import verification
from features.storage.store import ManifestStore
from features.storage.verification import FileSize, Verification
from tests.shared import flip_a_bit, overwrite

DAY = "day=2026-06-28"


@pytest.fixture
def stores(tmp_path):
    return Stores(tmp_path)


def write(store, values):
    with store.writer() as writer:
        staged = writer.scratch / "staged"
        pq.write_table(pa.table({"calls": values}), staged)
        writer.replace(DAY, {"usage": staged})


def reopened(stores):
    """As another process sees them."""
    return Stores(stores.root)


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("events", "Restore from a backup"),
        ("raw", "Restore from a backup"),
        ("quarantine", "Restore from a backup"),
        ("tables", "Restore from a backup; what the files of the table still say is read again"),
        ("rollups", "`bellwether doctor --repair` counts their days again"),
        ("metrics", "`bellwether doctor --repair` counts their days again"),
        ("features", "`bellwether doctor --repair` builds their cutoffs again"),
    ],
)
def test_a_flipped_bit_is_named_with_what_to_do(stores, name, remedy):
    store = stores.named(name)
    write(store, [1, 2, 3])
    flip_a_bit(store.files(DAY)[0])
    with pytest.raises(WorkFailedError, match=rf"1 file is damaged or missing: .*{name}/{DAY}/usage-.*\. {remedy}"):
        reopened(stores).named(name).files(DAY)


def test_a_file_that_is_gone_is_named(stores):
    write(stores.events, [1])
    stores.events.files(DAY)[0].unlink()
    with pytest.raises(WorkFailedError, match=r"1 file is damaged or missing: .*usage-.*backup"):
        reopened(stores).events.files(DAY)


def test_a_file_is_hashed_once_for_a_run_and_not_again_by_its_writer(tmp_path, monkeypatch):
    home = Home(load_settings(home=tmp_path))
    write(home.stores.events, [1])
    hashed = []

    def counting(path, digest=verification.file_digest):
        hashed.append(path.name)
        return digest(path)

    monkeypatch.setattr(verification, "file_digest", counting)
    home.stores.events.files(DAY)
    assert hashed == []
    again = Home(home.settings)
    for _ in range(2):
        with again.snapshot() as steady:
            steady.stores.events.files(DAY)
        again.stores.events.files(DAY)
    assert len(hashed) == 1


def test_a_file_that_was_found_whole_is_hashed_again_when_another_content_is_noted(tmp_path):
    path = tmp_path / "usage.parquet"
    path.write_bytes(b"calls")
    run = Verification()
    run.require({path: verification.file_digest(path)}, {}, remedy="Restore it.")
    with pytest.raises(WorkFailedError, match=r"1 file is damaged or missing: .*usage\.parquet\. Restore it\."):
        run.require({path: "another"}, {}, remedy="Restore it.")


def test_on_a_cluster_size_and_rows_are_compared(tmp_path):
    local = Stores(tmp_path)
    write(local.features, [1, 2, 3])
    path = local.features.files(DAY)[0]
    flip_a_bit(path)  # the same size: `doctor` finds it
    assert Stores(tmp_path, Verification(by_content=False)).features.files(DAY) == [path]
    pq.write_table(pa.table({"calls": [1, 2]}), path)
    with pytest.raises(WorkFailedError, match="1 file is damaged or missing"):
        Stores(tmp_path, Verification(by_content=False)).features.files(DAY)


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_the_engine_says_how(tmp_path, engine):
    assert Home(load_settings(home=tmp_path, engine=engine)).stores.verification.by_content is (engine == "duckdb")


def test_files_of_before_have_no_sizes_and_are_compared_by_content(stores):
    write(stores.events, [1, 2, 3])
    path = stores.root / "events/_manifest.json"
    content = json.loads(path.read_text())
    assert stores.events.manifest().sizes[DAY].popitem()[1] == FileSize(stores.events.files(DAY)[0].stat().st_size, 3)
    del content["partitions"][DAY]["sizes"], content["sha256"]
    overwrite(path, json.dumps(content).encode())
    flip_a_bit(stores.events.files(DAY)[0])
    with pytest.raises(WorkFailedError, match="1 file is damaged or missing"):
        ManifestStore(stores.root / "events", Verification(by_content=False)).files(DAY)
