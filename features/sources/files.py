"""The files people hand in: found, told apart, and opened far enough to know their columns."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from features.exceptions import DamagedFileError, InputError, SettingsError, listed
from features.paths import expanded, matching
from features.settings.fields import SourceSettings
from features.sources.access_logs.format import LogFormat, log_format
from features.sources.access_logs.reader import log_schema, read_access_log
from features.sources.delimited import csv_header, read_delimited
from features.sources.json_files.document import first_keys
from features.sources.json_logs import read_json_log
from features.sources.kinds import KINDS, Kind, is_error_log, kind_of
from features.sources.otlp import is_otlp, otlp_columns, read_otlp
from features.sources.parquet_files import parquet_schema, read_columnar
from features.sources.text.rows import Rows
from features.sources.w3c import is_w3c, read_w3c, w3c_columns

__all__ = ["FoundFiles", "SourceFiles", "TableFiles", "find_files", "group_files", "table_files"]

_NOTHING_DECLARED = SourceSettings()
_FILES_PER_GROUP = 256


@dataclass(frozen=True)
class SourceFiles:
    """Files that are read together: Parquet files of one schema, or one text file.

    Attributes
    ----------
    schema
        The files' columns; all text but in Parquet. Of JSON Lines and W3C's logs those of the first lines: later ones
        may have more.
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
        return self.is_json_log or self.log is not None or self.kind == "w3c"

    @property
    def has_late_columns(self) -> bool:
        """Whether columns may come that the first lines do not have."""
        return self.kind in ("json", "w3c", "otlp")

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
        if self.has_late_columns:
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
            yield from read_json_log(path, columns, seen=seen, is_log=self.is_json_log)
            return
        if self.kind in ("w3c", "otlp"):
            yield from (read_w3c if self.kind == "w3c" else read_otlp)(path, columns, seen=seen)
            return
        seen.update(self.columns)
        if self.log is not None:
            yield from read_access_log(path, columns, self.log)
        elif self.kind == "csv":
            yield from read_delimited(path, self.columns, delimiter=self.delimiter)
        else:
            yield from read_columnar(path, columns)


@dataclass(frozen=True)
class FoundFiles:
    """The files that paths lead to.

    Attributes
    ----------
    paths
        Those that can be read, each once, in the order they were given in; of a folder or glob by name.
    named
        Those of them that were named one by one, not as part of a folder or glob.
    unread
        What lies in the folders and globs and is read by nothing.
    """

    paths: tuple[Path, ...]
    named: frozenset[Path]
    unread: tuple[Path, ...]


def find_files(given: Sequence[Path | str]) -> FoundFiles:
    """Every file that files, folders (searched through) and globs lead to.

    Paths come back absolute, their folders without links, so that one file has one name however it is spelled.

    Raises
    ------
    InputError
        When a path leads to nothing, or to a file of another kind.
    """
    paths, named, unread = list[Path](), set[Path](), set[Path]()
    for item in given:
        path = expanded(Path(item))
        if path.is_file():
            if not kind_of(path):
                raise InputError(_unusable(path, item))
            named.add(path)
            paths.append(_plain(path))
            continue
        is_folder = path.is_dir()
        matches = path.rglob("*") if is_folder else matching(path)
        inside = {file for file in matches if file.is_file()}
        if is_folder:  # as others write what is on its way, or theirs: told where it looks like data
            hidden = {file for file in inside if file.name.startswith((".", "_"))}
            inside -= hidden
            unread |= {file for file in hidden if kind_of(file)}
        readable = {file for file in inside if kind_of(file) and not (is_folder and is_error_log(file))}
        if not readable and is_folder:
            raise InputError(f"The folder {item} holds no file that can be read: {KINDS}. Give another folder.")
        if not readable:
            raise InputError(f"There is no file {item}. Check the path; globs need quotes on the shell.")
        paths += _in_order(readable)
        unread |= inside - readable
    return FoundFiles(tuple(dict.fromkeys(paths)), frozenset(_in_order(named)), _in_order(unread))


