"""Folders that are costly to make: made once for a state of the code, and handed to every worker as links.

They lie in ``.pytest_cache/homes``, below a digest of all they are made by, so a tree that did not change makes none of
them again. Files that are replaced as a whole and never written in place, as all Parquet files are, are handed out as
hard links; whatever else, databases and locks among them, is copied.
"""

from __future__ import annotations

import fcntl
import functools
import hashlib
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[1]
_HOMES = _ROOT / ".pytest_cache" / "homes"
_MADE_BY = ("features", "training", "serving", "mlproject", "requirements.lock", "pyproject.toml")
_MADE_BY_TESTS = ("tests/*.py", "tests/**/conftest.py")
_SUFFIX_OF_LINKS = ".parquet"


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """A folder as ``make`` filled it for whoever asked first; all others wait, and get links and copies.

    The first fills a folder nobody else touches, so what one worker writes no other sees. One left behind by a ``make``
    that failed, and one of which a file was written in place, is made again for the next who asks.
    """
    _HOMES.mkdir(parents=True, exist_ok=True)
    state = _HOMES / digest_of_code()
    with _locked(_HOMES / f"{name}.lock"):
        first, whole = state / name, state / f"{name}.json"
        if not whole.exists() or json.loads(whole.read_text()) != _as_it_lies(first):
            for older in _HOMES.glob(f"*/{name}"):
                older.with_suffix(".json").unlink(missing_ok=True)
                shutil.rmtree(older)
            first.mkdir(parents=True)
            make(first)
            whole.write_text(json.dumps(_as_it_lies(first)))
        return linked(first, factory.mktemp(name))


def linked(source: Path, target: Path) -> Path:
    """The folder once more, at ``target``: Parquet files as links, so never write into one, and copies of the rest."""
    return Path(shutil.copytree(source, target, copy_function=_link_or_copy, dirs_exist_ok=True))


def overwrite(path: Path, content: bytes) -> None:
    """Give a file another content, and leave its other links as they are."""
    path.unlink()
    path.write_bytes(content)


def flip_a_bit(path: Path) -> None:
    """Change one bit in the middle of a file's values, as a bad disk does: of a Parquet file most such are no error."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    overwrite(path, bytes(content))


@functools.cache
def digest_of_code() -> str:
    """Digest of all that a home is made by: our code, the fixtures', and the versions of the libraries."""
    chosen = [path for name in _MADE_BY for path in (_files(_ROOT / name))]
    chosen += [path for pattern in _MADE_BY_TESTS for path in _ROOT.glob(pattern)]
    content = hashlib.sha256(sys.version.encode())
    for path in sorted(chosen):
        content.update(f"\0{path.relative_to(_ROOT)}\0".encode() + path.read_bytes())
    return content.hexdigest()[:16]


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return [each for each in path.rglob("*") if each.is_file() and "__pycache__" not in each.parts]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _as_it_lies(folder: Path) -> dict[str, list[int]]:
    """Size and time of each file that is handed out as a link: what tells that one was written in place."""
    found = {path: path.stat() for path in folder.rglob(f"*{_SUFFIX_OF_LINKS}")}
    return {str(path.relative_to(folder)): [of.st_size, of.st_mtime_ns] for path, of in sorted(found.items())}


def _link_or_copy(source: str, target: str) -> str:
    if source.endswith(_SUFFIX_OF_LINKS):
        try:
            os.link(source, target)
        except OSError:  # another file system
            shutil.copy2(source, target)
        return target
    return shutil.copy2(source, target)
