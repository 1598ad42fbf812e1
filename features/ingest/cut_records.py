"""Tells of a CRM file that was cut off inside its last row, by the whole row that was read before or comes later."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir

from features.engine.duckdb_engine import Engine
from features.exceptions import counted, listed
from features.ingest.cut_copies import begins, of_last_column
from features.ingest.known_since import content_of, key_of
from features.ingest.staged import Staged
from features.sources.files import SourceFiles
from features.storage.store import ManifestStore

__all__ = ["CutRecords", "cut_records"]


@dataclass(frozen=True)
class CutRecords:
    """Rows of which a part was read.

    Attributes
    ----------
    copies
        File and line of last rows without an end that are the beginning of a stored row, in a file without news.
    grown
        File and line of rows that go on where a stored row ends.
    """

    copies: tuple[tuple[int, int], ...] = ()
    grown: tuple[tuple[int, int], ...] = ()

    def notes(self, staged: Staged) -> Iterator[str]:
        """What is told of them."""
        name, paths = staged.table.name, staged.paths
        if self.copies:
            files = counted(len(self.copies), "file is|files are")
            shown = listed([paths[file].name for file, _ in self.copies])
            yield (
                f"{name}: {files} cut off inside the last row, which was read whole before: {shown}. That row was left "
                "out. If it is whole and corrects the stored one, put an end of line behind it and ingest again."
            )
        if self.grown:
            rows = counted(
                len(self.grown), "row goes on where the stored one ends|rows go on where the stored one ends"
            )
            shown = listed([f"{paths[file].name} {line}" for file, line in self.grown])
            yield (
                f"{name}: {rows}: {shown}. An earlier file seems to have been cut off inside its last row; what was "
                "read of it stays in the past. To be rid of it, ingest the whole files into a new home."
            )


def cut_records(engine: Engine, staged: Staged, groups: Sequence[SourceFiles], store: ManifestStore) -> CutRecords:
    """The rows of one table of the CRM of which an earlier file, or one that comes now, has only the beginning."""
    paths = store.files(staged.table.name, staged.table.name)
    if not paths:
        return CutRecords()
    table = staged.table
    stored = engine.name_parquet(f"whole_{table.name}", paths, schema=table.schema, absent_as_null=table.added)
    content = content_of(table)
    copies, grown = list[tuple[int, int]](), list[tuple[int, int]]()
    for group, (_, mapped) in zip(groups, staged.mapped, strict=True):
        cut = sorted(of_last_column(mapped.columns, group) & {*content}) if group.kind == "csv" else []
        for path in group.paths if cut else ():
            place = staged.paths.index(path)
            rows = staged.rows.filter(staged.rows.source_file == place, staged.rows.reason.isnull())
            lines = [line for file, line in staged.open_ends if file == place]
            last = rows.filter(rows.source_row.isin(lines)) if lines else None
            if last is not None and _begin(engine, last, stored, content, cut, is_part_stored=False):
                others = rows.filter(~rows.source_row.isin(lines))
                if not engine.count(others.anti_join(stored, _same(others, stored, content))):
                    copies += [(place, line) for line in lines]
                continue
            if not {*cut} & {*key_of(table)}:
                longer = _begin(engine, rows, stored, content, cut, is_part_stored=True)
                grown += [(place, line) for line in longer] if len(longer) == 1 else []  # one row of a file is its last
    return CutRecords(tuple(copies), tuple(grown))


def _same(rows: ir.Table, stored: ir.Table, names: Sequence[str]) -> list[ir.BooleanValue]:
    return [rows[name].identical_to(stored[name]) for name in names]


def _begin(
    engine: Engine,
    rows: ir.Table,
    stored: ir.Table,
    content: Sequence[str],
    cut: Sequence[str],
    *,
    is_part_stored: bool,
) -> list[int]:
    """Lines of rows of which a stored row differs in the ``cut`` columns alone, one beginning like the other."""
    alike = [name for name in content if name not in cut]
    joined = rows.inner_join(stored, _same(rows, stored, alike))
    pairs = joined.select(
        line=rows.source_row,
        **{f"given_{name}": rows[name] for name in cut},
        **{f"stored_{name}": stored[name] for name in cut},
    )
    return sorted(
        {
            pair["line"]
            for pair in engine.to_arrow(pairs).to_pylist()
            if _is_beginning(pair, cut, *(("stored", "given") if is_part_stored else ("given", "stored")))
        }
    )


def _is_beginning(pair: Mapping[str, Any], cut: Sequence[str], part: str, whole: str) -> bool:
    values = [(pair[f"{part}_{name}"], pair[f"{whole}_{name}"], name) for name in cut]
    return all(begins(*value) for value in values) and any(shorter != longer for shorter, longer, _ in values)
