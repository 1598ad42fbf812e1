"""Which files of a store are no longer what its manifest says, and an error that names them."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from features.engine.errors import EngineError
from features.exceptions import WorkFailedError, counted, listed
from features.storage.store import Manifest, ManifestStore

__all__ = ["damage_named", "damaged_files", "is_there"]


def is_there(store: ManifestStore, partition: str, *, manifest: Manifest) -> bool:
    """Whether a partition is listed and every file of it exists."""
    return partition in manifest.partitions and all(
        file.is_file() for file in store.files(partition, manifest=manifest)
    )


def damaged_files(store: ManifestStore) -> list[Path]:
    """Listed files that are missing or have another content; reads every file."""
    return [
        store.root / partition / name
        for partition, files in sorted(store.manifest().partitions.items())
        for name, content in sorted(files.items())
        if _content(store.root / partition / name) != content
    ]


@contextmanager
def damage_named(store: ManifestStore, *, remedy: str) -> Iterator[None]:
    """Look for damaged files when reading a store failed; nothing is read when it did not.

    Raises
    ------
    WorkFailedError
        Naming the damaged and missing files, and the remedy. A failure without any is raised as it is.
    """
    try:
        yield
    except (EngineError, OSError, pa.ArrowInvalid) as error:
        damaged = damaged_files(store)
        if not damaged:
            raise
        what = counted(len(damaged), "file is|files are")
        raise WorkFailedError(f"{what} damaged or missing: {listed(damaged)}. {remedy}") from error


def _content(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return None
