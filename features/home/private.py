"""Keeps a home's data to its owner: nobody else on the machine may read who calls what, or what they pay."""

import os
import stat
from contextlib import suppress
from pathlib import Path

from features.home.home import Home

__all__ = ["exposed", "keep_private"]

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def exposed(home: Home) -> list[Path]:
    """Files and folders of a home that somebody else may read or write.

    Of a folder that is its owner's alone nothing below is looked at, since nobody else comes there. The inbox is where
    others deliver, and what else lies in the home's folder is not ours.
    """
    ours = (
        *home.folders,
        *(store.root for store in (home.stores.metrics, home.stores.tables)),
        *(home.demo, home.nightly, home.audit, home.spill, home.bentoml, home.set_aside),
        *(home.secret_key, home.champion_sets, home.settings_file, *home.root.glob(f"{home.ledger.name}*")),
    )
    return sorted(path for path in ours if _is_open(path))


def keep_private(home: Home) -> None:
    """Take away what others may do with a home's data, where this user may; versions before 0.2 left it readable."""
    for path in exposed(home):
        state = path.stat()
        if state.st_uid == os.geteuid():
            with suppress(OSError):  # a disk that cannot be written is read all the same
                path.chmod(stat.S_IMODE(state.st_mode) & ~_OTHERS)


def _is_open(path: Path) -> bool:
    try:
        state = path.lstat()
    except OSError:
        return False
    return not stat.S_ISLNK(state.st_mode) and bool(stat.S_IMODE(state.st_mode) & _OTHERS)
