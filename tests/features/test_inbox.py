"""Which files of the inbox are new: by content, and without reading what was taken."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from features.exceptions import WorkFailedError
from features.inbox import TakenFiles, inbox_folder, new_arrivals, strangers
from features.settings import Settings, load_settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home")


def put(settings: Settings, name: str, text: str = "account_id\n") -> Path:
    path = inbox_folder(settings) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def new(settings: Settings) -> list[str]:
    return [one.name for files in new_arrivals(settings, TakenFiles(settings)).values() for one in files]


def take(settings: Settings) -> None:
    taken = TakenFiles(settings)
    taken.add([one for files in new_arrivals(settings, taken).values() for one in files])


def test_files_are_found_by_sub_folder_also_in_folders_below(settings: Settings) -> None:
    for name in ("events/b.csv", "events/2026/a.csv", "accounts/a.csv"):
        put(settings, name, name)
    assert new(settings) == ["events/2026/a.csv", "events/b.csv", "accounts/a.csv"]


def test_no_inbox_is_an_empty_one(settings: Settings) -> None:
    assert (new(settings), strangers(settings)) == ([], [])


def test_a_file_on_its_way_and_a_file_of_no_kind_are_not_taken(settings: Settings) -> None:
    for name in ("events/.a.csv", "events/_a.csv", "events/a.docx", "elsewhere/a.csv", "a.csv"):
        put(settings, name, name)
    assert new(settings) == []
    assert strangers(settings) == ["a.csv", "elsewhere/a.csv", "events/a.docx"]


def test_a_taken_file_is_not_opened_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    put(settings, "events/a.csv")
    take(settings)

    def opened(*_: object, **__: object) -> None:
        raise AssertionError("the file was read")

    monkeypatch.setattr("hashlib.file_digest", opened)
    assert new(settings) == []


def test_touched_renamed_and_copied_files_are_known_by_their_content(settings: Settings) -> None:
    path = put(settings, "events/a.csv")
    take(settings)
    os.utime(path, (0, 0))
    assert new(settings) == []
    path.rename(path.with_name("b.csv"))
    put(settings, "events/c.csv")
    assert new(settings) == []


def test_two_new_files_of_one_content_are_one(settings: Settings) -> None:
    put(settings, "events/a.csv")
    put(settings, "events/b.csv")
    assert new(settings) == ["events/a.csv"]


def test_a_rewritten_file_and_the_same_file_for_another_table_are_new(settings: Settings) -> None:
    put(settings, "events/a.csv", "one")
    take(settings)
    put(settings, "events/a.csv", "two")
    put(settings, "accounts/a.csv", "one")
    assert new(settings) == ["events/a.csv", "accounts/a.csv"]


def test_a_memory_that_cannot_be_read_says_what_to_do(settings: Settings) -> None:
    put(settings, "events/a.csv")
    take(settings)
    (settings.home / "nightly/taken.json").write_text("{")
    with pytest.raises(WorkFailedError, match=r"taken\.json cannot be read.*Remove it"):
        TakenFiles(settings)


def test_an_absolute_inbox_may_lie_anywhere(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home", inbox=tmp_path / "drop")
    put(settings, "events/a.csv")
    assert (tmp_path / "drop/events/a.csv").exists()
    assert new(settings) == ["events/a.csv"]
