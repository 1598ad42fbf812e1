"""The inbox: which of its files are new, told by their content, and which were taken before."""

import hashlib
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from features.exceptions import InputError
from features.home.home import Home
from features.settings.fields import SourceSettings
from features.sources.files import find_files
from features.sources.hosts import host_of
from features.storage.state_file import recall, remember

__all__ = [
    "INBOX_TABLES",
    "Arrival",
    "Inbox",
    "Refused",
    "TakenFiles",
    "inbox_folder",
    "new_arrivals",
    "unread_files",
    "waiting",
]


INBOX_TABLES = ("events", "accounts", "subscriptions", "touchpoints")
"""The inbox has one sub-folder for each."""


@dataclass(frozen=True)
class Arrival:
    """One file of the inbox.

    Attributes
    ----------
    name
        Its path below the inbox: its first folder is its raw table.
    content
        SHA-256 of its bytes.
    size
        Bytes.
    written_at
        When it was written or put here, UTC: its rows cannot have been known before.
    """

    path: Path
    name: str
    content: str
    size: int
    written_at: datetime

    @property
    def table(self) -> str:
        """The raw table it belongs to."""
        return self.name.partition("/")[0]


@dataclass(frozen=True)
class Refused:
    """A file of the inbox that could not be used; it stays where it is."""

    name: str
    why: str


@dataclass(frozen=True)
class Inbox:
    """What is new: raw table to files in the order of their names, and the files that cannot even be opened."""

    files: Mapping[str, tuple[Arrival, ...]]
    refused: tuple[Refused, ...] = ()


class TakenFiles:
    """Remembers which files were taken in, by name, size, time and content, and into which stores.

    Where a store was removed since, or an earlier state of it restored, no file counts as taken: to take one twice
    changes nothing.
    """

    def __init__(self, home: Home) -> None:
        self._home = home
        self._path = home.nightly / "taken.json"
        remembered = recall(self._path)
        stores = _stores(home)
        is_believed = (
            None not in stores["generations"]
            and stores["generations"] == remembered.get("generations")
            and set(remembered.get("days", ())) <= set(stores["days"])
        )
        self._files: dict[str, Any] = remembered.get("files", {}) if is_believed else {}

    @property
    def names(self) -> tuple[str, ...]:
        """The files that were taken, by their path below the inbox."""
        return tuple(self._files)

    def recognises(self, name: str, size: int, written_at: datetime) -> bool:
        """Whether this file was taken and not written since; costs no reading."""
        known = self._files.get(name, {})
        return (known.get("size"), known.get("written_at")) == (size, written_at.isoformat())

    def named(self, table: str, content: str) -> tuple[str, ...]:
        """The files of this table with these bytes that were taken, by their path below the inbox."""
        return tuple(
            name
            for name, known in self._files.items()
            if name.startswith(f"{table}/") and known.get("content") == content
        )

    def stamped(self, table: str, moment: datetime) -> dict[str, str]:
        """The files of a table whose rows count as known at this moment where they do not say since when."""
        return {
            name: entry["content"]
            for name, entry in self._files.items()
            if name.startswith(f"{table}/") and entry.get("known_at") == moment.isoformat()
        }

    def forget(self, names: Collection[str]) -> None:
        """Take these files for new again; the others stay taken, whatever became of the stores.

        Raises
        ------
        WorkFailedError
            When it cannot be written down.
        """
        self._files = {name: entry for name, entry in self._files.items() if name not in names}
        remember(self._path, {**_stores(self._home), "files": self._files})

    def add(self, arrivals: Sequence[Arrival], *, known_at: datetime | None = None) -> None:
        """Remember that these files were taken, and since when their rows count as known that do not say it.

        Raises
        ------
        WorkFailedError
            When it cannot be written down: the files are read once more then, which changes nothing.
        """
        if not arrivals:
            return
        self._files = self._files | {
            arrival.name: {
                "content": arrival.content,
                "size": arrival.size,
                "written_at": arrival.written_at.isoformat(),
                **({} if known_at is None else {"known_at": known_at.isoformat()}),
            }
            for arrival in arrivals
        }
        remember(self._path, {**_stores(self._home), "files": self._files})


