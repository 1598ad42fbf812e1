"""Tells which files write decimal commas, so that each is read so throughout and never half."""

from collections.abc import Mapping
from dataclasses import replace

from features.ingest.texts import THOUSANDS, Marks
from features.sources.mapping.declared import MappedFile

__all__ = ["FileColumns", "files_with_commas", "with_decimal_commas"]


FileColumns = Mapping[int, Mapping[str, str]]
"""Place of a file that writes decimal commas, to how its columns that show it are read: ``guess`` or ``mixed``.

One that writes commas between thousands has ``.`` for all its numbers.
"""


def files_with_commas(marks: Mapping[int, Marks], mapped: Mapping[int, MappedFile]) -> FileColumns:
    """The files in which a column without a declared decimal mark holds what only decimal commas explain."""
    places: dict[int, dict[str, str]] = {}
    for place, seen in marks.items():
        undeclared = {
            name for name, column in mapped[place].columns.items() if column.takes_decimal and not column.decimal
        }
        columns = sorted(name for name, mark in seen if mark == "," and name in undeclared)
        if columns:
            places[place] = {name: "mixed" if (name, ".") in seen else "guess" for name in columns}
        elif any(mark == THOUSANDS for _, mark in seen):
            places[place] = dict.fromkeys(sorted(undeclared), ".")
    return {place: names for place, names in places.items() if names}


def with_decimal_commas(mapped: MappedFile, columns: Mapping[str, str]) -> MappedFile:
    """The mapping of a file with decimal commas: all its numbers have them, where nobody says more."""
    read_so = {
        name: replace(column, decimal=columns.get(name, "guess"))
        if column.takes_decimal and column.decimal is None
        else column
        for name, column in mapped.columns.items()
    }
    return replace(mapped, columns=read_so)
