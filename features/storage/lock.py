"""Advisory locks of a folder: one writer at a time, and readers whose files are not swept away."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from features.exceptions import InputError, LockHeldError

__all__ = ["exclusive_lock", "is_locked", "nobody_reads", "shared_by_readers"]

_LOCK = ".lock"
_READERS = ".readers"


@contextmanager
def exclusive_lock(folder: Path) -> Iterator[None]:
    """Hold the advisory lock of a store; the system frees it when the process ends, however it ends.

    Raises
    ------
    LockHeldError
        When another process holds it: two writers would each lose the other's work.
    InputError
        When the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, timeout=0)
        lock.acquire()
    except Timeout as error:
        raise LockHeldError(
            f"Another process is writing to {folder}. Wait for it to end, then run the same command again."
        ) from error
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror}. Choose another folder with --home or mend its permissions."
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(folder: Path) -> bool:
    """Whether a process holds the lock of a folder, which need not be writable."""
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def shared_by_readers(folder: Path) -> int | None:
    """Tell the next writer that the files listed now are being read, until the descriptor is closed.

    Returns
    -------
    int or None
        The open descriptor; None where nobody has written yet and this process cannot.
    """
    path = folder / _READERS
    for flags in (os.O_RDONLY, os.O_RDWR | os.O_CREAT):  # to share a lock, reading is enough
        try:
            descriptor = os.open(path, flags, 0o644)
        except OSError:
            continue
        fcntl.flock(descriptor, fcntl.LOCK_SH)  # a sweeper holds it for moments
        return descriptor
    return None


@contextmanager
def nobody_reads(folder: Path) -> Iterator[bool]:
    """Whether no reader holds on to files of the folder; none begins to inside the block when nobody does."""
    descriptor = os.open(folder / _READERS, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
