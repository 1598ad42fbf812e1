"""The files people hand in: found, told apart, and opened far enough to know their columns."""

import csv
import glob
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa

from features.exceptions import InputError, SettingsError, listed
from features.settings.fields import SourceSettings
from features.sources.access_logs.format import LogFormat, log_format
from features.sources.access_logs.reader import log_schema, read_access_log
from features.sources.delimited import read_delimited
from features.sources.json_files.document import first_keys, read_json
from features.sources.parquet_files import parquet_schema, read_columnar
from features.sources.text.lines import read_blocks
from features.sources.text.rows import Rows

__all__ = ["SourceFiles", "find_files", "group_files", "is_log"]

Kind = Literal["parquet", "csv", "json", "log"]
_NOTHING_DECLARED = SourceSettings()

_ENDINGS = {
    "parquet": (".parquet", ".pq"),
    "csv": (".csv", ".csv.gz"),
    "json": (".jsonl", ".ndjson", ".json", ".jsonl.gz", ".ndjson.gz", ".json.gz"),
}
_KINDS = ".parquet, .csv, .jsonl, .ndjson, .json, .log, access.log.1 (all but .parquet also with .gz behind)"
# access.log, access_log, access.log.1, access.log-20260629, access.log.2026-06-29.gz
_LOG = re.compile(r".*[._]log([.-][0-9][0-9_.-]*)?(\.gz)?", re.IGNORECASE)
# error.log.1, error_log, ssl_error_log, api.example.org-error.log
_ERROR_LOG = re.compile(r"^error|(^|[._-])error[._-]?log([.-]|$)", re.IGNORECASE)
_DELIMITERS = ",;\t|"
_FILES_PER_GROUP = 256
_HEAD_BYTES = 1 << 20


@dataclass(frozen=True)
class SourceFiles:
    """Files that are read together: Parquet files of one schema, or one text file.

    Attributes
    ----------
    schema
        The files' columns; all text but in Parquet. Of JSON Lines those of the first lines: later ones may have more.
    delimiter
        What separates the columns of a CSV file.
    log
        The format of an access log's lines.
    is_json_log
        A server is said to have written these objects, one per call.
    """

    paths: tuple[Path, ...]
    kind: Kind
    schema: pa.Schema
    delimiter: str = ","
    log: LogFormat | None = None
    is_json_log: bool = False

    @property
    def is_log(self) -> bool:
        """Whether each line is a call of its own, also when it looks like another."""
        return self.is_json_log or self.log is not None

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the files' columns."""
        return tuple(self.schema.names)

    @property
    def title(self) -> str:
        """The files in a sentence."""
        return listed([path.name for path in self.paths], limit=1)

    def asked(self, columns: Sequence[str], *, declared: Sequence[str]) -> pa.Schema:
        """The columns to look for, when these are known to us and the ``declared`` ones are named by a mapping."""
        if self.kind == "json":
            # A key may come late in the file: what may be read is looked for in every line.
            return _texts(dict.fromkeys((*self.columns, *columns, *declared)))
        return self.schema if self.log is None else log_schema(self.log, declared)

    def rows(self, path: Path, columns: Sequence[str], *, seen: set[str]) -> Iterator[Rows]:
        """The rows of one of the files, some at a time, with at least ``columns``; every column there is, in ``seen``.

        Raises
        ------
        InputError
            When the file cannot be read.
        """
        if self.kind == "json":
            yield from read_json(path, columns, seen=seen, is_log=self.is_json_log)
            return
        seen.update(self.columns)
        if self.log is not None:
            yield from read_access_log(path, columns, self.log)
        elif self.kind == "csv":
            yield from read_delimited(path, self.columns, delimiter=self.delimiter)
        else:
            yield from read_columnar(path, columns)


def find_files(given: Sequence[Path | str]) -> list[Path]:
    """Every file we can read, named by files, folders (searched through) and globs; each once, sorted by path.

    Paths come back absolute, their folders without links, so that one file has one name however it is spelled.

    Raises
    ------
    InputError
        When a path leads to nothing, or to a file of another kind.
    """
    paths: set[Path] = set()
    for item in given:
        path = Path(item).expanduser()
        if path.is_dir():
            inside = {file for file in path.rglob("*") if file.is_file() and _kind(file)}
            inside = {file for file in inside if not file.name.startswith((".", "_")) and not _is_error_log(file)}
            if not inside:
                raise InputError(f"The folder {item} holds no file that can be read: {_KINDS}. Give another folder.")
            paths |= inside
        elif path.is_file():
            if not _kind(path):
                raise InputError(f"{item} is none of {_KINDS}. Convert it, or rename it if it is one.")
            paths.add(path)
        else:
            matches = {Path(match) for match in glob.glob(str(path), recursive=True)}  # noqa: PTH207 - absolute globs
            matches = {match for match in matches if match.is_file() and _kind(match)}
            if not matches:
                raise InputError(f"There is no file {item}. Check the path; globs need quotes on the shell.")
            paths |= matches
    # A link keeps its own name, and with it its ending.
    return sorted({path.parent.resolve() / path.name for path in paths})


