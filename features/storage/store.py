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
from pathlib import Path
from typing import Any

from features.exceptions import InputError, WorkFailedError
from features.fingerprint import file_digest
from features.storage.lineage import Lineage
from features.storage.lock import exclusive_lock, nobody_reads
from features.storage.manifest import FORMAT, Manifest, require_signed, signed
from features.storage.verification import FileSize, Verification, size_of

__all__ = ["ManifestStore", "StoreWriter"]


_MANIFEST = "_manifest.json"
_DERIVED = ("rollups", "metrics", "features")  # made from the other stores: their folder may be removed
_DAMAGE_REMEDIES = {
    "rollups": "`bellwether doctor --repair` counts their days again from the events.",
    "metrics": "`bellwether doctor --repair` counts their days again from the events.",
    "features": "`bellwether doctor --repair` builds their cutoffs again from the rollups.",
    "tables": "Restore from a backup; what the files of the table still say is read again.",
}


class StoreWriter:
    """Stages files and publishes them all at once; made by :meth:`ManifestStore.writer`."""

    def __init__(self, store: "ManifestStore", manifest: Manifest) -> None:
        self.store = store
        self._root = store.root
        self.restore(manifest)
        self.scratch = store.root / f".scratch-{uuid.uuid4().hex}"
        self.scratch.mkdir(mode=0o700, parents=True)  # what is half done is for nobody else to read

    def state(self) -> Manifest:
        """What would be published now."""
        return Manifest(self.partitions, self.lineage, self.facts, self.notes, self.sizes)

    def replace(
        self,
        partition: str,
        staged: Mapping[str, Path],
        *,
        lineage: Lineage | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """Make ``staged`` (logical name to a file in :attr:`scratch`) the whole content of a partition.

        Files are named by their content, so equal content keeps its file and its fingerprint.
        """
        folder = self._root / partition
        folder.mkdir(parents=True, exist_ok=True)
        files, sizes = {}, {}
        for name, path in staged.items():
            content = file_digest(path)
            final = f"{name}-{content[:16]}.parquet"
            sizes[final] = size_of(path)
            path.replace(folder / final)
            files[final] = content
            self.store.verification.trust(folder / final, content)
        self._enter(partition, files, sizes, lineage, facts)

    def adopt(
        self, partition: str, store: "ManifestStore", *, manifest: Manifest, lineage: Lineage | None = None
    ) -> None:
        """Make a partition of another store the whole content of this one's: the same files, as links to them."""
        folder = self._root / partition
        folder.mkdir(parents=True, exist_ok=True)
        for path in store.paths(partition, manifest=manifest):
            if not (folder / path.name).exists():
                _link(path, folder / path.name)
        files, sizes = dict(manifest.partitions[partition]), manifest.sizes.get(partition)
        self._enter(partition, files, sizes, lineage, manifest.facts.get(partition))

    def remove(self, partition: str) -> None:
        """Leave a partition out of the next manifest."""
        for entries in (self.partitions, self.lineage, self.facts, self.sizes):
            entries.pop(partition, None)

    def restore(self, manifest: Manifest) -> None:
        """Make the next manifest say what an earlier one said; a reader must have held on to its files since."""
        self.partitions = {name: dict(files) for name, files in manifest.partitions.items()}
        self.lineage, self.facts, self.notes = dict(manifest.lineage), dict(manifest.facts), dict(manifest.notes)
        self.sizes = dict(manifest.sizes)

    def _enter(
        self,
        partition: str,
        files: dict[str, str],
        sizes: Mapping[str, FileSize] | None,
        lineage: Lineage | None,
        facts: Mapping[str, Any] | None,
    ) -> None:
        self.remove(partition)
        self.partitions[partition] = files
        if sizes is not None:
            self.sizes[partition] = sizes
        if lineage is not None:
            self.lineage[partition] = lineage
        if facts is not None:
            self.facts[partition] = facts


class ManifestStore:
    """Partitioned Parquet files under one folder, read by manifest, written by one writer at a time."""

    def __init__(self, root: Path, verification: Verification | None = None) -> None:
        self.root = root
        self.verification = Verification() if verification is None else verification

    def manifest(self) -> Manifest:
        """The current state; empty where nothing was ever written.

        Raises
        ------
        WorkFailedError
            When the manifest cannot be read, or is gone while data files are there.
        InputError
            When a newer version of Bellwether wrote it.
        """
        path = self.root / _MANIFEST
        try:
            text = path.read_text(encoding="utf-8")
            content = json.loads(text)
            if content.get("format", FORMAT) > FORMAT:
                raise InputError(
                    f"{path} was written by a newer version of Bellwether (format {content['format']}; this one reads "
                    f"up to {FORMAT}). Use that version, or restore a backup from before it."
                )
            require_signed(text)
            if (store := content.get("store", self.root.name)) != self.root.name:
                raise WorkFailedError(f"{path} is the manifest of the store {store}. {self.remedy()}")
            return Manifest.of_json(content)
        except FileNotFoundError as error:
            if self.is_lost():
                raise WorkFailedError(f"{path} is gone and data files are there. {self.remedy()}") from error
            return Manifest()
        except OSError as error:
            raise WorkFailedError(
                f"{path} cannot be read: {error.strerror}. Mend its permissions, or those of its folder."
            ) from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WorkFailedError(f"{path} cannot be read: it is not as it was written. {self.remedy()}") from error

    @property
    def compiled(self) -> Path:
        """Where expressions are kept that were compiled for making this store."""
        return self.root / "compiled"

    def version(self) -> tuple[int, ...]:
        """Numbers that change whenever a writer publishes; none where none ever did."""
        try:
            state = (self.root / _MANIFEST).stat()
        except FileNotFoundError:
            return ()
        return state.st_mtime_ns, state.st_ino, state.st_size

    def is_begun(self) -> bool:
        """Whether a writer ever published anything."""
        return (self.root / _MANIFEST).exists()

    def is_lost(self) -> bool:
        """Whether the manifest is gone while data files are there: a writer makes it before it adds a file."""
        return not (self.root / _MANIFEST).exists() and bool(self._data_files())

    def is_being_read(self) -> bool:
        """Whether somebody holds on to files that the manifest listed before."""
        if not self.root.is_dir() or not os.access(self.root, os.W_OK):
            return False  # where nothing can be written, nothing is swept away either
        with nobody_reads(self.root) as is_free:
            return not is_free

    def remedy(self) -> str:
        """What to do when the manifest is gone or damaged."""
        if self.root.name in _DERIVED:
            return f"Remove the folder {self.root}, then run `bellwether features build`: it makes all of it again."
        return "Restore it from a backup, or load all files into a new home."

    def unlisted(self) -> list[Path]:
        """What no manifest lists: the leavings of a killed writer, and files replaced before.

        Raises
        ------
        WorkFailedError
            When the manifest cannot be read, or is gone: nobody can tell then what is a leaving.
        """
        partitions = self.manifest().partitions
        keep = {self.root / partition / file for partition, files in partitions.items() for file in files}
        return sorted([*self.drafts(), *(path for path in self._data_files() if path not in keep)])

    def drafts(self) -> list[Path]:
        """Folders in which a writer works, or in which one did that was killed."""
        return sorted(self.root.glob(".scratch-*"))

    def _data_files(self) -> list[Path]:
        paths = self.root.rglob("*.parquet")
        return [path for path in paths if not path.relative_to(self.root).parts[0].startswith(".scratch-")]

    def paths(self, partition: str, name: str | None = None, *, manifest: Manifest | None = None) -> list[Path]:
        """Absolute paths of a partition's files, of one logical name if given; nobody looks whether they are whole."""
        listed = (manifest or self.manifest()).partitions.get(partition, {})
        return [
            self.root / partition / file for file in sorted(listed) if name is None or file.rsplit("-", 1)[0] == name
        ]

    def files(self, partition: str, name: str | None = None, *, manifest: Manifest | None = None) -> list[Path]:
        """As :meth:`paths`, to be read: each was found to be what the manifest says.

        Raises
        ------
        WorkFailedError
            When one is missing or has another content, naming it and the remedy.
        """
        state = manifest or self.manifest()
        paths = self.paths(partition, name, manifest=state)
        contents, sizes = state.partitions.get(partition, {}), state.sizes.get(partition, {})
        self.verification.require(
            {path: contents[path.name] for path in paths},
            {path: sizes[path.name] for path in paths if path.name in sizes},
            remedy=self.damage_remedy,
        )
        return paths

    @property
    def damage_remedy(self) -> str:
        """What to do about files that are missing or have another content."""
        return _DAMAGE_REMEDIES.get(self.root.name, "Restore from a backup, or load all files into a new home.")

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
            writer = StoreWriter(self, self.manifest())
            try:
                if not (self.root / _MANIFEST).exists():
                    self._publish(writer)  # so that a killed first run is no lost manifest
                yield writer
                self._publish(writer)
            finally:
                shutil.rmtree(writer.scratch, ignore_errors=True)

    def _publish(self, writer: StoreWriter) -> None:
        draft = writer.scratch / _MANIFEST
        with draft.open("w", encoding="utf-8") as file:
            content = {"store": self.root.name, **writer.state().as_json()}
            file.write(signed(json.dumps(content, sort_keys=True, indent=1)))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self.root / _MANIFEST)

    def _sweep(self) -> None:
        """Remove what no manifest lists; replaced files that somebody may still read wait for the next writer."""
        with nobody_reads(self.root) as may_go:
            for path in self.unlisted():
                if path.name.startswith(".scratch-"):
                    shutil.rmtree(path, ignore_errors=True)
                elif may_go:
                    path.unlink()


def _link(path: Path, name: Path) -> None:
    """Give a file a second name; where the file system has no links, a copy."""
    try:
        os.link(path, name)
    except OSError:
        shutil.copyfile(path, name)
