"""Writes a path so that a library reads the file that is meant, whatever characters its name holds."""

import glob
import os
from collections.abc import Iterator
from pathlib import Path

__all__ = ["expanded", "matching", "sqlite_url", "unusable", "written_out"]


def expanded(path: Path) -> Path:
    """The path with ``~`` as the folder of a person; as given where there is nobody of that name.

    >>> expanded(Path("~nobody-of-this-name/calls.csv"))
    PosixPath('~nobody-of-this-name/calls.csv')
    """
    try:
        return path.expanduser()
    except RuntimeError:
        return path


def matching(pattern: Path) -> Iterator[Path]:
    """What a glob names; as far as it is there letter for letter, it is no pattern."""
    literal = pattern
    while not os.path.exists(literal):  # noqa: PTH110 - which is false, and no error, where it may not be seen
        literal = literal.parent
    rest = pattern.relative_to(literal)
    yield from map(Path, glob.glob(str(Path(glob.escape(str(literal))) / rest), recursive=True))  # noqa: PTH207


def written_out(path: Path) -> str:
    """The path as a pattern of the engine that matches this file alone.

    The engine takes every path for a pattern, and a backslash for an end of a folder: see :func:`unusable`.

    >>> written_out(Path("/data/calls [old]?.parquet"))
    '/data/calls [[]old][?].parquet'
    """
    return glob.escape(str(path))


def sqlite_url(path: Path) -> str:
    """The address of a SQLite file, for SQLAlchemy and whatever stands on it.

    >>> sqlite_url(Path("/data/var/mlflow.db")), sqlite_url(Path("/data/100%?/mlflow.db"))
    ('sqlite:////data/var/mlflow.db', 'sqlite+pysqlite:////data/100%25%3F/mlflow.db')
    """
    quoted = str(path).replace("%", "%25").replace("?", "%3F")
    # MLflow makes the folders of an address, quoted as they stand there, but not of one that names its driver.
    return f"sqlite:///{quoted}" if quoted == str(path) else f"sqlite+pysqlite:///{quoted}"


def unusable(folder: Path) -> str | None:
    r"""Why no store can lie in a folder of this name; None where it can.

    >>> unusable(Path("/data/a b?%#[x]*"))
    >>> unusable(Path("/data/a\nb"))
    "its name '/data/a\\nb' holds a control character"
    """
    text = str(folder)
    if any("\udc80" <= letter <= "\udcff" for letter in text):
        return f"its name {text!a} is not UTF-8"
    if "\\" in text:
        return f"its name {text!r} holds a backslash, which the engine takes for the end of a folder"
    if any(letter < " " or letter == "\x7f" for letter in text):
        return f"its name {text!r} holds a control character"
    return None
