"""What reading the files of one raw table has come to: checked rows, and what there is to say of the files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import ibis
import ibis.expr.types as ir

from features.engine.duckdb_engine import Engine
from features.exceptions import InputError, listed
from features.ingest.decimals import FileColumns
from features.ingest.texts import Marks
from features.ingest.times import NAIVE
from features.schema import RawTable
from features.sources.mapping.declared import HOST, MappedColumn, MappedFile
from features.sources.text.lines import FAULTS, Fault

__all__ = ["Staged", "refuse_naive"]


@dataclass(frozen=True)
class Staged:
    """Checked rows of one raw table.

    Attributes
    ----------
    rows
        One row per row of the files, good or refused, with the canonical columns, ``source_file`` (its place in
        ``paths``), ``source_row`` (its line in a text file, its place in a Parquet file), ``by_clock``, ``reason``,
        ``given``.
    rows_read
        How many rows the files have, lines that hold no row among them.
    brought
        Canonical columns that at least one file brings.
    ignored
        Columns of the files that nothing reads.
    faults
        The first lines that hold no row, as file and fault.
    empty
        Files without any row.
    mapped
        What the mapping made of the files that were read together, with their names.
    is_log
        All files are access logs.
    seen
        Place of each file to what was seen in its number columns: decimal marks, currencies, units.
    told
        Sentences about the files, with ``{count}`` for the number beside them.
    ended
        Rows that also say when a subscription ended, of which there are two here.
    unread
        Files beside these that nothing reads.
    damaged
        Files of a folder that are left out, and why.
    open_ends
        File and number of each last line that has no end.
    hosts
        The machine that each of ``paths`` names, where machines tell rows apart.
    commas
        Place of each file that writes decimal commas, to the columns that show it.
    """

    table: RawTable
    rows: ir.Table
    rows_read: int
    paths: tuple[Path, ...]
    brought: tuple[str, ...]
    ignored: tuple[str, ...]
    faults: tuple[tuple[Path, Fault], ...] = ()
    empty: tuple[Path, ...] = ()
    mapped: tuple[tuple[str, MappedFile], ...] = ()
    is_log: bool = False
    commas: FileColumns = field(default_factory=dict)
    ended: int = 0
    told: Mapping[str, int] = field(default_factory=dict)
    seen: Mapping[int, Marks] = field(default_factory=dict)
    unread: tuple[Path, ...] = ()
    damaged: Mapping[Path, str] = field(default_factory=dict)
    hosts: tuple[str, ...] = ()
    open_ends: tuple[tuple[int, int], ...] = ()

    @property
    def has_machines(self) -> bool:
        """Whether equal rows of two machines are told apart."""
        return bool(self.hosts) or any(HOST in mapped.columns for _, mapped in self.mapped)

    @property
    def files_read(self) -> int:
        """How many files there are rows of, or might have been."""
        return sum(path not in self.damaged for path in self.paths)

    def column(self, name: str) -> MappedColumn:
        """How the first of the files makes a canonical column."""
        columns: list[Mapping[str, MappedColumn]] = [mapped.columns for _, mapped in self.mapped]
        return next((each[name] for each in columns if name in each), MappedColumn())

    def without(self, places: Sequence[tuple[int, int]]) -> "Staged":
        """The same but for the rows at these files and lines."""
        rows = self.rows
        for file, line in places:
            rows = rows.filter((rows.source_file != file) | (rows.source_row != line))
        return replace(self, rows=rows)

    def with_names(self, refused: ir.Table) -> ir.Table:
        """Refused rows with the path of their file instead of its place; ``store`` where they come from none."""
        files = ibis.array([str(path) for path in self.paths])
        name = files[refused.source_file]
        if "store" in refused.columns:
            name = name.fill_null(refused.store)
        return refused.mutate(source_file=name)


def refuse_naive(engine: Engine, staged: Staged) -> None:
    """Refuse files of which no row says in which zone its times are.

    Raises
    ------
    InputError
        Naming the files and the mapping that says it.
    """
    rows = staged.rows
    whole = rows.filter(~rows.reason.fill_null("").isin(FAULTS))
    column = (whole.reason.fill_null("") + "," + whole.marks.fill_null("")).re_extract(f"([a-z_]+){NAIVE}", 1)
    whole = whole.mutate(column=column.nullif(""))
    by_file = whole.group_by("source_file").agg(
        rows=whole.count(), naive=whole.column.count(), column=whole.column.max()
    )
    naive = engine.to_arrow(by_file.filter(by_file.rows == by_file.naive).order_by("source_file")).to_pylist()
    if naive:
        names = [staged.paths[row["source_file"]].name for row in naive]
        columns = sorted({row["column"] for row in naive})
        places = " and ".join(f"[sources.{staged.table.name}.columns.{column}]" for column in columns)
        raise InputError(
            f"No row of {listed(names)} says in which time zone its {' and '.join(columns)} is. Say it for all of "
            f'them: time_zone = "UTC" (or "Europe/Berlin") under {places}, or write an offset behind each time. '
            "Nothing was stored."
        )
