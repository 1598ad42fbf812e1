"""A first mapping, guessed from the columns of a file and from what its first rows hold."""

import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from features.exceptions import InputError
from features.schema import EVENTS, RawTable
from features.settings.fields import SourceSettings
from features.sources.files import SourceFiles, find_files, group_files
from features.sources.kinds import is_log
from features.sources.mapping.guess_calls import CallGuesser
from features.sources.mapping.guess_format import asked_parameters, guessed_format
from features.sources.mapping.guess_records import RecordGuesser
from features.sources.mapping.known_names import KNOWN_NAMES, known_as
from features.sources.mapping.looks import plain_values
from features.sources.mapping.toml_text import comment, literal, quoted
from features.sources.text.rows import Rows
from features.sources.w3c import is_w3c

__all__ = ["Guess", "Looked", "callers_of", "guess", "guess_of", "guessed_mapping", "look_at"]


_ROWS_LOOKED_AT = 1000


@dataclass(frozen=True)
class Looked:
    """A file of which the first rows were read.

    Attributes
    ----------
    format
        Of an access log; None for other files.
    rows
        None where the file has none.
    """

    files: SourceFiles
    columns: tuple[str, ...]
    format: str | None
    rows: Rows | None


@dataclass(frozen=True)
class Guess:
    """A mapping of a file to a raw table, and what it was guessed from.

    Attributes
    ----------
    lines
        Canonical column to its line of TOML, or to a comment that says why it has none.
    decimal
        The decimal mark of the file's numbers, where it has to be said.
    """

    table: RawTable
    looked: Looked
    lines: Mapping[str, str]
    unused: tuple[str, ...]
    decimal: str | None = field(default=None)

    @property
    def text(self) -> str:
        """The mapping as TOML, its comments among it."""
        head = [f"# Guessed from {self.looked.files.paths[0].name}; check every line."]
        more = [] if self.looked.format is None else [f"format = {literal(self.looked.format)}"]
        more += [] if self.decimal is None else [f"decimal = {quoted(self.decimal)}"]
        head += [f"[sources.{self.table.name}]", *more, ""] if more else []
        unread = [f"# not read: {quoted(', '.join(self.unused))[1:-1]}"] if self.unused else []
        return "\n".join([*head, f"[sources.{self.table.name}.columns]", *self.lines.values(), *unread]) + "\n"

    def without(self, reasons: Mapping[str, str]) -> "Guess":
        """The mapping without some columns, which a comment names with the reason."""
        comments = {name: comment(name, why, is_required=name in self.table.required) for name, why in reasons.items()}
        return replace(self, lines={**self.lines, **comments})


def guessed_mapping(path: Path) -> str:
    """TOML of ``[sources.events.columns]`` for a file of API calls, with a line for every column it has to be told of.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    return guess(path).text


def guess(path: Path) -> Guess:
    """A mapping for a file of API calls; of each column only what its first rows can be read as.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    return guess_of(look_at(path), EVENTS)


def look_at(path: Path) -> Looked:
    """The first rows of a file.

    Raises
    ------
    InputError
        When the file cannot be read.
    """
    file = find_files([path]).paths[0]
    declared = guessed_format(file) if is_log(file) and not is_w3c(file) else None
    files = group_files([file], SourceSettings(format=declared))[0]
    if not files.columns and files.kind == "otlp":
        raise InputError(f"{path} holds no span of kind SERVER and no log record of a request. Give a file with some.")
    if not files.columns:
        raise InputError(f"{path} is empty: there is nothing to guess from. Give a file with some rows.")
    columns = files.columns
    if files.log is not None:
        known = {name.replace("_", "") for names in KNOWN_NAMES.values() for name in names}
        known |= {name.replace("_", "") for name in KNOWN_NAMES}
        columns = (*columns, *(name for name in asked_parameters(file) if not known.isdisjoint(known_as(name))))
    return Looked(files, columns, declared, _first_rows(files, columns))


def guess_of(looked: Looked, table: RawTable, *, callers: Collection[str] = ()) -> Guess:
    """A mapping of a file to a raw table; ``callers`` are account ids that a log of calls has."""
    if table is EVENTS:
        calls = CallGuesser(looked.files, looked.columns, looked.rows)
        return Guess(table, looked, dict(calls.lines()), calls.unused())
    records = RecordGuesser(table, looked.files, looked.columns, looked.rows, callers)
    return Guess(table, looked, dict(records.lines()), records.unused())


def callers_of(guess: Guess) -> frozenset[str]:
    """The account ids of a file's first rows; none where the mapping makes others of them."""
    columns = tomllib.loads(guess.text)["sources"][guess.table.name]["columns"]
    mapping = columns.get("account_id", {"from": "account_id"})
    rows, column = guess.looked.rows, mapping.get("from")
    if rows is None or mapping.get("hashed") or column not in rows.table.column_names:
        return frozenset()
    return frozenset(str(value).strip() for value in plain_values(rows.table[column].to_pylist()))


def _first_rows(files: SourceFiles, columns: Sequence[str]) -> Rows | None:
    for rows in files.rows(files.paths[0], columns, seen=set()):
        if len(rows.table):
            nested = {name: [at for at in places if at < _ROWS_LOOKED_AT] for name, places in rows.nested.items()}
            nested = {name: places for name, places in nested.items() if places}
            table = rows.table.slice(0, _ROWS_LOOKED_AT).select(list(columns))
            return Rows(table, list(rows.numbers[:_ROWS_LOOKED_AT]), nested=nested)
    return None
