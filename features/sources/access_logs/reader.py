"""Reads access logs of nginx and Apache: columns of text, and the lines that hold no row."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from features.sources.access_logs.format import Field, Kind, LogFormat
from features.sources.access_logs.line import LineParser
from features.sources.access_logs.request import (
    PARAMETER,
    known_methods,
    of_request,
    of_target,
    parameters,
    without_query,
)
from features.sources.access_logs.table import TableParser
from features.sources.text.lines import CUT_SHORT, NOT_UTF8, UNREADABLE, Block, Fault, read_blocks
from features.sources.text.repeats import Repeats
from features.sources.text.rows import Identity, Rows

__all__ = ["log_schema", "read_access_log", "times_of"]


_TIMES = pa.timestamp("us", tz="UTC")
_LOCAL_FORMAT = "%d/%b/%Y:%H:%M:%S"
_TIME_FORMAT = f"{_LOCAL_FORMAT} %z"
_ADDRESSES = ("http_referer", "sent_http_location")
_NO_TIME = "there is no time where the format has one"
_NO_END = "the line has no end: it is still being written, or was cut"


def log_schema(log: LogFormat, asked: Sequence[str] = ()) -> pa.Schema:
    """The columns of a log and their types, and the query parameters among ``asked``."""
    times = {field.name for field in log.fields if field.kind is Kind.TIME}
    more = [name for name in asked if name.startswith(PARAMETER) and log.has_query]
    names = dict.fromkeys((*log.columns, *more))
    return pa.schema([(name, _TIMES if name in times else pa.string()) for name in names])


def read_access_log(
    path: Path, columns: Sequence[str], log: LogFormat, *, block_bytes: int = 8 << 20
) -> Iterator[Rows]:
    """The rows of a log, of each ``columns``, known by their line; a value written as ``-`` is null.

    A line that departs from the format is a fault, and so is a last line without an end. Each row tells which of
    the file's identical lines it is: two calls of one second may look the same.
    """
    parse = _Parser(log, tuple(columns))
    repeats = Repeats()
    for block in read_blocks(path, block_bytes=block_bytes):
        if block.cut and not block.content:  # a log cut inside a line says so by that line
            yield parse.nothing(Fault(block.first_line, CUT_SHORT, "the file was cut short here", b""))
            continue
        lines = _lines(block.content)
        bare = pc.ascii_rtrim(lines, "\r\n")  # a log copied to another system is the same log
        yield parse(block, lines, Identity(bare, pa.array(repeats(bare))))


class _Parser:
    """Turns the lines of a block into rows: most of them at once, the others one by one."""

    def __init__(self, log: LogFormat, columns: tuple[str, ...]) -> None:
        self._log = log
        self._schema = log_schema(log, columns)
        self._columns = columns
        self._fields = [field for field in log.fields if _is_read(field, columns)]
        self._alone = LineParser(log)
        self._at_once = TableParser(log, [field.name for field in self._fields])

    def __call__(self, block: Block, lines: pa.StringArray, identity: Identity) -> Rows:
        has_end = block.content.endswith(b"\n")
        readable = max(len(lines) - (not has_end), 0) if _is_utf8(block.content) else 0
        done, table = self._at_once(identity.lines.slice(0, readable))
        left = np.setdiff1d(np.arange(len(lines)), done, assume_unique=True)
        faults: list[Fault] = []
        rows: list[dict[str, str | None]] = []
        places: list[int] = []
        for place in left.tolist():
            line = lines[place].as_buffer().to_pybytes()
            row = self._row(line)
            if isinstance(row, Fault):
                faults.append(Fault(block.first_line + place, row.reason, row.what, row.content))
            elif row is not None:
                rows.append(row)
                places.append(place)
        if rows:
            alone = pa.table({name: pa.array([row[name] for row in rows], pa.string()) for name in table.column_names})
            table, done = pa.concat_tables([table, alone]).combine_chunks(), np.append(done, places)
        return self._rows(block, lines, identity, done, table, faults)

    def nothing(self, fault: Fault) -> Rows:
        """No row, and why."""
        empty = pa.schema(map(self._schema.field, self._columns)).empty_table()
        return Rows(empty, np.zeros(0, dtype=np.int64), (fault,))

    def _row(self, line: bytes) -> dict[str, str | None] | Fault | None:
        plain = line.rstrip(b"\r\n")
        if not line.endswith(b"\n"):
            return Fault(0, CUT_SHORT, _NO_END, plain)
        if not plain:
            return None
        try:
            row = self._alone(plain.decode())
        except UnicodeDecodeError:
            return Fault(0, NOT_UTF8, "bytes that are not UTF-8", plain)
        return Fault(0, UNREADABLE, row, plain) if isinstance(row, str) else row

    def _rows(
        self,
        block: Block,
        lines: pa.StringArray,
        identity: Identity,
        places: npt.NDArray[np.int64],
        table: pa.Table,
        faults: list[Fault],
    ) -> Rows:
        good = np.ones(len(places), dtype=bool)
        for field in self._fields:
            if field.kind is Kind.TIME:
                times = times_of(_whole(table[field.name]))
                good &= pc.is_valid(times).to_numpy(zero_copy_only=False)
                table = table.set_column(table.column_names.index(field.name), field.name, times)
        if not good.all():
            bad = [(int(place), lines[int(place)].as_buffer().to_pybytes().rstrip(b"\r\n")) for place in places[~good]]
            faults = [*faults, *(Fault(block.first_line + at, UNREADABLE, _NO_TIME, line) for at, line in bad)]
            table, places = table.filter(pa.array(good)), places[good]
        taken = pa.array(places)
        known = Identity(identity.lines.take(taken), identity.copies.take(taken))
        numbers = places + block.first_line
        return Rows(
            self._table_of(table), numbers, tuple(sorted(faults, key=_line)), identity=known, open_end=block.open_end
        )

    def _table_of(self, fields: pa.Table) -> pa.Table:
        """The asked columns of the fields that were read."""
        columns = {name: _whole(fields[name]) for name in fields.column_names}
        taken = {field.name for field in self._fields}
        for field in self._fields:
            if field.kind is Kind.REQUEST:
                columns |= {
                    name: column for name, column in of_request(columns[field.name]).items() if name not in taken
                }
        if "request_method" in columns:
            columns["request_method"] = known_methods(columns["request_method"])
        targets = [columns[field.name] for field in self._fields if field.kind is Kind.TARGET]
        targets += [columns["request_uri"]] if "request_uri" in columns and not targets else []
        queries = [columns[field.name] for field in self._fields if field.kind is Kind.QUERY]
        if targets:
            path, query = of_target(targets[0])
            columns.setdefault("uri", path)
            queries = queries or [query]
        asked = [name for name in self._columns if name not in columns]
        if queries and asked:
            columns |= parameters(queries[0], asked)
        for name in _ADDRESSES:
            if name in columns:
                columns[name] = without_query(columns[name])
        return pa.table(
            {name: columns[name] for name in self._columns}, pa.schema(map(self._schema.field, self._columns))
        )


def _is_read(field: Field, columns: Sequence[str]) -> bool:
    """Whether a field is needed for the asked columns; a time always, since it says that the line is whole."""
    has_query = any(name.startswith(PARAMETER) for name in columns)
    if field.kind in (Kind.REQUEST, Kind.TARGET):
        return has_query or not {"request_method", "uri", "server_protocol"}.isdisjoint(columns)
    return field.kind is Kind.TIME or (field.kind is Kind.QUERY and has_query) or field.name in columns


def _lines(content: bytes) -> pa.StringArray:
    """The lines with their ends, as they lie in memory; they need not be UTF-8."""
    ends = np.flatnonzero(np.frombuffer(content, dtype=np.uint8) == ord("\n")) + 1
    bounds = np.concatenate([[0], ends, [len(content)] if content and not content.endswith(b"\n") else []])
    offsets = bounds.astype(np.int32)
    return pa.StringArray.from_buffers(len(offsets) - 1, pa.py_buffer(offsets), pa.py_buffer(content))


def times_of(texts: pa.StringArray) -> pa.TimestampArray:
    """Moments; null where a text is none."""
    distinct = texts.dictionary_encode()
    moments = pc.strptime(distinct.dictionary, _TIME_FORMAT, "us", error_is_null=True).cast(_TIMES)
    # It takes the 31st of February for the 3rd of March.
    local = pc.strptime(pc.utf8_slice_codeunits(distinct.dictionary, 0, -6), _LOCAL_FORMAT, "s", error_is_null=True)
    is_day = pc.equal(pc.strftime(local, "%d"), pc.utf8_slice_codeunits(distinct.dictionary, 0, 2))
    return pc.if_else(is_day, moments, pa.scalar(None, _TIMES)).take(distinct.indices)


def _whole(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _line(fault: Fault) -> int:
    return fault.line
