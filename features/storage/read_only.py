"""Reads SQLite files where nothing can be written, as on a mounted backup or a copy for others to look at."""

import os
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

__all__ = ["connected_to_read", "has_write_ahead_journal", "is_read_only", "state_of"]


def is_read_only(path: Path) -> bool:
    """Whether neither a file can be made in the folder of ``path``, nor ``path``, where it is there, be changed.

    SQLite wants to write both: what it locks lies beside the file.
    """
    folder = path.parent
    return (folder.is_dir() and not os.access(folder, os.W_OK)) or (path.exists() and not os.access(path, os.W_OK))


def connected_to_read(database: Path, **options: Any) -> sqlite3.Connection:
    """A connection that writes nothing, not even beside the file; ``options`` are those of :func:`sqlite3.connect`.

    SQLite opens no file that has a write-ahead journal where it cannot make one, unless it is told that the file never
    changes; it then leaves out what still stands in a journal, so it is told so only where there is none. Whoever keeps
    the connection compares :func:`state_of`, which tells when somebody else has written meanwhile.

    Raises
    ------
    sqlite3.OperationalError
        When a part of the database stands in a journal that cannot be read without writing.
    """
    mode = "mode=ro"
    if has_write_ahead_journal(database):
        journal, index = (database.with_name(f"{database.name}{end}") for end in ("-wal", "-shm"))
        if not journal.exists() or journal.stat().st_size == 0:
            mode = "mode=ro&immutable=1"
        elif not index.exists():
            raise sqlite3.OperationalError(
                f"a part of it stands in {journal.name}, which is read only where {index.name} can be written; copy "
                "the folder to where it can"
            )
    connection: sqlite3.Connection = sqlite3.connect(f"file:{quote(str(database))}?{mode}", uri=True, **options)
    return connection


def state_of(database: Path) -> tuple[tuple[int, int, int], ...]:
    """Numbers that change whenever a database is written or replaced, those of its journal among them."""
    states = (_state(database.with_name(f"{database.name}{end}")) for end in ("", "-wal"))
    return tuple((state.st_ino, state.st_mtime_ns, state.st_size) for state in states if state is not None)


def _state(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def has_write_ahead_journal(database: Path) -> bool:
    """Whether readers of a database go on while a writer writes: what its header says, without opening it."""
    try:
        with database.open("rb") as file:
            return file.read(20)[18:20] == b"\x02\x02"  # the versions of the format to write and to read it
    except OSError:
        return False