def _in_order(paths: set[Path]) -> tuple[Path, ...]:
    return tuple(sorted({_plain(path) for path in paths}))


def _plain(path: Path) -> Path:
    # A link keeps its own name, and with it its ending.
    return path.parent.resolve() / path.name


def _unusable(path: Path, item: Path | str) -> str:
    if path.name.lower().endswith(".zip"):
        return f"{item} is no archive of one file that can be read: {KINDS}. Unpack it and give its files."
    return f"{item} is none of {KINDS}. Convert it, or rename it if it is one."


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
    return _together([_opened(path, source, table=table) for path in paths])


@dataclass(frozen=True)
class TableFiles:
    """The files of one raw table, put together that can be read together.

    Attributes
    ----------
    named
        Files that were named one by one: one of them that is damaged refuses all, since it was meant.
    unread
        What lies beside them and is read by nothing.
    damaged
        File of a folder or glob to why nothing of it can be read.
    """

    groups: tuple[SourceFiles, ...]
    named: frozenset[Path]
    unread: tuple[Path, ...]
    damaged: Mapping[Path, str]


def table_files(given: Sequence[Path | str], source: SourceSettings, *, table: str) -> TableFiles:
    """The files of one raw table; of a folder or glob without those that are damaged.

    Calls are the same in any order; of a table of the CRM each file is by itself, in the order it was given in.

    Raises
    ------
    InputError
        When a path leads to nothing; when a file that was named, or every file, is damaged.
    SettingsError
        When a log's format is not declared, or cannot be used.
    """
    files = find_files(given)
    damaged: dict[Path, str] = {}
    good: list[SourceFiles] = []
    is_log = table == "events"
    for path in sorted(files.paths) if is_log else files.paths:
        try:
            good.append(_opened(path, source, table=table))
        except DamagedFileError as error:
            if path in files.named or len(files.paths) == 1:
                raise
            damaged[path] = str(error)
    if not good:
        raise InputError(next(iter(damaged.values())))
    return TableFiles(tuple(_together(good) if is_log else good), files.named, files.unread, damaged)


def _opened(path: Path, source: SourceSettings, *, table: str) -> SourceFiles:
    """One file, opened far enough to know its columns."""
    kind = kind_of(path)
    if kind == "parquet":
        schema = parquet_schema(path)
        _refuse_repeated(path, schema.names)
        return SourceFiles((path,), "parquet", schema)
    if kind == "csv":
        columns, delimiter = csv_header(path)
        _refuse_repeated(path, columns)
        return SourceFiles((path,), "csv", _texts(columns), delimiter)
    if kind == "log" and source.format in (None, "w3c") and is_w3c(path):
        return SourceFiles((path,), "w3c", _texts(w3c_columns(path)))
    if kind == "log" and not _is_json(source.format):
        log = _declared_format(source.format, path, table)
        return SourceFiles((path,), "log", log_schema(log), log=log)
    if is_otlp(path):
        return SourceFiles((path,), "otlp", _texts(otlp_columns(path)))
    return SourceFiles((path,), "json", _texts(first_keys(path)), is_json_log=_is_json(source.format))


def _together(files: Sequence[SourceFiles]) -> list[SourceFiles]:
    """Parquet files of one schema put together, all in the order of their paths."""
    groups = [file for file in files if file.kind != "parquet"]
    by_schema: dict[str, list[SourceFiles]] = {}
    for file in files:
        if file.kind == "parquet":
            by_schema.setdefault(str(file.schema), []).append(file)
    for members in by_schema.values():
        for start in range(0, len(members), _FILES_PER_GROUP):
            some = members[start : start + _FILES_PER_GROUP]
            groups.append(replace(some[0], paths=tuple(path for file in some for path in file.paths)))
    return sorted(groups, key=lambda group: group.paths[0])


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


def _refuse_repeated(path: Path, columns: Sequence[str]) -> None:
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise DamagedFileError(f"{path} names a column twice: {listed(repeated)}. Rename one. Nothing was stored.")
