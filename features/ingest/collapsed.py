"""Counts the rows without an id that are equal to others and so count once, and names two of them as an example."""

from dataclasses import dataclass, replace

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.compute as pc

from features.engine.duckdb_engine import Engine
from features.ingest.identity import MADE_ID
from features.ingest.versions import ROWS_PER_FILE

__all__ = ["Collapsed", "Place", "collapsed_rows"]


Place = tuple[int, int]
"""The file of a row, by its number among those read, and the row's place in it."""


@dataclass(frozen=True)
class Collapsed:
    """Rows that arrived and are equal to others.

    Attributes
    ----------
    of_one_file
        Those equal to another row of their own file; two such rows are in ``of_one_file_places``.
    of_several
        Those equal to a row of another file, or to a stored one, which has no place.
    """

    of_one_file: int = 0
    of_several: int = 0
    of_one_file_places: tuple[Place, ...] = ()
    of_several_places: tuple[Place, ...] = ()

    def __add__(self, other: "Collapsed") -> "Collapsed":
        """Both together, with the first example."""
        return replace(
            self,
            of_one_file=self.of_one_file + other.of_one_file,
            of_several=self.of_several + other.of_several,
            of_one_file_places=self.of_one_file_places or other.of_one_file_places,
            of_several_places=self.of_several_places or other.of_several_places,
        )


def collapsed_rows(engine: Engine, several: ir.Table, event_ids: pa.ChunkedArray) -> Collapsed:
    """What collapses among arriving and stored rows, several of which have one of the ``event_ids``."""
    if not pc.any(pc.match_substring_regex(event_ids, MADE_ID)).as_py():
        return Collapsed()
    rows = several.filter(several.event_id.re_search(MADE_ID))
    is_new = ~rows.stored
    by_file = rows.filter(is_new).group_by("event_id", "day", "source_file")
    by_file = by_file.agg(
        rows=lambda t: t.count(), first=lambda t: t.source_row.min(), last=lambda t: t.source_row.max()
    )
    position = rows.source_file.cast("int64") * ROWS_PER_FILE + rows.source_row
    by_event = rows.group_by("event_id", "day").agg(
        files=rows.source_file.nunique(), is_stored=rows.stored.any(), position=position.min()
    )
    again = by_event.mutate(more=by_event.files - 1 + by_event.is_stored.cast("int64"))
    again = again.filter(again.files > 0, again.more > 0)
    counts = engine.to_arrow(
        by_file.agg(of_one_file=(by_file.rows - 1).sum().fill_null(0)).cross_join(
            again.agg(of_several=again.more.sum().fill_null(0))
        )
    ).to_pylist()[0]
    return Collapsed(
        int(counts["of_one_file"]),
        int(counts["of_several"]),
        _of_one_file(engine, by_file) if counts["of_one_file"] else (),
        _of_several(engine, by_file, again) if counts["of_several"] else (),
    )


def _of_one_file(engine: Engine, by_file: ir.Table) -> tuple[Place, ...]:
    repeated = by_file.filter(by_file.rows > 1).order_by("source_file", "first").limit(1)
    (row,) = engine.to_arrow(repeated).to_pylist()
    return (row["source_file"], row["first"]), (row["source_file"], row["last"])


def _of_several(engine: Engine, by_file: ir.Table, again: ir.Table) -> tuple[Place, ...]:
    several = again.order_by(ibis.desc("files"), "position").limit(1)
    places = by_file.semi_join(several, ["event_id", "day"]).order_by("source_file").limit(2)
    return tuple((row["source_file"], row["first"]) for row in engine.to_arrow(places).to_pylist())