def inbox_folder(home: Home) -> Path:
    """Where new files arrive; below the home unless the setting is absolute."""
    return home.inbox


def new_arrivals(home: Home, taken: TakenFiles) -> Inbox:
    """The files that were never taken.

    A file of the same name with another content is new. The same content under another name or with another time is
    not, and is remembered, but for exports of a CRM and for logs whose names tell another machine. Files whose name
    begins with a dot or an underscore are still on their way.

    Raises
    ------
    InputError
        When a file lies where a folder for them should: nothing would ever be taken.
    """
    root = inbox_folder(home)
    for folder in (root, *(root / table for table in INBOX_TABLES)):
        if folder.is_file():
            raise InputError(f"{folder} is no folder, so nothing can arrive in it. Move it away and make a folder.")
    refused: list[Refused] = []
    files = {table: tuple(_new_of(home, table, taken, refused)) for table in INBOX_TABLES}
    return Inbox(files, tuple(refused))


def unread_files(home: Home) -> list[str]:
    """Names of files below the inbox that nothing will ever read: of an unknown kind, or in no table's sub-folder."""
    root = inbox_folder(home)
    if not root.is_dir():
        return []
    known = {path for table in INBOX_TABLES for path in _files_of(root / table)}
    files = (path for path in sorted(root.rglob("*")) if path.is_file() and not path.name.startswith((".", "_")))
    return [_printable(path.relative_to(root).as_posix()) for path in files if path not in known]


def waiting(home: Home, table: str) -> list[datetime]:
    """When each file of a table that was not taken yet was put into the inbox; nothing is read, nothing remembered."""
    taken, root = TakenFiles(home), inbox_folder(home)
    arrived = []
    for path in _files_of(root / table):
        state = path.stat()
        written_at = _arrived_at(state)
        if not taken.recognises(path.relative_to(root).as_posix(), state.st_size, written_at):
            arrived.append(written_at)
    return sorted(arrived)


def _new_of(home: Home, table: str, taken: TakenFiles, refused: list[Refused]) -> Iterator[Arrival]:
    root, machines = inbox_folder(home), home.settings.sources.get(table, SourceSettings()).distinct_files
    contents: set[tuple[str, str | None]] = set()
    moved: list[Arrival] = []
    for path in _files_of(root / table):
        name = path.relative_to(root).as_posix()
        if _printable(name) != name:
            refused.append(Refused(_printable(name), "Its name is not UTF-8. Rename it."))
            continue
        try:
            state = path.stat()
            written_at = _arrived_at(state)
            if taken.recognises(name, state.st_size, written_at):
                continue
            with path.open("rb") as file:
                content = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            refused.append(Refused(name, f"It cannot be read: {error.strerror}. Mend its permissions."))
            continue
        arrival = Arrival(path, name, content, state.st_size, written_at)
        # An export of a CRM that says again what an older one said undoes the one between them.
        is_snapshot = table != "events"
        machine = _machine(path, machines)
        before = {_machine(root / other, machines) for other in taken.named(table, content)}
        if before and not is_snapshot and (machine is None or machine in before):
            moved.append(arrival)
        elif (content, machine) not in contents or is_snapshot:
            contents.add((content, machine))
            yield arrival
    taken.add(moved)


def _machine(path: Path, pattern: str | None) -> str | None:
    """The machine that a file is of, where machines tell rows apart: what two of them wrote alike is not the same."""
    return None if pattern is None else host_of(path.absolute(), pattern)


def _arrived_at(state: os.stat_result) -> datetime:
    """When it was put here: a copy may keep the time of its original (`rsync -t`), which is not when we had it."""
    return datetime.fromtimestamp(max(state.st_mtime, state.st_ctime), UTC)


def _printable(name: str) -> str:
    """The name with the bytes that are no UTF-8 written out."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _stores(home: Home) -> dict[str, Any]:
    """Which stores these are, and how far they had got: what a removal or a restored copy changes."""
    events, raw = home.stores.events.manifest(), home.stores.raw.manifest()
    return {"generations": [one.notes.get("generation") for one in (events, raw)], "days": sorted(events.partitions)}


def _files_of(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    try:
        return list(find_files([folder]).paths)
    except InputError:  # it holds nothing that could be read
        return []
