"""The files people hand in: found, told apart, and opened far enough to know their columns."""

import csv
import glob
import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from features.engine import Engine, Scan
from features.exceptions import InputError, listed

__all__ = ["SourceFiles", "find_files", "group_files"]

_PARQUET = (".parquet", ".pq")
_CSV = (".csv", ".csv.gz")
_DELIMITERS = ",;\t|"
_FILES_PER_GROUP = 256


@dataclass(frozen=True)
class SourceFiles:
    """Files that are read together: Parquet files of one schema, or one CSV file.

    Attributes
    ----------
    delimiter
        What separates the columns of a CSV file; None for Parquet.
    """

    paths: tuple[Path, ...]
    columns: tuple[str, ...]
    delimiter: str | None = None

    @property
    def title(self) -> str:
        """The files in a sentence."""
        return listed([path.name for path in self.paths], limit=1)

    def scan(self, engine: Engine) -> Scan:
        """The files' rows, for the engine."""
        if self.delimiter is None:
            return engine.scan_parquet(self.paths)
        return engine.scan_csv(self.paths[0], self.columns, delimiter=self.delimiter)


def find_files(given: Sequence[Path | str]) -> list[Path]:
    """Every Parquet and CSV file named by files, folders (searched through) and globs; each once, sorted by path.

    Raises
    ------
    InputError
        When a path leads to nothing, or to a file of another kind.
    """
    found: set[Path] = set()
    for item in given:
        path = Path(item).expanduser()
        if path.is_dir():
            inside = {file for file in path.rglob("*") if file.is_file() and _is_readable_kind(file)}
            inside = {file for file in inside if not file.name.startswith((".", "_"))}
            if not inside:
                raise InputError(f"The folder {item} holds no .parquet, .csv or .csv.gz file. Give another folder.")
            found |= inside
        elif path.is_file():
            if not _is_readable_kind(path):
                raise InputError(
                    f"{item} is not a .parquet, .csv or .csv.gz file. Convert it, or rename it if it is one."
                )
            found.add(path)
        else:
            matches = {Path(match) for match in glob.glob(str(path), recursive=True)}  # noqa: PTH207 - absolute globs
            matches = {match for match in matches if match.is_file() and _is_readable_kind(match)}
            if not matches:
                raise InputError(f"There is no file {item}. Check the path; globs need quotes on the shell.")
            found |= matches
    return sorted(found)


def group_files(paths: Sequence[Path]) -> list[SourceFiles]:
    """Files put together that can be read together, in the order of their paths.

    Raises
    ------
    InputError
        When a file cannot be read, naming it.
    """
    groups: list[SourceFiles] = []
    by_schema: dict[tuple[str, int], list[tuple[Path, pa.Schema]]] = {}
    for path in paths:
        if path.name.lower().endswith(_PARQUET):
            schema = _parquet_schema(path)
            same = [key for key in by_schema if key[0] == str(schema)]
            key = (str(schema), len(same) - 1 if same else 0)
            if len(by_schema.get(key, ())) >= _FILES_PER_GROUP:
                key = (str(schema), len(same))
            by_schema.setdefault(key, []).append((path, schema))
        else:
            columns, delimiter = _csv_header(path)
            groups.append(SourceFiles((path,), columns, delimiter))
    for members in by_schema.values():
        groups.append(SourceFiles(tuple(path for path, _ in members), tuple(members[0][1].names)))  # noqa: PERF401
    return sorted(groups, key=lambda group: group.paths[0])


def _is_readable_kind(path: Path) -> bool:
    return path.name.lower().endswith(_PARQUET + _CSV)


def _parquet_schema(path: Path) -> pa.Schema:
    try:
        return pq.read_schema(path).remove_metadata()
    except (OSError, pa.ArrowException) as error:
        raise InputError(
            f"{path} cannot be read as Parquet: {_first_line(error)} It may be cut short; write it again. "
            "Nothing was stored."
        ) from error


def _csv_header(path: Path) -> tuple[tuple[str, ...], str]:
    opener = gzip.open if path.name.lower().endswith(".gz") else open
    try:
        with opener(path, "rt", encoding="utf-8-sig", newline="") as file:
            line = file.readline()
            delimiter = max(_DELIMITERS, key=line.count)
            columns = tuple(next(csv.reader([line], delimiter=delimiter), ()))
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} cannot be read as UTF-8 CSV: {_first_line(error)} Write it again. Nothing was stored."
        ) from error
    if not columns:
        raise InputError(f"{path} is empty: its first line should name the columns. Nothing was stored.")
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated:
        raise InputError(f"{path} names a column twice: {listed(repeated)}. Rename one. Nothing was stored.")
    return columns, delimiter


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".") + "."
