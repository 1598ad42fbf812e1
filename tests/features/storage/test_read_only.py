"""A database is read without a file made beside it, and never without what stands in its journal."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from features.storage.read_only import connected_to_read, has_write_ahead_journal, is_read_only, state_of

# A process that ends without closing leaves the last rows in the journal.
LEFT_OPEN = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1])
connection.execute("PRAGMA journal_mode=WAL")
connection.execute("CREATE TABLE rows (a)")
connection.commit()
connection.execute("PRAGMA wal_checkpoint")
connection.execute("INSERT INTO rows VALUES (1)")
connection.commit()
os._exit(0)
"""


@pytest.fixture
def database(tmp_path):
    """A row in the journal, none in the file."""
    path = tmp_path / "100% a?#.db"
    subprocess.run([sys.executable, "-c", LEFT_OPEN, str(path)], check=True)
    return path


def rows(path):
    with closing(connected_to_read(path)) as connection:
        return connection.execute("SELECT a FROM rows").fetchall()


def test_what_stands_in_the_journal_is_read(database):
    assert has_write_ahead_journal(database)
    assert rows(database) == [(1,)]


def test_a_journal_that_cannot_be_read_without_writing_is_no_empty_one(database):
    database.with_name(f"{database.name}-shm").unlink()
    with pytest.raises(sqlite3.OperationalError, match=r"a part of it stands in .*-wal, .* copy the folder"):
        connected_to_read(database)


def test_nothing_is_made_beside_a_database_at_rest_and_nothing_is_written(database):
    with closing(sqlite3.connect(database)) as connection:  # the last one brings the journal into the file
        connection.execute("SELECT a FROM rows").fetchall()
    before = state_of(database)
    assert rows(database) == [(1,)]
    with closing(connected_to_read(database)) as connection, pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM rows")
    assert state_of(database) == before
    assert [path.name for path in database.parent.iterdir()] == [database.name]
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("INSERT INTO rows VALUES (2)")
    assert state_of(database) != before


@pytest.mark.parametrize("sealed", ["folder", "file", None])
def test_a_database_is_read_only_where_its_folder_or_itself_cannot_be_written(tmp_path, monkeypatch, sealed):
    path = tmp_path / "a.db"
    path.touch()
    denied = {"folder": tmp_path, "file": path, None: None}[sealed]
    monkeypatch.setattr(os, "access", lambda asked, _mode: asked != denied)
    assert is_read_only(path) == (sealed is not None)