def group_files(
    paths: Sequence[Path], source: SourceSettings = _NOTHING_DECLARED, *, table: str = "events"
) -> list[SourceFiles]:
    """Files put together that can be read together, in the order of their paths.

    Raises
    ------
    InputError
        When a file cannot be read, naming it.
    SettingsError
        When a log's format is not declared, or cannot be used.
    """
    groups: list[SourceFiles] = []
    by_schema: dict[str, list[tuple[Path, pa.Schema]]] = {}
    for path in paths:
        kind = _kind(path)
        if kind == "parquet":
            schema = parquet_schema(path)
            _refuse_repeated(path, schema.names)
            by_schema.setdefault(str(schema), []).append((path, schema))
        elif kind == "csv":
            columns, delimiter = _csv_header(path)
            groups.append(SourceFiles((path,), "csv", _texts(columns), delimiter))
        elif kind == "log" and not _is_json(source.format):
            log = _declared_format(source.format, path, table)
            groups.append(SourceFiles((path,), "log", log_schema(log), log=log))
        else:
            schema = _texts(first_keys(path))
            groups.append(SourceFiles((path,), "json", schema, is_json_log=_is_json(source.format)))
    for members in by_schema.values():
        for start in range(0, len(members), _FILES_PER_GROUP):
            some = members[start : start + _FILES_PER_GROUP]
            groups.append(SourceFiles(tuple(path for path, _ in some), "parquet", some[0][1]))
    return sorted(groups, key=lambda group: group.paths[0])


def _kind(path: Path) -> Kind | None:
    name = path.name.lower()
    kinds: tuple[Kind, ...] = ("parquet", "csv", "json")
    by_ending = next((kind for kind in kinds if name.endswith(_ENDINGS[kind])), None)
    return by_ending or ("log" if _LOG.fullmatch(name) else None)


def is_log(path: Path) -> bool:
    """Whether the name is that of a server's log."""
    return _kind(path) == "log"


def _is_error_log(path: Path) -> bool:
    """A server's other log, which lies in the same folder and holds no calls."""
    return _ERROR_LOG.search(path.name) is not None and _kind(path) == "log"


def _is_json(declared: str | None) -> bool:
    """Whether a server is said to write its log as JSON Lines."""
    text = (declared or "").strip()
    return text == "json" or re.match(r"(log_format\s+\S+\s+(escape=\w+\s+)?['\"])?\s*\{", text) is not None


def _declared_format(declared: str | None, path: Path, table: str) -> LogFormat:
    if declared is None:
        raise SettingsError(
            f"{path.name} is a log, and nobody says what its lines hold. Declare it under [sources.{table}]: "
            'format = "combined", or the text of log_format (nginx) or LogFormat (Apache); '
            f"`bellwether init --from {path.name}` proposes one. Nothing was stored."
        )
    try:
        return log_format(declared)
    except SettingsError as error:
        raise SettingsError(f"[sources.{table}] format: {error}") from error


def _texts(columns: Iterable[str]) -> pa.Schema:
    return pa.schema([(name, pa.string()) for name in columns])


def _csv_header(path: Path) -> tuple[tuple[str, ...], str]:
    blocks = read_blocks(path, block_bytes=_HEAD_BYTES)
    head = next(blocks).content.partition(b"\n")[0]
    if not head and any(block.cut for block in blocks):
        raise InputError(
            f"{path} cannot be read: it was cut short in its first line. Write it again. Nothing was stored."
        )
    try:
        line = head.decode().rstrip("\r")
        delimiter = max(_DELIMITERS, key=line.count)
        columns = tuple(next(csv.reader([line], delimiter=delimiter), ()))
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} cannot be read as UTF-8 CSV: its first line is in another encoding. Write it again as UTF-8. "
            "Nothing was stored."
        ) from error
    except csv.Error as error:
        raise InputError(
            f"{path} cannot be read as CSV: its first line is no header ({error}). End its lines with a line feed. "
            "Nothing was stored."
        ) from error
    if not columns:
        raise InputError(f"{path} is empty: its first line should name the columns. Nothing was stored.")
    # pandas writes its index as a column without a name.
    columns = tuple(name or f"column_{place}" for place, name in enumerate(columns, 1))
    _refuse_repeated(path, columns)
    return columns, delimiter


def _refuse_repeated(path: Path, columns: Sequence[str]) -> None:
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise InputError(f"{path} names a column twice: {listed(repeated)}. Rename one. Nothing was stored.")
