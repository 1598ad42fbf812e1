import shutil
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.exceptions import InputError, LockHeldError, WorkFailedError
from features.storage.lineage import Lineage
from features.storage.lock import exclusive_lock
from features.storage.store import ManifestStore

SEED, ANOTHER = Lineage(1, {"of": "seed"}), Lineage(1, {"of": "another"})


def write(store, partition, values, name="rows"):
    with store.writer() as writer:
        path = writer.scratch / "staged.parquet"
        pq.write_table(pa.table({"a": values}), path)
        writer.replace(partition, {name: path}, lineage=SEED)


def test_readers_see_what_was_published(tmp_path):
    store = ManifestStore(tmp_path)
    write(store, "day=2026-01-01", [1, 2])
    (path,) = store.files("day=2026-01-01", "rows")
    assert pq.read_table(path, partitioning=None)["a"].to_pylist() == [1, 2]
    assert store.manifest().lineage == {"day=2026-01-01": SEED}
    assert store.files("day=2026-01-02") == []


def test_equal_content_is_the_same_manifest(tmp_path):
    store = ManifestStore(tmp_path)
    write(store, "p", [1])
    before = (tmp_path / "_manifest.json").read_bytes()
    write(store, "p", [1])
    assert (tmp_path / "_manifest.json").read_bytes() == before


def test_an_error_leaves_the_store_as_it_was(tmp_path):
    store = ManifestStore(tmp_path)
    write(store, "p", [1])
    before = store.manifest()
    with pytest.raises(WorkFailedError, match="Nothing was published"), store.writer() as writer:  # noqa: PT012 - the block is what is tested
        path = writer.scratch / "staged.parquet"
        pq.write_table(pa.table({"a": [2]}), path)
        writer.replace("p", {"rows": path})
        writer.replace("q", {"rows": path})
    assert store.manifest() == before
    assert store.files("p")[0].exists()


def test_a_full_disk_is_told(tmp_path):
    told = pytest.raises(
        WorkFailedError, match=r"cannot be written: No space left on device\. Nothing was published\. Free space or"
    )
    with told, ManifestStore(tmp_path).writer():
        raise OSError(28, "disk full")
    assert ManifestStore(tmp_path).manifest().partitions == {}


def test_replaced_files_stay_for_readers_until_the_next_writer(tmp_path):
    store = ManifestStore(tmp_path)
    write(store, "p", [1])
    (old,) = store.files("p")
    write(store, "p", [2])
    assert old.exists()
    with store.writer():
        pass
    assert not old.exists()


def test_a_removed_partition_is_gone(tmp_path):
    store = ManifestStore(tmp_path)
    write(store, "p", [1])
    with store.writer() as writer:
        writer.remove("p")
    assert store.manifest().partitions == {}


def test_a_second_writer_is_told_to_wait(tmp_path):
    told = pytest.raises(LockHeldError, match="Another process is writing to")
    with exclusive_lock(tmp_path), told, ManifestStore(tmp_path).writer():
        pass


