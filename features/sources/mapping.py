"""The declared mapping: how each canonical column is made from a file's columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from features.engine import Engine, EngineError, Scan
from features.exceptions import InputError, SettingsError, listed
from features.schema import RawTable
from features.settings import ColumnMapping, SourceSettings

__all__ = [
    "UNITS_PER_SECOND",
    "MappedColumn",
    "MappedFile",
    "check_expressions",
    "check_mapping",
    "map_columns",
    "mappable_columns",
]

UNITS_PER_SECOND = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}


@dataclass(frozen=True)
class MappedColumn:
    """One canonical column as SQL over the file's columns, with what is declared about its values."""

    expression: str
    unit: str | None = None
    time_zone: str | None = None


@dataclass(frozen=True)
class MappedFile:
    """What the mapping makes of one kind of file.

    Attributes
    ----------
    columns
        Canonical column to how it is made, in canonical order; columns the file does not bring are left out.
    ignored
        Columns of the file that nothing reads.
    """

    columns: Mapping[str, MappedColumn]
    ignored: tuple[str, ...]


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
    names = mappable_columns(table)
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
        if not given and mapping.unit is None and mapping.time_zone is None:
            raise SettingsError(f"{place} says nothing. Give one of from, constant, expression.")
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
        if mapping.source is not None and mapping.source not in file_columns:
            raise SettingsError(
                f"[sources.{table.name}.columns.{name}] reads {mapping.source!r}, which {title} does not have. "
                f"It has {listed(file_columns, limit=20)}."
            )
        expression = _expression(name, mapping, file_columns)
        if expression is not None:
            columns[name] = MappedColumn(expression, mapping.unit, mapping.time_zone)
    missing = [name for name in table.required if name not in columns]
    if missing:
        raise InputError(
            f"{len(missing)} of {len(table.required)} required columns are missing from {title}: {listed(missing)}. "
            f"It has {listed(file_columns, limit=20)}. Map them under [sources.{table.name}.columns], "
            f'for example {missing[0]} = {{ from = "{file_columns[0]}" }}.'
        )
    read = {name for name in file_columns if any(_reads(column.expression, name) for column in columns.values())}
    known = {*read, *table.schema.names}
    return MappedFile(columns, tuple(name for name in file_columns if name not in known))


def check_expressions(
    engine: Engine, scan: Scan, table: RawTable, source: SourceSettings, mapped: MappedFile, *, title: str
) -> None:
    """Try each declared expression on the file, so that an error names the column it belongs to.

    Raises
    ------
    SettingsError
        When an expression does not parse or names a column that is not there.
    """
    for name, column in mapped.columns.items():
        if name not in source.columns or source.columns[name].expression is None:
            continue
        try:
            engine.select(scan, {name: column.expression})
        except EngineError as error:
            raise SettingsError(
                f"[sources.{table.name}.columns.{name}] has the expression {column.expression!r}, which cannot be used "
                f"on {title}: {error} Its columns are {listed(scan.columns, limit=20)}."
            ) from error


def _ways(mapping: ColumnMapping) -> dict[str, object]:
    return {"from": mapping.source, "constant": mapping.constant, "expression": mapping.expression}


def _expression(name: str, mapping: ColumnMapping, file_columns: Sequence[str]) -> str | None:
    if mapping.expression is not None:
        return mapping.expression
    if mapping.constant is not None:
        value = mapping.constant
        return repr(value).upper() if isinstance(value, bool | int | float) else _quoted(value, "'")
    source = mapping.source or name
    return _quoted(source, '"') if source in file_columns else None


def _reads(expression: str, column: str) -> bool:
    return column in expression


def _quoted(text: str, mark: str) -> str:
    return mark + text.replace(mark, mark * 2) + mark
