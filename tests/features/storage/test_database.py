"""A SQLite file that takes another's place is told from it, however it came there."""

import os
import shutil
import sqlite3
from contextlib import closing

import pytest

from features.storage.database import Database, DatabaseAwayError, Patience, give_id, settle


def made(path, value):
    """A database with one row and a write-ahead journal, all of it in the file."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("CREATE TABLE told (value)")
        connection.execute("INSERT INTO told VALUES (?)", (value,))
    give_id(path)
    return path


def read(path):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT value FROM told").fetchall()[0][0]


def say(connection, value):
    with connection:
        connection.execute("UPDATE told SET value = ?", (value,))


@pytest.fixture
def file(tmp_path):
    return made(tmp_path / "a.db", "first")


@pytest.fixture
def database(file, tmp_path):
    opened = Database(file, name="a.db", set_aside=tmp_path / "aside")
    opened.opened = opened.look()
    return opened


def test_a_file_that_nobody_touched_is_the_state_that_was_opened(database):
    assert database.look() is database.opened


def test_a_file_that_was_written_to_is_the_same_file(database, file):
    with closing(sqlite3.connect(file)) as connection:
        say(connection, "second")
    state = database.look()
    assert state is not database.opened
    assert state.is_file_of(database.opened)


def test_an_older_copy_with_the_same_id_is_told_by_its_place(database, file, tmp_path):
    shutil.copy2(file, tmp_path / "copy").replace(file)
    state = database.look()
    assert state.store_id == database.opened.store_id is not None
    assert not state.is_file_of(database.opened)


def test_another_store_written_over_the_file_is_told_by_its_id(database, file, tmp_path):
    other = made(tmp_path / "b.db", "other")
    shutil.copyfile(other, file)
    state = database.look()
    assert (state.device, state.inode) == (database.opened.device, database.opened.inode)
    assert not state.is_file_of(database.opened)


def test_an_older_copy_written_over_the_file_is_told_as_written_to(database, file, tmp_path):
    shutil.copyfile(file, tmp_path / "copy")
    with closing(sqlite3.connect(file)) as connection:
        say(connection, "second")
    database.opened = database.look()
    os.utime(tmp_path / "copy")
    shutil.copyfile(tmp_path / "copy", file)
    assert database.look() is not database.opened


@pytest.mark.parametrize(("bytes_left", "fault"), [(0, "is empty"), (3000, "is damaged"), (4096, "is damaged")])
def test_a_file_that_was_cut_short_is_away(database, file, bytes_left, fault):
    os.truncate(file, bytes_left)
    with pytest.raises(DatabaseAwayError, match=rf"a\.db {fault}.*Restore it from a backup"):
        database.look()
    assert (database.fault().name, database.fault().fault.startswith(fault)) == ("a.db", True)


def test_a_file_that_was_taken_away_and_put_back_is_the_same(database, file, tmp_path):
    file.rename(tmp_path / "elsewhere")
    with pytest.raises(DatabaseAwayError, match=r"a\.db is missing"):
        database.look()
    (tmp_path / "elsewhere").rename(file)
    assert database.look() is database.opened


def test_one_that_was_never_there_is_not_away(tmp_path):
    assert Database(tmp_path / "never.db", name="never.db", set_aside=tmp_path).fault() is None


def test_a_journal_left_beside_would_be_read_in_place_of_the_file(file, tmp_path):
    """SQLite has nothing that says to which file a journal belongs."""
    other = made(tmp_path / "b.db", "other")
    with closing(sqlite3.connect(file)) as connection:
        say(connection, "in the journal")
        other.replace(file)
        assert read(file) != "other"


def test_the_journal_of_a_replaced_file_is_moved_away(database, file, tmp_path):
    other = made(tmp_path / "b.db", "other")
    with closing(sqlite3.connect(file)) as connection:
        say(connection, "in the journal")
        database.look()
        other.replace(file)
        state = database.look()
        assert read(file) == "other"
    assert not state.is_file_of(database.opened)
    (journal,) = (tmp_path / "aside").iterdir()
    assert journal.name.startswith("a.db-wal.")
    assert b"in the journal" in journal.read_bytes()
    assert read(file) == "other"  # also after the last connection to the replaced file was closed


def test_a_journal_that_came_with_the_file_stays(database, file, tmp_path):
    other = made(tmp_path / "b.db", "other")
    with closing(sqlite3.connect(file)) as old, closing(sqlite3.connect(other)) as new:
        say(old, "in the journal")
        say(new, "in its own journal")
        database.look()
        for end in ("-wal", "-shm", ""):
            (tmp_path / f"b.db{end}").replace(tmp_path / f"a.db{end}")
        database.look()
        assert read(file) == "in its own journal"
    assert not (tmp_path / "aside").exists()


def test_an_id_is_given_once(file):
    ids = []
    for _ in range(2):
        give_id(file)
        with closing(sqlite3.connect(file)) as connection:
            ids += connection.execute("SELECT id FROM bellwether_store").fetchall()
    assert len(ids) == 2
    assert len(set(ids)) == 1


def test_what_cannot_be_written_now_gets_no_id(tmp_path):
    with closing(sqlite3.connect(tmp_path / "a.db")) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        give_id(tmp_path / "a.db")
    give_id(tmp_path / "missing.db")
    assert not (tmp_path / "missing.db").exists()


def test_a_settled_file_is_whole_without_its_journal(file, tmp_path):
    with closing(sqlite3.connect(file)) as connection:
        say(connection, "second")
        settle(file)
        assert read(shutil.copyfile(file, tmp_path / "copy")) == "second"
        assert file.with_name("a.db-wal").stat().st_size == 0


def test_patience_begins_at_the_first_question_and_ends(monkeypatch):
    now = 100.0
    patience = Patience(10, clock=lambda: now)
    assert patience.is_left()
    now = 109.0
    assert patience.is_left()
    now = 110.0
    assert not patience.is_left()
    patience.restore()
    assert patience.is_left()
    assert not Patience(0).is_left()
