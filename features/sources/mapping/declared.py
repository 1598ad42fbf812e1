"""The declared mapping: how each canonical column is made from a file's columns."""

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pyarrow as pa

from features.engine.duckdb_engine import Engine
from features.engine.errors import EngineError
from features.engine.sql import columns_in, refuse_changing
from features.exceptions import InputError, SettingsError, listed
from features.schema import EVENTS, SUBSCRIPTIONS, RawTable
from features.settings.fields import ColumnMapping, SourceSettings

__all__ = [
    "ENDED",
    "HOST",
    "UNITS_PER_SECOND",
    "MappedColumn",
    "MappedFile",
    "check_expressions",
    "check_mapping",
    "declared_columns",
    "map_columns",
    "mappable_columns",
]


HOST = "host"
"""What a mapping of events may name beside their columns: the machine, which tells equal rows apart, not stored."""
ENDED = "cancelled_at"
"""Mapped beside the columns of subscription events: when the subscription that a row starts has ended."""

UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class MappedColumn:
    """How one canonical column is made: of one column of the file, a constant, or an expression over its columns.

    Attributes
    ----------
    reads
        Columns of the file that it is made of.
    """

    source: str | None = None
    constant: str | int | float | bool | None = None
    expression: str | None = None
    reads: tuple[str, ...] = ()
    unit: str | None = None
    time_zone: str | None = None
    is_hashed: bool = False
    decimal: str | None = None
    takes_decimal: bool = False

    @property
    def recipe(self) -> str:
        """How the column is made, in a few words."""
        way = self.expression or self.source
        if way is None:
            way = f"always {self.constant!r}"
        commas = f"decimal {self.decimal}" if self.decimal == "," else None
        notes = [self.unit, self.time_zone, "keyed hash" if self.is_hashed else None, commas]
        more = ", ".join(note for note in notes if note)
        return f"{way} ({more})" if more else way


@dataclass(frozen=True)
class MappedFile:
    """What the mapping makes of one kind of file.

    Attributes
    ----------
    columns
        Canonical column to how it is made, in canonical order; columns the file does not bring are left out.
    ignored
        Columns of the file that nothing reads.
    ended
        How the end of a subscription is made: a row that has one is its start and its cancellation.
    """

    columns: Mapping[str, MappedColumn]
    ignored: tuple[str, ...]
    ended: MappedColumn | None = None

    @property
    def made(self) -> Mapping[str, MappedColumn]:
        """The columns, and the end of a subscription as one of them."""
        return self.columns if self.ended is None else {**self.columns, ENDED: self.ended}

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns of the file that are read, each once."""
        return tuple(dict.fromkeys(name for column in self.made.values() for name in column.reads))


def mappable_columns(table: RawTable) -> tuple[str, ...]:
    """Canonical columns a file may bring; ``source_order`` is the row's position, never a column of a file."""
    return tuple(name for name in table.schema.names if name != "source_order")


def check_mapping(table: RawTable, source: SourceSettings) -> None:
    """Refuse a mapping that is wrong whatever file it meets.

    Raises
    ------
    SettingsError
        Naming the place in the configuration.
    """
    if source.distinct_files is not None and table is not EVENTS:
        raise SettingsError(
            f"[sources.{table.name}] has distinct_files, which only events have. Move it under [sources.events]."
        )
    names = (*mappable_columns(table), *((HOST,) if table is EVENTS else (ENDED,) if table is SUBSCRIPTIONS else ()))
    unknown = [name for name in source.columns if name not in names]
    if unknown:
        raise SettingsError(
            f"[sources.{table.name}.columns] names {listed(unknown)}, which the table {table.name} does not have. "
            f"It has {listed(names, limit=20)}."
        )
    for name, mapping in source.columns.items():
        place = f"[sources.{table.name}.columns.{name}]"
        given = [way for way, value in _ways(mapping).items() if value is not None]
        if len(given) > 1:
            raise SettingsError(f"{place} gives {' and '.join(given)}. Give exactly one of from, constant, expression.")
        if not given and not any((mapping.unit, mapping.time_zone, mapping.hashed, mapping.decimal)):
            raise SettingsError(f"{place} says nothing. Give one of from, constant, expression.")
        if name == HOST:
            if any((mapping.unit, mapping.time_zone, mapping.hashed, mapping.decimal)):
                raise SettingsError(f"{place} takes from, constant or expression alone. Leave out what else it says.")
            continue
        if name == ENDED:
            _check_zone(mapping, place)
            continue
        if mapping.hashed and (table.schema.field(name).type != pa.string() or name == "endpoint"):
            raise SettingsError(f"{place} is to be hashed, which only an id can be. Leave hashed out.")
        if mapping.decimal is not None and not _is_number(table.schema.field(name).type):
            raise SettingsError(f"{place} has a decimal mark, and {name} is no number. Leave decimal out.")
        _check_zone(mapping, place)


