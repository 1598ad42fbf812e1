"""Tells which of several exports that come in one command has the last word on a row."""

import ibis
import ibis.expr.types as ir
import pandas as pd
import pyarrow as pa

from features.engine.duckdb_engine import Engine
from features.ingest.known_since import content_of, key_of
from features.schema import RawTable

__all__ = ["SNAPSHOT_SHARE", "without_overruled"]


SNAPSHOT_SHARE = 0.8
"""A file that has so much again of what an earlier one has is a later export of the same."""

_PLACE = pa.schema([("source_file", pa.int32()), ("source_row", pa.int64())])


def without_overruled(engine: Engine, rows: ir.Table, table: RawTable) -> tuple[ir.Table, ir.Table | None]:
    """The rows without those that a later export says otherwise; and those, None where there are none.

    Files are in the order they were given in. One is later than another when it has :data:`SNAPSHOT_SHARE` of its rows
    again, by account, subscription, time and kind, or says something else of one of them, under the same plan. Where
    neither is so, the files are parts of one export, whose rows stand side by side. Rows that say when they became
    known overrule nothing and are not overruled.
    """
    every = _told(engine, rows.filter(rows.by_clock), table)
    by_key = every.groupby("key")
    told = every[(by_key["content"].transform("nunique") > 1) & (by_key["source_file"].transform("nunique") > 1)]
    turn = told["source_file"].map(_turns(_pairs(every, told))).fillna(0)
    is_overruled = turn < turn.groupby(told["key"]).transform("max")
    # What a later file says again is no other word.
    is_overruled &= ~told["content"].isin(told.loc[~is_overruled, "content"])
    if not is_overruled.any():
        return rows, None
    places = pa.Table.from_pandas(told.loc[is_overruled, _PLACE.names], _PLACE, preserve_index=False)
    overruled = engine.name_rows("overruled", places)
    return rows.anti_join(overruled, _PLACE.names), rows.semi_join(overruled, _PLACE.names)


def _told(engine: Engine, rows: ir.Table, table: RawTable) -> pd.DataFrame:
    """File and row with digests of its key, of the key and the plan, and of all it says."""
    key, content = key_of(table), content_of(table)
    same = [*key, "plan"] if "plan" in content else key
    digests = {"key": key, "same": same, "content": content}
    values = {name: rows[name].cast("string").fill_null("") for name in content}
    columns_of_digests = {
        name: ibis.literal("\x1f").join([values[column] for column in columns]).hexdigest("md5")
        for name, columns in digests.items()
    }
    told: pd.DataFrame = engine.to_arrow(rows.select("source_file", "source_row", **columns_of_digests)).to_pandas()
    return told


def _pairs(told: pd.DataFrame, differing: pd.DataFrame) -> set[tuple[int, int]]:
    """An earlier and a later file, where the later one is an export of the same."""
    places = told.drop_duplicates(["source_file", "key"]).sort_values("source_file", kind="stable")
    places = places.assign(before=places.groupby("key")["source_file"].shift(1))
    again = places.groupby(["before", "source_file"]).size()
    rows_of = places["source_file"].value_counts().to_dict()
    share = again / again.index.get_level_values("before").map(rows_of)
    contents = differing.sort_values("content").groupby(["same", "source_file"])["content"].agg("".join).reset_index()
    contents = contents.sort_values("source_file", kind="stable")
    before = contents.groupby("same")[["source_file", "content"]].shift(1)
    is_other = before["source_file"].notna() & (before["content"] != contents["content"])
    pairs = [
        *share.index[share >= SNAPSHOT_SHARE],
        *zip(before["source_file"][is_other], contents["source_file"][is_other], strict=True),
    ]
    return {(int(earlier), int(later)) for earlier, later in pairs}


def _turns(pairs: set[tuple[int, int]]) -> dict[int, int]:
    """In which turn each file comes: after all that it is later than."""
    turns: dict[int, int] = {}
    for file in sorted({file for pair in pairs for file in pair}):
        turns[file] = max((turns[earlier] + 1 for earlier, later in pairs if later == file), default=0)
    return turns
