"""Which files of the inbox are new: by content, and without reading what was taken."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import pytest

from features.exceptions import InputError, WorkFailedError
from features.home.home import Home
from features.ingest.inbox import TakenFiles, inbox_folder, new_arrivals, unread_files
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.windows import DAY, utc


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = load_settings(home=tmp_path / "home")
    begin(settings)
    return settings


def begin(settings: Settings, *, days: tuple[str, ...] = (), generation: str = "first") -> None:
    """What an ingest leaves in the manifests of its stores."""
    for store in (Home(settings).stores.events, Home(settings).stores.raw):
        with store.writer() as writer:
            writer.notes["generation"] = generation
            writer.partitions = {day: {} for day in days}


def put(settings: Settings, name: str, text: str = "account_id\n") -> Path:
    path = inbox_folder(Home(settings)) / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def new(settings: Settings) -> list[str]:
    return [
        one.name for files in new_arrivals(Home(settings), TakenFiles(Home(settings))).files.values() for one in files
    ]


def take(settings: Settings) -> None:
    taken = TakenFiles(Home(settings))
    taken.add([one for files in new_arrivals(Home(settings), taken).files.values() for one in files])


def test_files_are_found_by_sub_folder_also_in_folders_below(settings: Settings) -> None:
    for name in ("events/b.csv", "events/2026/a.csv", "accounts/a.csv"):
        put(settings, name, name)
    assert new(settings) == ["events/2026/a.csv", "events/b.csv", "accounts/a.csv"]


def test_no_inbox_is_an_empty_one(settings: Settings) -> None:
    assert (new(settings), unread_files(Home(settings))) == ([], [])


@pytest.mark.parametrize("name", ["inbox", "inbox/events"])
def test_a_file_in_the_place_of_a_folder_is_no_empty_inbox(settings: Settings, name: str) -> None:
    path = settings.home / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    with pytest.raises(InputError, match=rf"{name} is no folder, so nothing can arrive in it\. Move it away"):
        new(settings)


def test_a_file_on_its_way_and_a_file_of_no_kind_are_not_taken(settings: Settings) -> None:
    for name in ("events/.a.csv", "events/_a.csv", "events/a.docx", "elsewhere/a.csv", "a.csv"):
        put(settings, name, name)
    assert new(settings) == []
    assert unread_files(Home(settings)) == ["a.csv", "elsewhere/a.csv", "events/a.docx"]


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


@pytest.mark.parametrize("table", ["accounts", "subscriptions", "touchpoints"])
def test_an_export_that_says_again_what_an_older_one_said_is_new(settings: Settings, table: str) -> None:
    put(settings, f"{table}/1.csv", "account_id,owner\na,ann\n")
    take(settings)
    put(settings, f"{table}/2.csv", "account_id,owner\na,bob\n")
    put(settings, f"{table}/3.csv", "account_id,owner\na,ann\n")
    assert new(settings) == [f"{table}/2.csv", f"{table}/3.csv"]
    take(settings)
    assert new(settings) == []


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
    with pytest.raises(WorkFailedError, match=r"taken\.json is damaged.*Remove it"):
        TakenFiles(Home(settings))


def test_an_absolute_inbox_may_lie_anywhere(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home", inbox=tmp_path / "drop")
    put(settings, "events/a.csv")
    assert (tmp_path / "drop/events/a.csv").exists()
    assert new(settings) == ["events/a.csv"]


def test_after_a_store_was_replaced_or_an_earlier_state_restored_every_file_is_new(settings: Settings) -> None:
    put(settings, "events/a.csv")
    begin(settings, days=("day=2026-01-01", "day=2026-01-02"))
    take(settings)
    begin(settings, days=("day=2026-01-01", "day=2026-01-02", "day=2026-01-03"))
    assert new(settings) == []
    begin(settings, days=("day=2026-01-01",))
    assert new(settings) == ["events/a.csv"]
    begin(settings, days=("day=2026-01-01", "day=2026-01-02"), generation="second")
    assert new(settings) == ["events/a.csv"]
    (Home(settings).stores.events.root / "_manifest.json").unlink()
    assert new(settings) == ["events/a.csv"]


def test_a_file_that_cannot_be_opened_is_refused_and_keeps_no_other_out(settings: Settings) -> None:
    put(settings, "events/a.csv", "a")
    bad = os.fsencode(inbox_folder(Home(settings)) / "events") + b"/caf\xe9.csv"
    Path(os.fsdecode(bad)).write_text("b")
    found = new_arrivals(Home(settings), TakenFiles(Home(settings)))
    assert [one.name for one in found.files["events"]] == ["events/a.csv"]
    assert [(one.name, one.why) for one in found.refused] == [
        ("events/caf\\xe9.csv", "Its name is not UTF-8. Rename it.")
    ]


def test_a_file_that_cannot_be_read_is_refused(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    put(settings, "events/a.csv", "a")
    put(settings, "accounts/a.csv", "b")
    digest = hashlib.file_digest

    def refuses(file: Any, name: str) -> Any:
        if "/events/" in str(file.name):
            raise PermissionError(13, "Permission denied")
        return digest(file, name)

    monkeypatch.setattr("hashlib.file_digest", refuses)
    found = new_arrivals(Home(settings), TakenFiles(Home(settings)))
    assert [one.name for one in found.files["accounts"]] == ["accounts/a.csv"]
    assert [one.why for one in found.refused] == ["It cannot be read: Permission denied. Mend its permissions."]


def test_a_copy_that_kept_its_time_arrived_when_it_was_put_here(settings: Settings) -> None:
    path = put(settings, "events/a.csv")
    os.utime(path, (0, 0))
    (arrival,) = new_arrivals(Home(settings), TakenFiles(Home(settings))).files["events"]
    assert arrival.written_at.timestamp() == pytest.approx(path.stat().st_ctime)


def test_files_are_known_by_the_moment_their_rows_count_as_known_and_can_be_forgotten(settings: Settings) -> None:
    for name in ("events/a.csv", "events/b.csv", "accounts/a.csv"):
        put(settings, name, name)
    taken, moment = TakenFiles(Home(settings)), utc(2026, 6, 29, 6)
    arrivals = [one for files in new_arrivals(Home(settings), taken).files.values() for one in files]
    taken.add([one for one in arrivals if one.name != "events/b.csv"], known_at=moment)
    taken.add([one for one in arrivals if one.name == "events/b.csv"])
    assert list(TakenFiles(Home(settings)).stamped("events", moment)) == ["events/a.csv"]
    assert TakenFiles(Home(settings)).stamped("accounts", moment + DAY) == {}
    taken.forget(["events/a.csv"])
    assert new(settings) == ["events/a.csv"]


def test_what_is_forgotten_takes_nothing_else_with_it_when_the_stores_lose_a_day(settings: Settings) -> None:
    begin(settings, days=("day=2026-06-28", "day=2027-04-25"))
    for name in ("events/a.csv", "events/b.csv"):
        put(settings, name, name)
    take(settings)
    taken = TakenFiles(Home(settings))
    begin(settings, days=("day=2026-06-28",))
    taken.forget(["events/b.csv"])
    assert new(settings) == ["events/b.csv"]


def test_what_two_machines_wrote_alike_is_new_for_each_and_a_renamed_log_of_one_is_not(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path / "home", sources={"events": {"distinct_files": "host"}})
    begin(settings)
    for name in ("web1/access.log", "web2/access.log"):
        put(settings, f"events/{name}", "the same call\n")
    assert new(settings) == ["events/web1/access.log", "events/web2/access.log"]
    take(settings)
    put(settings, "events/web1/access.log.1", "the same call\n")
    put(settings, "events/web3/access.log", "the same call\n")
    put(settings, "events/old/access.log", "the same call\n")  # names no machine
    assert new(settings) == ["events/web3/access.log"]
