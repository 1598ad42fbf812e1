"""Folders that a test session makes once, whichever worker asks first; each worker has a copy of its own."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder as ``make`` filled it for the first worker that asked; the others wait, and copy.

    The first fills a folder nobody else touches, so what one worker writes no other sees. A folder left behind by a
    ``make`` that failed is made again for the next who asks.
    """
    own = factory.mktemp(name)
    if "PYTEST_XDIST_WORKER" not in os.environ:
        make(own)
        return own
    first = factory.getbasetemp().parent / "once" / name
    first.parent.mkdir(exist_ok=True)
    whole = first.with_suffix(".whole")
    with first.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not whole.exists():
            shutil.rmtree(first, ignore_errors=True)
            first.mkdir()
            make(first)
            whole.touch()
    return Path(shutil.copytree(first, own, dirs_exist_ok=True))
