"""Chooses for each canonical column the column of a file that is called so and holds what can be it."""

from collections.abc import Collection, Iterator
from typing import Any

import pyarrow as pa

from features.schema import RawTable
from features.sources.files import SourceFiles
from features.sources.mapping.dates import date_form
from features.sources.mapping.declared import ENDED, mappable_columns
from features.sources.mapping.known_names import folded, known_as
from features.sources.mapping.known_records import names_of
from features.sources.mapping.looks import number_of, plain_values, says_its_zone, unit_of_epoch, why_not
from features.sources.mapping.toml_text import as_expression, comment, from_column, name_in_sql, quoted, text_in_sql
from features.sources.text.rows import Rows

__all__ = ["NO_ZONE", "Guesser"]


NO_ZONE = "the times say no zone; is it UTC?"


class Guesser:
    """Goes through the canonical columns of a raw table, the columns of the file that are taken in mind."""

    def __init__(self, table: RawTable, files: SourceFiles, columns: tuple[str, ...], rows: Rows | None) -> None:
        self.table = table
        self.files = files
        self.columns = columns
        self.inner = [column for column in columns if not _is_outer(column, columns)]
        self._schema = files.asked((), declared=columns) if rows is None else rows.table.schema
        content: dict[str, list[Any]] = {} if rows is None else rows.table.to_pydict()
        self.values = {column: plain_values(content.get(column, ())) for column in columns}
        self.all_values = content
        rows_alike = {str(row) for row in zip(*content.values(), strict=True)} if content else set[str]()
        self.is_one_row = len(rows_alike) <= 1
        self.taken = set(columns) & set(table.schema.names)
        self.shared: set[str] = set()  # columns that several lines may read a part of

    def lines(self) -> Iterator[tuple[str, str]]:
        """Each canonical column and its line, where it needs one."""
        for name in mappable_columns(self.table):
            line = self.special(name)
            if line is None and name in self.columns:
                line = self._as_named(name)
            elif line is None:
                source, reasons = self.pick(name)
                if source is not None:
                    self.taken.add(source)
                    line = self.line(name, source)
                else:
                    line = self.made(name) or self.comment(name, reasons)
            if line is not None:
                yield name, line

    def unused(self) -> tuple[str, ...]:
        """Columns of the file that no line reads."""
        return tuple(column for column in self.inner if column not in self.taken | self.shared)

    def special(self, name: str) -> str | None:  # noqa: ARG002 - for those that know more of a table
        """A line that is made before any column is picked."""
        return None

    def made(self, name: str) -> str | None:  # noqa: ARG002 - likewise
        """What can be made of other columns where none is it."""
        return None

    def comment(self, name: str, why: str) -> str:
        """The line of a column that nothing is proposed for."""
        return comment(name, why, is_required=name in self.table.required)

    def pick(self, name: str) -> tuple[str | None, str]:
        """The column that is likeliest, or why those that are called so are none."""
        reasons: list[str] = []
        fitting: list[str] = []
        for column in self.like(name):
            if column in self.taken:
                continue
            why = self.why_not(name, column)
            if why is None:
                fitting.append(column)
            elif self.values[column] or name in self.table.required:
                reasons.append(f"{column} {why}")
        varying = [column for column in fitting if len(set(map(str, self.values[column]))) > 1]
        if varying or fitting:
            return (varying or fitting)[0], ""
        return None, "; ".join(reasons)

    def why_not(self, name: str, column: str, *, is_request: bool = False) -> str | None:
        """Why a column is not the one; None where it can be."""
        values = self.values[column]
        return None if not values and not self.has_rows() else why_not(name, values, is_request=is_request)

    def has_rows(self) -> bool:
        """Whether any column says anything."""
        return any(self.values.values())

    def like(self, name: str) -> list[str]:
        """The columns that are called so, the surest first."""
        return self.called((name, *names_of(self.table.name).get(name, ())), with_units=self._is_time(name))

    def called(self, names: Collection[str], *, with_units: bool = False) -> list[str]:
        """The columns with one of the names, in the order of the names."""
        by_name: dict[str, list[str]] = {}
        for column in self.inner:
            for known in known_as(column, with_units=with_units):
                by_name.setdefault(known, []).append(column)
        plain = [name.replace("_", "") for name in names]
        return list(dict.fromkeys(column for name in plain for column in by_name.get(name, ())))

    def line(self, name: str, source: str) -> str:
        """The line of a column that is one of the file."""
        form = date_form(self.values[source]) if self._is_time(name) else None
        if form == "":
            self.taken.discard(source)
            return self.comment(name, f"{source} may have the day or the month first: {self._strptime(source, '…')}")
        if form:
            remark = f"as in {self.values[source][0]}; {NO_ZONE}"
            return as_expression(name, self._strptime(source, form), 'time_zone = "UTC"', remark=remark)
        more, remark = self.details(name, source)
        return from_column(name, source, *more, remark=remark)

    def details(self, name: str, source: str) -> tuple[list[str], str]:
        """What else the mapping has to say of a column, and what its reader should know."""
        return self._details_of_time(source) if self._is_time(name) else ([], "")

    def _as_named(self, name: str) -> str | None:
        """A column that has our name is read as it is; what else there is to say of it."""
        why = self.why_not(name, name) if self.values[name] else None
        if self._is_time(name) and not why and date_form(self.values[name]) is not None:
            return self.line(name, name)
        more, remark = self.details(name, name)
        remark = f"its column {why}; map another one, or rename it" if why else remark
        if not more and why:
            return f"# {name}: {remark}"
        return f"{name} = {{ {', '.join(more)} }}{remark and f'  # {remark}'}" if more else None

    def _is_time(self, name: str) -> bool:
        return name == ENDED or pa.types.is_timestamp(self.table.schema.field(name).type)

    def _strptime(self, column: str, form: str) -> str:
        # Not try_strptime: what has another form is to be counted, not to vanish.
        return f"strptime(nullif(trim({name_in_sql(column)}), ''), {text_in_sql(form)})"

    def _details_of_time(self, source: str) -> tuple[list[str], str]:
        values, kind = self.values[source], self._schema.field(source).type
        unit = unit_of_epoch(values)
        if unit is not None:
            return [f"unit = {quoted(unit)}"], f"the first row holds {number_of(values[0]) or 0:.0f}"
        no_zone = "" if folded(source).endswith("utc") else NO_ZONE
        if pa.types.is_timestamp(kind):
            return ([], "") if kind.tz else (['time_zone = "UTC"'], no_zone)
        return ([], "") if values and says_its_zone(values[0]) else (['time_zone = "UTC"'], no_zone)


def _is_outer(column: str, columns: Collection[str]) -> bool:
    """Whether the values inside a column are columns too."""
    return any(other.startswith(f"{column}.") for other in columns)
