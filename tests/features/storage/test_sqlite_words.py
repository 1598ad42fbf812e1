"""SQLite's errors are told in plain words, and who is to blame is known by their code."""

import os
import sqlite3
from contextlib import closing

import pytest

from features.storage.sqlite_words import is_damage, is_held, sqlite_fault


def error_of(file, statement, **options):
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=rw", uri=True, **options)) as connection:
        with pytest.raises(sqlite3.Error) as raised:
            connection.execute(statement).fetchall()
        return raised.value


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE words (word TEXT UNIQUE)")
        connection.executemany("INSERT INTO words VALUES (?)", ((f"{number:0200}",) for number in range(200)))
        connection.commit()
    return path


def test_a_damaged_file(file):
    os.truncate(file, file.stat().st_size // 4096 // 2 * 4096)
    error = error_of(file, "SELECT * FROM words")
    assert (sqlite_fault(error), is_damage(error), is_held(error)) == ("is damaged", True, False)


def test_no_database_and_one_without_its_tables(file):
    assert sqlite_fault(error_of(file, "SELECT * FROM lost")) == "lacks something that it should hold"
    file.write_bytes(b"no database " * 1000)
    assert sqlite_fault(error_of(file, "SELECT * FROM words")) == "is no database any more"


def test_a_file_that_another_keeps(file):
    with closing(sqlite3.connect(file)) as other:
        other.execute("BEGIN EXCLUSIVE")
        error = error_of(file, "SELECT * FROM words", timeout=0)
    assert (sqlite_fault(error), is_damage(error), is_held(error)) == ("is held by another process", False, True)


def test_the_cause_of_a_librarys_error_counts(file):
    cause = error_of(file, f"INSERT INTO words VALUES ('{0:0200}')")
    wrapped = RuntimeError("UNIQUE constraint failed")
    wrapped.__cause__ = cause
    assert sqlite_fault(wrapped) == "contradicts itself"


def test_words_of_ours_stay():
    assert sqlite_fault(sqlite3.OperationalError("a part stands in a journal.\nmore")) == (
        "cannot be used: a part stands in a journal"
    )
    assert sqlite_fault(sqlite3.OperationalError(), reason="") == "cannot be used: no reason is given"
