"""Which files of a store are no longer what its manifest says, and an error that names them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from features.engine.errors import EngineError
from features.exceptions import WorkFailedError, counted, listed
from features.storage.manifest import Manifest
from features.storage.store import ManifestStore
from features.storage.verification import damaged

__all__ = ["damage_named", "damaged_files", "is_there"]


def is_there(store: ManifestStore, partition: str, *, manifest: Manifest) -> bool:
    """Whether a partition is listed and every file of it exists."""
    return partition in manifest.partitions and all(
        file.is_file() for file in store.paths(partition, manifest=manifest)
    )


def damaged_files(store: ManifestStore) -> list[Path]:
    """Listed files that are missing or have another content; reads every file."""
    contents = {
        store.root / partition / name: content
        for partition, files in sorted(store.manifest().partitions.items())
        for name, content in sorted(files.items())
    }
    return list(damaged(contents, {}))


@contextmanager
def damage_named(store: ManifestStore) -> Iterator[None]:
    """Look for damaged files when reading a store failed all the same, as on a cluster; else nothing is read.

    Raises
    ------
    WorkFailedError
        Naming the damaged and missing files, and the remedy. A failure without any is raised as it is.
    """
    try:
        yield
    except (EngineError, OSError, pa.ArrowInvalid) as error:
        faulty = damaged_files(store)
        if not faulty:
            raise
        what = counted(len(faulty), "file is|files are")
        raise WorkFailedError(f"{what} damaged or missing: {listed(faulty)}. {store.damage_remedy}") from error
