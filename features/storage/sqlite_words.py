"""What is wrong with a SQLite file, in plain words: SQLite's own are about its insides."""

import sqlite3

__all__ = ["is_damage", "is_held", "sqlite_fault"]

_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR)
_HELD = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_BUSY = "is held by another process"
_WORDS = {
    sqlite3.SQLITE_CORRUPT: "is damaged",
    sqlite3.SQLITE_NOTADB: "is no database any more",
    sqlite3.SQLITE_FORMAT: "is no database any more",
    sqlite3.SQLITE_ERROR: "lacks something that it should hold",
    sqlite3.SQLITE_CONSTRAINT: "contradicts itself",
    sqlite3.SQLITE_BUSY: _BUSY,
    sqlite3.SQLITE_LOCKED: _BUSY,
    sqlite3.SQLITE_READONLY: "cannot be written",
    sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    sqlite3.SQLITE_PERM: "cannot be opened",
    sqlite3.SQLITE_AUTH: "cannot be opened",
    sqlite3.SQLITE_IOERR: "cannot be read from its disk, or written to it",
    sqlite3.SQLITE_FULL: "cannot be written: the disk is full",
}


def sqlite_fault(error: BaseException, *, reason: str | None = None) -> str:
    """What the file that the error is about is or lacks, to follow its name in a sentence.

    An error without a code of SQLite's has words of its own, which stay: ``reason``, else the error's.

    >>> import sqlite3
    >>> try:
    ...     sqlite3.connect(":memory:").execute("SELECT * FROM nothing")
    ... except sqlite3.Error as error:
    ...     sqlite_fault(error)
    'lacks something that it should hold'
    """
    code = _code(error)
    if code is None:
        lines = (str(error) if reason is None else reason).strip().splitlines()
        return f"cannot be used: {lines[0].rstrip('.') if lines else 'no reason is given'}"
    return _WORDS.get(code, "cannot be used")


def is_damage(error: BaseException) -> bool:
    """Whether the content of the file is at fault, rather than who may open it when."""
    return _code(error) in _DAMAGED


def is_held(error: BaseException) -> bool:
    """Whether another process keeps it for now."""
    return _code(error) in _HELD


def _code(error: BaseException) -> int | None:
    """SQLite's primary result code; libraries keep SQLite's own error as what theirs was raised for."""
    cause: BaseException | None = error
    while cause is not None:
        code = getattr(getattr(cause, "orig", cause), "sqlite_errorcode", None)
        if code is not None:
            return int(code) & 0xFF
        cause = cause.__cause__
    return None
