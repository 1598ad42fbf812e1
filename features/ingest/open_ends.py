"""Finds the lines that were still being written when their file was read, once the file has gone on behind them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from features.engine.duckdb_engine import Engine
from features.ingest.staged import Staged
from features.sources.text.beginnings import beginnings, whole
from features.storage.store import StoreWriter

__all__ = ["Ended", "OpenEnd", "gone_on", "note_open_ends", "noted_open_ends", "open_ends_of"]


_NOTE = "open_ends"
_REMEMBERED = 100
_LINE_ENDS = (b"\n", b"\r")


@dataclass(frozen=True)
class OpenEnd:
    """The last line of a file, which has no end: whole, or a part of what the line became.

    Attributes
    ----------
    size
        Bytes of the file, unpacked.
    digest
        Of these bytes, under the home's key: a file that begins so is that file, grown.
    event_id, day
        The event it was taken for; empty where it was refused.
    line, given
        Its place and what quarantine keeps of it, where it was refused.
    """

    size: int
    digest: str
    event_id: str = ""
    day: str = ""
    line: int = 0
    given: str = ""


@dataclass(frozen=True)
class Ended:
    """Open ends behind which a file has gone on: ``parts`` of a line, and lines that were ``wholes``."""

    parts: frozenset[OpenEnd] = frozenset()
    wholes: frozenset[OpenEnd] = frozenset()

    @property
    def settled(self) -> frozenset[OpenEnd]:
        """Those of which all is known."""
        return self.parts | self.wholes

    def supersedes(self, end: OpenEnd) -> bool:
        """Whether what was read at this end is read again, whole, from a file that went on."""
        return end in self.parts or (end in self.wholes and end.line > 0)

    @property
    def events(self) -> list[tuple[str, date]]:
        """Id and day of the events that are only a part of one."""
        return sorted((end.event_id, date.fromisoformat(end.day)) for end in self.parts if end.event_id)

    @property
    def refused(self) -> list[tuple[int, str]]:
        """Lines that were refused and now are whole, by place and what quarantine keeps of them."""
        return sorted((end.line, end.given) for end in self.settled if end.line)


def open_ends_of(engine: Engine, staged: Staged, *, key: bytes) -> dict[OpenEnd, tuple[int, int]]:
    """The rows at open ends of the files, good or refused, with file and line; of many files the last by name."""
    places = staged.open_ends[-_REMEMBERED:]
    if not places:
        return {}
    rows = staged.rows
    near = rows.filter(
        rows.source_file.isin({file for file, _ in places}), rows.source_row.isin({line for _, line in places})
    )
    columns = ("source_file", "source_row", "event_id", "event_time", "reason", "given")
    ends = {}
    for row in engine.to_arrow(near.select(*columns)).to_pylist():
        file, line = place = row["source_file"], row["source_row"]
        if place not in places:
            continue
        size, digest = whole(staged.paths[file], key=key)
        if row["reason"] is None:
            end = OpenEnd(size, digest, row["event_id"], row["event_time"].date().isoformat())
        else:
            end = OpenEnd(size, digest, line=line, given=row["given"])
        ends[end] = place
    return ends


def gone_on(ends: Iterable[OpenEnd], paths: Sequence[Path], *, key: bytes) -> Ended:
    """Those of which a file shows how their line went on."""
    by_size: dict[int, list[OpenEnd]] = {}
    for end in ends:
        by_size.setdefault(end.size, []).append(end)
    parts, wholes = set[OpenEnd](), set[OpenEnd]()
    for path in paths if by_size else ():
        for size, digest, following in beginnings(path, sorted(by_size), key=key):
            known = {end for end in by_size[size] if end.digest == digest}
            if following in _LINE_ENDS:
                wholes |= known
            else:
                parts |= known
    return Ended(frozenset(parts), frozenset(wholes))


def noted_open_ends(writer: StoreWriter) -> list[OpenEnd]:
    """The open ends of earlier ingests."""
    return [OpenEnd(**entry) for entry in writer.notes.get(_NOTE, [])]


def note_open_ends(writer: StoreWriter, ends: Iterable[OpenEnd], *, settled: Collection[OpenEnd]) -> None:
    """Have the writer of events publish these but for those that are settled, the newest last."""
    open_still = [asdict(end) for end in dict.fromkeys(ends) if end not in settled][-_REMEMBERED:]
    if open_still or _NOTE in writer.notes:
        writer.notes[_NOTE] = open_still