def test_a_killed_writer_leaves_the_old_state_and_is_swept(tmp_path):
    store = ManifestStore(tmp_path)
    write(store, "p", [1])
    script = textwrap.dedent(
        f"""
        import os, signal
        from pathlib import Path
        import pyarrow as pa, pyarrow.parquet as pq
        from features.storage.store import ManifestStore
        with ManifestStore(Path({str(tmp_path)!r})).writer() as writer:
            path = writer.scratch / "staged.parquet"
            pq.write_table(pa.table({{"a": [2]}}), path)
            writer.replace("p", {{"rows": path}})
            os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    ended = subprocess.run([sys.executable, "-c", script], check=False, cwd=Path.cwd())
    assert ended.returncode == -signal.SIGKILL
    (kept,) = store.files("p")
    assert pq.read_table(kept)["a"].to_pylist() == [1]
    write(store, "p", [3])
    assert not list(tmp_path.glob(".scratch-*"))
    with store.writer():
        pass
    assert len(list((tmp_path / "p").iterdir())) == 1


def test_a_damaged_manifest_is_named(tmp_path):
    (tmp_path / "_manifest.json").write_text("{")
    with pytest.raises(WorkFailedError, match=r"_manifest\.json cannot be read"):
        ManifestStore(tmp_path).manifest()


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(InputError, match="cannot be written: Not a directory"),
        ManifestStore(tmp_path / "file" / "s").writer(),
    ):
        pass


def test_a_manifest_of_another_store_is_not_believed(tmp_path):
    events, quarantine = ManifestStore(tmp_path / "events"), ManifestStore(tmp_path / "quarantine")
    write(events, "day=2026-06-28", [1])
    write(quarantine, "events/rows=1", [1])
    shutil.copy(tmp_path / "quarantine/_manifest.json", tmp_path / "events")
    with pytest.raises(WorkFailedError, match=r"_manifest\.json is the manifest of the store quarantine\. Restore"):
        events.manifest()


@pytest.mark.parametrize(
    ("name", "advice"),
    [("events", "Restore it from a backup, or load all files into a new home"), ("rollups", "Remove the folder")],
)
def test_a_lost_manifest_is_no_empty_store(tmp_path, name, advice):
    store = ManifestStore(tmp_path / name)
    write(store, "p", [1])
    (kept,) = store.files("p")
    (store.root / "_manifest.json").unlink()
    with pytest.raises(WorkFailedError, match=rf"_manifest\.json is gone and data files are there\. {advice}"):
        write(store, "q", [2])
    with pytest.raises(WorkFailedError, match="is gone"):
        store.unlisted()
    assert kept.exists()


def test_a_first_run_that_ended_early_is_swept_by_the_next(tmp_path):
    store = ManifestStore(tmp_path)
    with pytest.raises(KeyboardInterrupt), store.writer() as writer:  # noqa: PT012 - the block is what is tested
        path = writer.scratch / "staged.parquet"
        pq.write_table(pa.table({"a": [1]}), path)
        writer.replace("p", {"rows": path})
        raise KeyboardInterrupt
    assert [path.parent.name for path in store.unlisted()] == ["p"]
    write(store, "q", [2])
    assert store.unlisted() == []
    assert not list((tmp_path / "p").iterdir())


def adopt(own, other, partition):
    with own.writer() as writer:
        writer.adopt(partition, other, manifest=other.manifest(), lineage=ANOTHER)


@pytest.mark.parametrize("has_links", [True, False])
def test_an_adopted_partition_is_that_of_the_other_store_and_stays_so(tmp_path, monkeypatch, has_links):
    def refuse(*_):
        raise OSError("there are no links here")

    if not has_links:
        monkeypatch.setattr("os.link", refuse)
    own, other = ManifestStore(tmp_path / "own"), ManifestStore(tmp_path / "other")
    write(other, "p", [1, 2])
    adopt(own, other, "p")
    adopt(own, other, "p")
    assert own.manifest().fingerprint("p") == other.manifest().fingerprint("p")
    assert own.manifest().lineage == {"p": ANOTHER}
    write(other, "p", [3])
    (path,) = own.files("p", "rows")
    assert pq.read_table(path)["a"].to_pylist() == [1, 2]


def test_a_manifest_of_which_one_letter_is_another_is_not_believed(tmp_path):
    store = ManifestStore(tmp_path)
    write(store, "day=2026-06-28", [1])
    path = tmp_path / "_manifest.json"
    content = path.read_text()
    for changed in ("2026-06-20", "2026-06-29"):
        path.write_text(content.replace("2026-06-28", changed))
        with pytest.raises(WorkFailedError, match=r"_manifest\.json cannot be read: it is not as it was written\."):
            store.manifest()
    path.write_text("{" + content.partition(",")[2])  # an earlier version wrote none
    assert list(store.manifest().partitions) == ["day=2026-06-28"]


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("events", "Restore it from a backup, or load all files into a new home."),
        ("features", "Remove the folder .*features build`"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\x00", b"[]", b'{"format": 2}'])
def test_a_damaged_manifest_is_told_in_plain_words_with_what_to_do_about_its_store(tmp_path, name, advice, content):
    store = ManifestStore(tmp_path / name)
    write(store, "p", [1])
    (store.root / "_manifest.json").write_bytes(content)
    with pytest.raises(
        WorkFailedError, match=rf"_manifest\.json cannot be read: it is not as it was written\. {advice}"
    ):
        store.manifest()


def test_a_manifest_that_may_not_be_read_is_not_told_to_be_damaged(tmp_path, monkeypatch):
    store = ManifestStore(tmp_path)
    write(store, "p", [1])

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied", str(tmp_path))

    monkeypatch.setattr(Path, "read_text", refuse)
    with pytest.raises(
        WorkFailedError,
        match=r"_manifest\.json cannot be read: Permission denied\. Mend its permissions, or those of its folder\.$",
    ):
        store.manifest()
