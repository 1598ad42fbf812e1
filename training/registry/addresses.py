"""Addresses of artifacts in the registry's database, which MLflow keeps absolute: made right in a home that moved."""

import sqlite3
from contextlib import closing
from pathlib import Path

from features.exceptions import DependencyError
from features.home.home import Home
from features.storage.sqlite_words import sqlite_fault

__all__ = ["address_here", "addresses_elsewhere", "relocate"]


_MARK = "/mlflow/artifacts/"
_COLUMNS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "storage_location"),
    ("model_versions", "source"),
)


def address_here(home: Home, address: str) -> str:
    """The address of the same artifact under this home; as given when it was never below a home's artifacts.

    >>> from features.settings.fields import Settings
    >>> address_here(Home(Settings(home="/srv/b")), "file:///old/var/mlflow/artifacts/bellwether-churn/1/artifacts")
    'file:///srv/b/mlflow/artifacts/bellwether-churn/1/artifacts'
    """
    _, mark, below = address.rpartition(_MARK)
    return _root(home) + below if mark and address.startswith("file:") else address


def addresses_elsewhere(home: Home) -> list[str]:
    """Folders outside this home that the database takes for the home's artifacts, each once, ascending."""
    roots = {address.rpartition(_MARK)[0] for _, _, address in _outside(home)}
    return sorted(address.removeprefix("file://") + _MARK.rstrip("/") for address in roots)


def relocate(home: Home) -> int:
    """Let every address lead into this home; returns how many led elsewhere. Hold the registry's lock.

    Raises
    ------
    DependencyError
        When the database cannot be read or written.
    """
    outside = _outside(home)
    if not outside:
        return 0
    try:
        with closing(sqlite3.connect(database_file(home), timeout=30)) as connection, connection:
            for table, column, address in outside:
                connection.execute(
                    f"UPDATE {table} SET {column} = ? WHERE {column} = ?",  # noqa: S608 - names of ours
                    (address_here(home, address), address),
                )
    except sqlite3.Error as error:
        raise _away(home, error) from error
    return len(outside)


def _outside(home: Home) -> list[tuple[str, str, str]]:
    """Table, column and address of each artifact that lies in another home."""
    database, root = database_file(home), _root(home)
    if not database.exists():
        return []
    try:
        with closing(sqlite3.connect(database, timeout=30)) as connection:
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            rows = [
                (table, column, address)
                for table, column in _COLUMNS
                if table in tables
                for (address,) in connection.execute(
                    f"SELECT DISTINCT {column} FROM {table} WHERE {column} LIKE 'file:%{_MARK}%'"  # noqa: S608
                )
            ]
    except sqlite3.Error as error:
        raise _away(home, error) from error
    return [row for row in rows if not row[2].startswith(root)]


def _root(home: Home) -> str:
    return f"{(home.mlflow_artifacts).as_uri()}/"


def database_file(home: Home) -> Path:
    return home.mlflow_database


def _away(home: Home, error: sqlite3.Error) -> DependencyError:
    return DependencyError(
        f"The registry {database_file(home)} {sqlite_fault(error)}. Restore it from a backup, or move the folder "
        "mlflow away and train again."
    )
