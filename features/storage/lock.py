"""The advisory lock of a folder: one writer at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from features.exceptions import InputError, LockHeldError

__all__ = ["exclusive_lock"]

_LOCK = ".lock"


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
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
    except OSError as error:
        raise InputError(
            f"{folder} cannot be written: {error.strerror}. Choose another folder with --home or mend its permissions."
        ) from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise LockHeldError(
                f"Another process is writing to {folder}. Wait for it to end, then run the same command again."
            ) from error
        yield
    finally:
        os.close(descriptor)
