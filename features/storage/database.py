"""Tells whether a SQLite file is the one that was opened, or was replaced, restored in place, cut short or taken away.

An open connection goes on reading a file that was renamed or deleted, and never sees the one that lies there instead.
"""

import fcntl
import os
import sqlite3
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from features.exceptions import DependencyError
from features.storage.read_only import connected_to_read, is_read_only
from features.storage.sqlite_words import sqlite_fault

__all__ = ["RESTORE", "Database", "DatabaseAwayError", "DatabaseState", "Patience", "give_id", "settle"]


_ID_TABLE = "bellwether_store"
RESTORE = "Restore it from a backup."
"""What to do about a database that is lost."""


class DatabaseAwayError(DependencyError):
    """A database that was there is missing, empty or damaged.

    Attributes
    ----------
    name
        Its name inside the home.
    fault
        What is wrong with it.
    """

    def __init__(self, database: "Database", fault: str, remedy: str) -> None:
        super().__init__(f"{database.path} {fault}. {remedy}")
        self.name = database.name
        self.fault = fault


@dataclass(frozen=True)
class DatabaseState:
    """A file as it was at one look; ``store_id`` is None in one that nobody gave an id."""

    device: int
    inode: int
    bytes: int
    written_ns: int
    store_id: str | None

    def is_file_of(self, other: "DatabaseState | None") -> bool:
        """Whether both are the same file: its place on the disk, and the id that was written when it was made."""
        return other is not None and replace(self, bytes=other.bytes, written_ns=other.written_ns) == other


class Patience:
    """Some seconds for which what was opened may go on being used, from the moment at which something is wrong."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._since: float | None = None

    def is_left(self) -> bool:
        """Whether there is any left; the first question begins to count."""
        now = self._clock()
        self._since = now if self._since is None else self._since
        return now - self._since < self._seconds

    def restore(self) -> None:
        """All is well again."""
        self._since = None


class Database:
    """A SQLite file, and what it was when its user opened it; its user keeps threads apart.

    Parameters
    ----------
    name
        What it is called where its folder is nobody's business.
    set_aside
        Folder for a journal that the replaced file left behind.
    remedy
        What to do where the file is missing.
    """

    def __init__(self, path: Path, *, name: str, set_aside: Path, remedy: str = RESTORE) -> None:
        self.path = path
        self.name = name
        self.opened: DatabaseState | None = None
        self._set_aside = set_aside
        self._remedy = remedy
        self._journal: int | None = None

    def look(self) -> DatabaseState:
        """What lies there now; ``opened`` itself while nothing was written since.

        Raises
        ------
        DatabaseAwayError
            When it is missing, or is empty or damaged and was opened before.
        """
        try:
            status = self.path.stat()
        except OSError as error:
            is_missing = isinstance(error, FileNotFoundError | NotADirectoryError)
            fault = "is missing" if is_missing else f"cannot be read: {error.strerror}"
            raise DatabaseAwayError(self, fault, self._remedy) from error
        opened = self.opened
        if opened is not None and (status.st_dev, status.st_ino) != (opened.device, opened.inode):
            self._part_with_journal()
        self._journal = _inode(_beside(self.path, "-wal"))
        if opened is not None and _marks(status) == (opened.device, opened.inode, opened.bytes, opened.written_ns):
            return opened
        return DatabaseState(*_marks(status), self._store_id())

    def fault(self) -> DatabaseAwayError | None:
        """What is wrong with it; None where nothing is, or where it was never there."""
        if self.opened is None and not self.path.exists():
            return None
        try:
            self.look()
        except DatabaseAwayError as error:
            return error
        return None

    def _store_id(self) -> str | None:
        """The id in the file as a new connection reads it, which sees what the file holds and whether it is whole."""
        try:
            # Never by reading the file itself: closing it would free the locks that this process holds on it.
            with closing(_connected(self.path)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master").fetchall()}
                ids = connection.execute(f"SELECT id FROM {_ID_TABLE}").fetchall() if _ID_TABLE in tables else []  # noqa: S608
        except sqlite3.OperationalError:  # locked, or not to be opened: its user will say so, where it matters
            return None if self.opened is None else self.opened.store_id
        except sqlite3.DatabaseError as error:
            raise DatabaseAwayError(self, sqlite_fault(error), RESTORE) from error
        if not tables and self.opened is not None:
            raise DatabaseAwayError(self, "is empty", RESTORE)
        return ids[0][0] if ids else None

    def _part_with_journal(self) -> None:
        """Move away the journal of the file that was opened, where another lies in its place.

        SQLite tells by nothing that a journal belongs to another file, and would read its pages in place of this one's.
        """
        journal, index = _beside(self.path, "-wal"), _beside(self.path, "-shm")
        if self._journal is None:
            return
        try:
            with _alone_in(self.path.parent):
                if _inode(journal) == self._journal:
                    if journal.stat().st_size:
                        self._set_aside.mkdir(parents=True, exist_ok=True)
                        journal.replace(self._set_aside / f"{journal.name}.{self._journal}")
                    else:
                        journal.unlink()
                    index.unlink(missing_ok=True)
        except OSError as error:
            fault = f"has the journal of the file that it replaced beside it, which cannot be moved: {error.strerror}"
            raise DatabaseAwayError(self, fault, f"Remove {journal.name} and {index.name}.") from error


def give_id(database: Path) -> None:
    """Write an id into a database that has none: what tells a store that was made anew from the one before."""
    with suppress(sqlite3.OperationalError), closing(_connected(database)) as connection, connection:
        # A database that cannot be written, or not now, stays without: it is told by its place on the disk.
        connection.execute(f"CREATE TABLE IF NOT EXISTS {_ID_TABLE} (id TEXT NOT NULL)")
        if not connection.execute(f"SELECT 1 FROM {_ID_TABLE}").fetchall():  # noqa: S608 - a name of ours
            connection.execute(f"INSERT INTO {_ID_TABLE} VALUES (?)", (uuid.uuid4().hex,))  # noqa: S608


def settle(database: Path) -> None:
    """Move what stands in the journal into the file: then a copy of the file is whole, and its journal says nothing."""
    with suppress(sqlite3.OperationalError), closing(_connected(database)) as connection:  # what is read stays
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _connected(database: Path) -> sqlite3.Connection:
    """A connection that makes no file."""
    if is_read_only(database):
        return connected_to_read(database, timeout=1)
    return sqlite3.connect(f"{database.absolute().as_uri()}?mode=rw", uri=True, timeout=1)


def _marks(found: os.stat_result) -> tuple[int, int, int, int]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _beside(database: Path, end: str) -> Path:
    return database.with_name(f"{database.name}{end}")


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Keep other processes that look for a journal here waiting; the system frees it when the process ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
