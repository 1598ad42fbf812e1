"""Guards Feast's two SQLite files: newer rows are never overwritten by older ones, and a lost registry is put back."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path

from features.exceptions import DependencyError
from features.storage.read_only import connected_to_read, has_write_ahead_journal, is_read_only
from features.storage.sqlite_words import is_damage, is_held, sqlite_fault

__all__ = [
    "accounts_of_build",
    "accounts_stamped",
    "copy_database",
    "forget_lost_views",
    "forget_newer",
    "forget_others",
    "is_damaged",
    "is_emptied",
    "is_registry_lost",
    "lacks_journal",
    "newest_stamp",
    "protect_online",
    "read_ahead_journal",
    "refuse_lost_registry",
    "remove_database",
    "restore_snapshot",
    "snapshot",
    "unprotected",
    "values_stamped",
]


_SNAPSHOT = "registry.snapshot.db"


def copy_database(database: Path, target: Path) -> None:
    """Copy a database as it is, with what still stands in its journal."""
    with _connected(database) as source, _connected(target) as copy:
        source.backup(copy)


def read_ahead_journal(database: Path) -> None:
    """Let readers go on while a writer writes; the file remembers it.

    Without it a reader fails after 5 seconds behind a materialization.
    """
    with _connected(database) as connection:
        connection.execute("PRAGMA journal_mode=WAL").fetchall()


def protect_online(database: Path, tables: Iterable[str]) -> None:
    """Make the online tables keep the newer of two rows, whichever is written last.

    Feast's upsert replaces whatever is there, so a late or repeated run would put old features back.
    """
    read_ahead_journal(database)
    with _connected(database) as connection:
        for table in tables:
            connection.execute(f'DROP TRIGGER IF EXISTS "{table}_keep_newer"')
            connection.execute(
                f'CREATE TRIGGER "{table}_keep_newer" BEFORE UPDATE ON "{table}" '
                "WHEN old.event_ts > new.event_ts BEGIN SELECT RAISE(IGNORE); END"
            )


def accounts_stamped(database: Path, table: str, *, field: str, cutoff: datetime) -> int:
    """Accounts whose row in an online table is of this cutoff; ``field`` is one that is never null."""
    with _connected(database) as connection:
        if table not in _tables(connection):
            return 0
        query = f'SELECT count(*) FROM "{table}" WHERE feature_name = ? AND event_ts = ?'  # noqa: S608
        (count,) = connection.execute(query, (field, int(cutoff.timestamp()))).fetchall()[0]
    return int(count)


def values_stamped(database: Path, table: str, *, cutoff: datetime) -> dict[str, dict[bytes, bytes]]:
    """Feature to entity key to value, as Feast wrote both, of the rows of this cutoff in an online table."""
    with _connected(database) as connection:
        query = f'SELECT feature_name, entity_key, value FROM "{table}" WHERE event_ts = ?'  # noqa: S608
        values: dict[str, dict[bytes, bytes]] = {}
        for feature, key, value in connection.execute(query, (int(cutoff.timestamp()),)):
            values.setdefault(feature, {})[key] = value
    return values


def is_emptied(database: Path, tables: Iterable[str]) -> bool:
    """Whether no online table holds a row."""
    with _connected(database) as connection:
        existing = _tables(connection)
        queries = [f'SELECT 1 FROM "{table}" LIMIT 1' for table in tables if table in existing]  # noqa: S608
        return not any(connection.execute(query).fetchall() for query in queries)


def accounts_of_build(database: Path, table: str, *, field: str, build: bytes) -> int:
    """Accounts whose row in an online table was copied from this build; ``field`` is the one that names it."""
    with _connected(database) as connection:
        query = f'SELECT count(*) FROM "{table}" WHERE feature_name = ? AND value = ?'  # noqa: S608
        (count,) = connection.execute(query, (field, build)).fetchall()[0]
    return int(count)


def forget_others(database: Path, table: str, keys: Iterable[bytes]) -> None:
    """Delete the rows of an online table whose entity key is not among ``keys``: accounts that are no longer known."""
    with _connected(database) as connection:
        connection.execute("CREATE TEMP TABLE kept (entity_key BLOB PRIMARY KEY) WITHOUT ROWID")
        connection.executemany("INSERT OR IGNORE INTO kept VALUES (?)", ((key,) for key in keys))
        query = f'DELETE FROM "{table}" WHERE entity_key NOT IN (SELECT entity_key FROM kept)'  # noqa: S608
        connection.execute(query)


def is_damaged(database: Path) -> bool:
    """Whether the file is no database any more, or its pages contradict each other; reads all of it."""
    try:
        with closing(_opened(database)) as connection:
            return bool(connection.execute("PRAGMA quick_check(1)").fetchall() != [("ok",)])
    except sqlite3.OperationalError:  # locked, or not to be opened: that is no damage
        return False
    except sqlite3.DatabaseError:
        return True


def remove_database(database: Path) -> None:
    """Remove a file with its journal."""
    for path in (database, *(database.with_name(f"{database.name}{end}") for end in ("-wal", "-shm"))):
        path.unlink(missing_ok=True)


def lacks_journal(database: Path) -> bool:
    """Whether a reader of the file would wait for a writer: :func:`read_ahead_journal` was undone."""
    if is_read_only(database):  # what only reads may say so of a database that has one
        return not has_write_ahead_journal(database)
    with _connected(database) as connection:
        return bool(connection.execute("PRAGMA journal_mode").fetchall() != [("wal",)])


def unprotected(database: Path, tables: Iterable[str]) -> list[str]:
    """Online tables in which an older row would replace a newer one: :func:`protect_online` was undone."""
    with _connected(database) as connection:
        objects = connection.execute("SELECT name, type FROM sqlite_master").fetchall()
    existing = {name for name, kind in objects if kind == "table"}
    guarded = {name for name, kind in objects if kind == "trigger"}
    return [table for table in tables if table in existing and f"{table}_keep_newer" not in guarded]


def newest_stamp(database: Path, tables: Iterable[str]) -> datetime | None:
    """The newest moment any row of the online tables is stamped with; None where there is no row."""
    with _connected(database) as connection:
        existing = _tables(connection)
        queries = [f'SELECT max(event_ts) FROM "{table}"' for table in tables if table in existing]  # noqa: S608
        stamps = [connection.execute(query).fetchall()[0][0] for query in queries]
    return max((datetime.fromtimestamp(stamp, UTC) for stamp in stamps if stamp is not None), default=None)


def forget_newer(database: Path, tables: Iterable[str], moment: datetime) -> None:
    """Delete the online rows stamped after a moment: nothing true could replace them before it has come."""
    with _connected(database) as connection:
        for table in tables:
            connection.execute(f'DELETE FROM "{table}" WHERE event_ts > ?', (int(moment.timestamp()),))  # noqa: S608


def forget_lost_views(registry: Path, views: Iterable[str]) -> None:
    """Delete the history of views that the registry knows no more: Feast would take them for new, and fail on it."""
    if not _has_views(registry):
        return
    with _connected(registry) as connection:
        if "feature_view_version_history" not in _tables(connection):
            return
        for view in views:
            connection.execute(
                "DELETE FROM feature_view_version_history WHERE feature_view_name = ? AND NOT EXISTS "
                "(SELECT 1 FROM feature_views AS known "
                "WHERE known.feature_view_name = feature_view_version_history.feature_view_name "
                "AND known.project_id = feature_view_version_history.project_id)",
                (view,),
            )


def is_registry_lost(registry: Path, online: Path) -> bool:
    """Whether the registry is empty or gone though features were applied before."""
    was_applied = online.exists() or registry.with_name(_SNAPSHOT).exists()
    return was_applied and not _has_views(registry)


def restore_snapshot(registry: Path) -> None:
    """Make the registry again what it was when features were last applied.

    Raises
    ------
    DependencyError
        When there is no snapshot with anything in it.
    """
    snapshot_file = registry.with_name(_SNAPSHOT)
    if not _has_views(snapshot_file):
        raise DependencyError(f"There is no snapshot {snapshot_file} to put back. Restore {registry} from a backup.")
    remove_database(registry)
    copy_database(snapshot_file, registry)


def refuse_lost_registry(registry: Path, online: Path) -> None:
    """Stop when the registry is empty though features were applied before.

    Feast takes an empty file for a new, valid registry and would serve nothing.

    Raises
    ------
    DependencyError
        Naming the snapshot to put back.
    """
    if is_registry_lost(registry, online):
        raise DependencyError(
            f"The feature registry {registry} is empty, though features were applied before. "
            f"Copy {registry.with_name(_SNAPSHOT)} over it and run again. "
            f"To start anew instead, remove the folder {registry.parent}, then run `bellwether features apply` and "
            "`bellwether features materialize`."
        )


def snapshot(registry: Path) -> None:
    """Keep a copy of the registry as it is, when there is something in it."""
    if not _has_views(registry):
        return
    draft = registry.with_name(f"{_SNAPSHOT}.draft")
    draft.unlink(missing_ok=True)
    copy_database(registry, draft)
    draft.replace(registry.with_name(_SNAPSHOT))


def _has_views(registry: Path) -> bool:
    if not registry.exists() or registry.stat().st_size == 0:
        return False
    with _connected(registry) as connection:
        tables = _tables(connection)
        return "feature_views" in tables and bool(connection.execute("SELECT 1 FROM feature_views LIMIT 1").fetchall())


def _tables(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


def _opened(database: Path) -> sqlite3.Connection:
    return connected_to_read(database) if is_read_only(database) else sqlite3.connect(database)


@contextmanager
def _connected(database: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(_opened(database)) as connection, connection:
            yield connection
    except sqlite3.Error as error:
        remedy = (
            "Wait, then run the same command again."
            if is_held(error)
            else "`bellwether doctor --repair` mends what can be mended; else restore it from a backup."
            if is_damage(error)
            else "Mend its permissions or free space, then run the same command again."
        )
        raise DependencyError(f"{database} {sqlite_fault(error)}. {remedy}") from error
