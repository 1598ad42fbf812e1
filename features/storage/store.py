"""A folder of Parquet files that is whole at every moment: readers see only what the manifest lists.

A writer stages new files beside the old ones and replaces ``_manifest.json`` by rename as its last
step. A killed writer leaves the old state; the next writer sweeps what it left behind.
"""

import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from features.exceptions import WorkFailedError
from features.fingerprint import digest, file_digest
from features.storage.lock import exclusive_lock

__all__ = ["Manifest", "ManifestStore", "StoreWriter"]


_MANIFEST = "_manifest.json"
_DERIVED = ("rollups", "metrics", "features")  # made from the other stores: their folder may be removed


@dataclass(frozen=True)
class Manifest:
    """What a store holds.

    Attributes
    ----------
    partitions
        Partition (a relative folder such as ``day=2026-06-29``) to file name to fingerprint.
    made_from
        Partition to the fingerprint of what it was made from.
    notes
        Anything else a reader of this store needs, as JSON.
    """

    partitions: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    made_from: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)

    def fingerprint(self, partition: str) -> str | None:
        """Fingerprint of a partition's files, or None where there is no such partition."""
        files = self.partitions.get(partition)
        return None if files is None else digest(files)


class StoreWriter:
    """Stages files and publishes them all at once; made by :meth:`ManifestStore.writer`."""

    def __init__(self, root: Path, manifest: Manifest) -> None:
        self._root = root
        self.partitions = {name: dict(files) for name, files in manifest.partitions.items()}
        self.made_from = dict(manifest.made_from)
        self.notes = dict(manifest.notes)
        self.scratch = root / f".scratch-{uuid.uuid4().hex}"
        self.scratch.mkdir(mode=0o700, parents=True)  # what is half done is for nobody else to read

    def replace(self, partition: str, staged: Mapping[str, Path], *, made_from: str | None = None) -> None:
        """Make ``staged`` (logical name to a file in :attr:`scratch`) the whole content of a partition.

        Files are named by their content, so equal content keeps its file and its fingerprint.
        """
        folder = self._root / partition
        folder.mkdir(parents=True, exist_ok=True)
        files = {}
        for name, path in staged.items():
            content = file_digest(path)
            final = f"{name}-{content[:16]}.parquet"
            path.replace(folder / final)
            files[final] = content
        self.partitions[partition] = files
        if made_from is not None:
            self.made_from[partition] = made_from

    def adopt(
        self, partition: str, store: "ManifestStore", *, manifest: Manifest, made_from: str | None = None
    ) -> None:
        """Make a partition of another store the whole content of this one's: the same files, as links to them."""
        folder = self._root / partition
        folder.mkdir(parents=True, exist_ok=True)
        for path in store.files(partition, manifest=manifest):
            if not (folder / path.name).exists():
                _link(path, folder / path.name)
        self.partitions[partition] = dict(manifest.partitions[partition])
        if made_from is not None:
            self.made_from[partition] = made_from

    def remove(self, partition: str) -> None:
        """Leave a partition out of the next manifest."""
        self.partitions.pop(partition, None)
        self.made_from.pop(partition, None)


class ManifestStore:
    """Partitioned Parquet files under one folder, read by manifest, written by one writer at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def manifest(self) -> Manifest:
        """The current state; empty where nothing was ever written.

        Raises
        ------
        WorkFailedError
            When the manifest cannot be read, or is gone while data files are there.
        """
        path = self.root / _MANIFEST
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            return Manifest(content["partitions"], content["made_from"], content["notes"])
        except FileNotFoundError as error:
            if self.is_lost():
                raise WorkFailedError(f"{path} is gone and data files are there. {self.remedy()}") from error
            return Manifest()
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise WorkFailedError(
                f"{path} cannot be read: {error}. Restore it from a backup, or remove {self.root} and load again."
            ) from error

    def is_begun(self) -> bool:
        """Whether a writer ever published anything."""
        return (self.root / _MANIFEST).exists()

    def is_lost(self) -> bool:
        """Whether the manifest is gone while data files are there: a writer makes it before it adds a file."""
        return not (self.root / _MANIFEST).exists() and bool(self._data_files())

    def remedy(self) -> str:
        """What to do when the manifest is gone."""
        if self.root.name in _DERIVED:
            return f"Remove the folder {self.root}, then run `bellwether features build`: it makes all of it again."
        return "Restore it from a backup, or move the files away and load again."

    def unlisted(self) -> list[Path]:
        """What no manifest lists: the leavings of a killed writer, and files replaced before.

        Raises
        ------
        WorkFailedError
            When the manifest cannot be read, or is gone: nobody can tell then what is a leaving.
        """
        partitions = self.manifest().partitions
        keep = {self.root / partition / file for partition, files in partitions.items() for file in files}
        return sorted([*self.root.glob(".scratch-*"), *(path for path in self._data_files() if path not in keep)])

    def _data_files(self) -> list[Path]:
        found = self.root.rglob("*.parquet")
        return [path for path in found if not path.relative_to(self.root).parts[0].startswith(".scratch-")]

    def files(self, partition: str, name: str | None = None, *, manifest: Manifest | None = None) -> list[Path]:
        """Absolute paths of a partition's files, of one logical name if given."""
        listed = (manifest or self.manifest()).partitions.get(partition, {})
        return [
            self.root / partition / file for file in sorted(listed) if name is None or file.rsplit("-", 1)[0] == name
        ]

    @contextmanager
    def writer(self) -> Iterator[StoreWriter]:
        """Change the store: on leaving the block the new manifest replaces the old one.

        An exception inside the block leaves the store as it was.

        Raises
        ------
        LockHeldError
            When another process is writing.
        WorkFailedError
            When the disk is full, or a file cannot be written.
        """
        try:
            with self._locked_writer() as writer:
                yield writer
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else str(error)
            raise WorkFailedError(
                f"{error.filename or self.root} cannot be written: {reason}. Nothing was published. "
                "Free space or choose another --home."
            ) from error

    @contextmanager
    def _locked_writer(self) -> Iterator[StoreWriter]:
        with exclusive_lock(self.root):
            self._sweep()
            writer = StoreWriter(self.root, self.manifest())
            try:
                if not (self.root / _MANIFEST).exists():
                    self._publish(writer)  # so that a killed first run is no lost manifest
                yield writer
                self._publish(writer)
            finally:
                shutil.rmtree(writer.scratch, ignore_errors=True)

    def _publish(self, writer: StoreWriter) -> None:
        content = {"partitions": writer.partitions, "made_from": writer.made_from, "notes": writer.notes}
        draft = writer.scratch / _MANIFEST
        with draft.open("w", encoding="utf-8") as file:
            json.dump(content, file, sort_keys=True, indent=1)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.root / _MANIFEST)

    def _sweep(self) -> None:
        for path in self.unlisted():
            if path.name.startswith(".scratch-"):
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()


def _link(path: Path, name: Path) -> None:
    """Give a file a second name; where the file system has no links, a copy."""
    try:
        os.link(path, name)
    except OSError:
        shutil.copyfile(path, name)