def _check_zone(mapping: ColumnMapping, place: str) -> None:
    if mapping.unit is not None and mapping.unit not in UNITS_PER_SECOND:
        raise SettingsError(f"{place} has the unit {mapping.unit!r}. Use one of {', '.join(UNITS_PER_SECOND)}.")
    if mapping.time_zone is not None:
        try:
            ZoneInfo(mapping.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise SettingsError(
                f"{place} has the time zone {mapping.time_zone!r}, which does not exist. "
                "Use a name such as UTC or Europe/Berlin."
            ) from error


def map_columns(table: RawTable, source: SourceSettings, file_columns: Sequence[str], *, title: str) -> MappedFile:
    """Say how each canonical column is made from a file with ``file_columns``.

    A column that is not mapped is taken from the file's column of the same name.

    Raises
    ------
    SettingsError
        When a mapping reads a column the file does not have.
    InputError
        When a required column is neither in the file nor mapped.
    """
    columns: dict[str, MappedColumn] = {}
    for name in mappable_columns(table):
        mapping = source.columns.get(name, ColumnMapping())
        if _ways_given(mapping):
            place = f"[sources.{table.name}.columns.{name}]"
            columns[name] = _declared(mapping, file_columns, place=place, title=title)
        elif name in file_columns:
            mapped = MappedColumn(name, reads=(name,), unit=mapping.unit, time_zone=mapping.time_zone)
            columns[name] = replace(mapped, is_hashed=mapping.hashed)
        if name in columns and _is_number(table.schema.field(name).type):
            columns[name] = replace(columns[name], decimal=mapping.decimal or source.decimal, takes_decimal=True)
    if table is EVENTS and HOST in source.columns:
        place = f"[sources.{table.name}.columns.{HOST}]"
        columns[HOST] = _declared(source.columns[HOST], file_columns, place=place, title=title)
    missing = [name for name in table.required if name not in columns]
    if missing:
        example = f", for example {missing[0]} = {{ from = {_quoted(file_columns[0])} }}" if file_columns else ""
        raise InputError(
            f"{len(missing)} of {len(table.required)} required columns are missing from {title}: {listed(missing)}. "
            f"It has {listed(file_columns, limit=20) or 'no columns'}. Map them under "
            f"[sources.{table.name}.columns]{example}. Nothing was stored."
        )
    ended = _ended(source, columns, file_columns, place=f"[sources.{table.name}.columns.{ENDED}]", title=title)
    mapped_file = MappedFile(columns, (), ended)
    known = {*table.schema.names, *mapped_file.reads}
    return replace(mapped_file, ignored=tuple(name for name in file_columns if name not in known))


def _ended(
    source: SourceSettings, columns: Mapping[str, MappedColumn], file_columns: Sequence[str], *, place: str, title: str
) -> MappedColumn | None:
    """How the end of a subscription is made; its unit and zone are those of the start, beside which it will stand."""
    mapping = source.columns.get(ENDED)
    if mapping is None:
        return None
    start, kind = columns["occurred_at"], columns["kind"]
    if kind.constant is None:
        raise SettingsError(
            f"{place} is for a table with a row a subscription, and kind is read from the file. Leave it out, or give "
            'kind = { constant = "start" }.'
        )
    ended = _declared(mapping, file_columns, place=place, title=title)
    given = {name: getattr(mapping, name) for name in ("unit", "time_zone") if getattr(mapping, name) is not None}
    if any(value != getattr(start, name) for name, value in given.items()):
        raise SettingsError(
            f"{place} has another unit or time zone than occurred_at: make both alike, one of them by an expression."
        )
    return replace(ended, unit=start.unit, time_zone=start.time_zone)


def declared_columns(source: SourceSettings) -> tuple[str, ...]:
    """Columns of a file that the mapping names."""
    named = [mapping.source for mapping in source.columns.values() if mapping.source is not None]
    for mapping in source.columns.values():
        if mapping.expression is not None:
            with suppress(EngineError):  # said where the mapping is applied
                named += columns_in(mapping.expression)
    return tuple(dict.fromkeys(named))


def check_expressions(
    engine: Engine, files: pa.Schema, table: RawTable, mapped: MappedFile, *, title: str
) -> frozenset[str]:
    """Try each declared expression on the columns of a file; the names of those that can be tried row by row.

    Raises
    ------
    SettingsError
        When an expression does not fit the columns.
    """
    tried: set[str] = set()
    for name, column in mapped.made.items():
        if column.expression is None:
            continue
        nothing = pa.schema([files.field(read) for read in column.reads]).empty_table()
        try:
            if engine.evaluable(column.expression, nothing):
                tried.add(name)
        except EngineError as error:
            raise _unusable(
                f"[sources.{table.name}.columns.{name}]", column.expression, title, files.names, error
            ) from error
    return frozenset(tried)


def _declared(mapping: ColumnMapping, file_columns: Sequence[str], *, place: str, title: str) -> MappedColumn:
    reads: tuple[str, ...] = () if mapping.source is None else (mapping.source,)
    if mapping.source is not None and mapping.source not in file_columns:
        raise SettingsError(
            f"{place} reads {mapping.source!r}, which {title} does not have. It has {listed(file_columns, limit=20)}."
        )
    if mapping.expression is not None:
        try:
            named = columns_in(mapping.expression)
            refuse_changing(mapping.expression, file_columns)
        except EngineError as error:
            raise _unusable(place, mapping.expression, title, file_columns, error) from error
        meant = [_meant(name, file_columns, place=place, title=title) for name in named]
        reads = tuple(dict.fromkeys(column for columns in meant for column in columns))
    mapped = MappedColumn(mapping.source, mapping.constant, mapping.expression, reads, mapping.unit, mapping.time_zone)
    return replace(mapped, is_hashed=mapping.hashed)


def _meant(name: str, file_columns: Sequence[str], *, place: str, title: str) -> list[str]:
    """The column that SQL means by a name, whatever its case; none for the parameter of a lambda, or a slip."""
    meant = [column for column in file_columns if column.casefold() == name.casefold()]
    if len(meant) > 1:
        raise SettingsError(
            f"{place} has an expression over {name!r}, and {title} has {listed(meant)}: SQL cannot tell them apart. "
            "Read the one you mean with from."
        )
    return meant


def _unusable(
    place: str, expression: str, title: str, file_columns: Sequence[str], error: EngineError
) -> SettingsError:
    return SettingsError(
        f"{place} has the expression {expression!r}, which cannot be used on {title}: {error} "
        f"Its columns are {listed(file_columns, limit=20)}."
    )


def _is_number(canonical: pa.DataType) -> bool:
    return bool(pa.types.is_floating(canonical) or pa.types.is_integer(canonical))


def _ways_given(mapping: ColumnMapping) -> bool:
    return any(value is not None for value in _ways(mapping).values())


def _ways(mapping: ColumnMapping) -> dict[str, object]:
    return {"from": mapping.source, "constant": mapping.constant, "expression": mapping.expression}


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
