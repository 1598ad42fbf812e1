"""Finds rows that were read while their line was still being written, once their file has gone on behind them."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from features.engine.duckdb_engine import Engine
from features.ingest.staged import Staged
from features.sources.text.beginnings import beginnings, whole
from features.storage.store import StoreWriter

__all__ = ["OpenEnd", "gone_on", "note_open_ends", "noted_open_ends", "open_ends_of"]


_NOTE = "open_ends"
_REMEMBERED = 100
_LINE_ENDS = (b"\n", b"\r")


@dataclass(frozen=True)
class OpenEnd:
    """The last row of a file that did not end its line: whole, or a part of what the line became.

    Attributes
    ----------
    size
        Bytes of the file, unpacked.
    digest
        Of these bytes, under the home's key: a file that begins so is that file, grown.
    event_id, day
        The event it was taken for.
    """

    size: int
    digest: str
    event_id: str
    day: str


def open_ends_of(engine: Engine, staged: Staged, *, key: bytes) -> dict[OpenEnd, tuple[int, int]]:
    """The good rows at open ends of the files, with file and line."""
    ends = {}
    for file, line in staged.open_ends:
        rows = staged.rows
        rows = rows.filter(rows.source_file == file, rows.source_row == line, rows.reason.isnull())
        for row in engine.to_arrow(rows.select("event_id", "event_time")).to_pylist():
            size, digest = whole(staged.paths[file], key=key)
            ends[OpenEnd(size, digest, row["event_id"], row["event_time"].date().isoformat())] = (file, line)
    return ends


def gone_on(ends: Iterable[OpenEnd], paths: Sequence[Path], *, key: bytes) -> tuple[set[OpenEnd], set[OpenEnd]]:
    """Those of which a file shows that their line went on, and those of which one shows that it did not."""
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
    return parts, wholes


def noted_open_ends(writer: StoreWriter) -> list[OpenEnd]:
    """The open ends of earlier ingests."""
    return [OpenEnd(**entry) for entry in writer.notes.get(_NOTE, [])]


def note_open_ends(writer: StoreWriter, ends: Iterable[OpenEnd], *, settled: Collection[OpenEnd]) -> None:
    """Have the writer of events publish these but for those that are settled, the newest last."""
    open_still = [asdict(end) for end in dict.fromkeys(ends) if end not in settled][-_REMEMBERED:]
    if open_still or _NOTE in writer.notes:
        writer.notes[_NOTE] = open_still
