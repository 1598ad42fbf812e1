"""Passing folders among the machine's temporary files, which are gone when who made them ends, whatever ended it.

What is killed removes nothing, so whoever makes the next one removes those of the same user that no process holds.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

__all__ = ["hold_passing_folder", "passing_folder"]

_PREFIX = "bellwether-passing-"
_LONGEST = 60  # of the folder they lie in: the name of a socket below may have 107 characters in all


@contextmanager
def passing_folder() -> Iterator[Path]:
    """A new folder for its owner alone, as long as the block lasts."""
    folder, descriptor = hold_passing_folder()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def hold_passing_folder() -> tuple[Path, int]:
    """A new folder for its owner alone, and what holds it: a file descriptor, until every process closed it."""
    place = Path(tempfile.gettempdir())
    if len(str(place)) > _LONGEST:
        place = Path("/tmp")  # noqa: S108 - what is made there is for its owner alone
    _remove_left_over(place)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=place))  # mode 0700
        descriptor = _held(folder)
        if descriptor is not None and folder.exists():  # nobody took it for a left one in between
            return folder, descriptor


def _remove_left_over(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
        descriptor = _held(folder)
        if descriptor is not None:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(descriptor)


def _held(folder: Path) -> int | None:
    """A descriptor that holds the folder; None where it is another user's, or another process holds it."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            if os.fstat(descriptor).st_uid == os.geteuid():
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return descriptor
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
    return None
