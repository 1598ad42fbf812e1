"""Puts a copy of a home's stores and databases aside before a repair changes or removes anything of them."""

import os
import shutil
from datetime import datetime
from pathlib import Path

from features.exceptions import DependencyError, WorkFailedError
from features.feature_store.sqlite_files import copy_database, remove_database
from features.home.home import Home

__all__ = ["folder_of", "set_aside"]


_STORES = ("events", "raw", "tables", "quarantine", "features")  # the others are made from these


def folder_of(home: Home, now: datetime) -> Path:
    """Where the copy of a repair at ``now`` lies."""
    return home.set_aside / f"{now:%Y%m%dT%H%M%SZ}"


def set_aside(home: Home, now: datetime) -> Path:
    """Copy what a repair may change, once for a repair, laid out as in the home: to copy it back undoes the repair.

    Parquet files are never written in place, so they are linked and take no room until the home lets go of them.

    Raises
    ------
    WorkFailedError
        When it cannot be written; nothing may be repaired then.
    """
    folder = folder_of(home, now)
    if folder.exists():
        return folder
    draft = folder.with_name(f".{folder.name}")
    try:
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(parents=True)
        for name in _STORES:
            store = home.stores.named(name).root
            if store.is_dir():
                shutil.copytree(store, draft / name, copy_function=_linked, ignore=_is_passing)
        if home.nightly.is_dir():
            shutil.copytree(home.nightly, draft / home.nightly.name, ignore=_is_passing)
        for database in (home.feast_registry, home.feast_online, home.mlflow_database, home.ledger):
            if database.exists():
                copy = draft / database.relative_to(home.root)
                copy.parent.mkdir(exist_ok=True)
                _copy_database(database, copy)
        if home.bundles.is_dir():
            shutil.copytree(home.bundles, draft / home.bundles.name)
        draft.replace(folder)
    except OSError as error:
        raise WorkFailedError(
            f"{folder} cannot be written: {error.strerror}. Nothing was repaired. Free space, then repair again."
        ) from error
    return folder


def _copy_database(database: Path, copy: Path) -> None:
    try:
        copy_database(database, copy)
    except DependencyError:  # what is damaged is kept as it lies
        remove_database(copy)
        for end in ("", "-wal", "-shm"):
            path = database.with_name(f"{database.name}{end}")
            if path.exists():
                shutil.copyfile(path, copy.with_name(f"{copy.name}{end}"))


def _is_passing(_: str, names: list[str]) -> list[str]:
    """Locks, and what a writer is at work on."""
    return [name for name in names if name in {".lock", ".readers", "compiled"} or name.startswith(".scratch-")]


def _linked(source: str, target: str) -> str:
    if not source.endswith(".parquet"):
        return shutil.copy2(source, target)
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)
    return target
