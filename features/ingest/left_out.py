"""Counts values that were left out, or read in another way than they are written, with two examples of each kind."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from features.engine.duckdb_engine import Engine
from features.ingest.loads import LeftOut
from features.ingest.staged import Staged

__all__ = ["values_left_out"]


_EXAMPLES = 2
# A number or a time, or a word without digits; anything else may be a secret that lies in a wrong column.
_SHOWN = re.compile(r"[+-]?[\d.,:/' T+-]{1,26} ?[A-Za-z\u00b5%$\u20ac]{0,3}|[A-Za-z][A-Za-z _-]{0,23}")


def values_left_out(engine: Engine, staged: Staged) -> dict[str, LeftOut]:
    """What is told of the values of good rows, such as ``status_unreadable``: how often, and two examples."""
    rows = staged.rows.filter(staged.rows.reason.isnull(), staged.rows.marks.notnull())
    counts = engine.to_arrow(rows.group_by("marks").agg(rows=rows.count()).order_by("marks")).to_pylist()
    marks: Counter[str] = Counter()
    for row in counts:
        for mark in row["marks"].split(","):
            marks[mark] += row["rows"]
    return {mark: LeftOut(marks[mark], tuple(_examples(engine, staged, mark))) for mark in sorted(marks)}


def _examples(engine: Engine, staged: Staged, mark: str) -> Iterator[str]:
    rows = staged.rows
    marked = rows.filter(rows.reason.isnull(), rows.marks.re_search(f"(^|,){mark}(,|$)"))
    first = marked.order_by("source_file", "source_row").select("source_file", "source_row", "given").limit(_EXAMPLES)
    name = next((name for name in staged.brought if mark.startswith(f"{name}_")), "")
    for row in engine.to_arrow(first).to_pylist():
        place = f"{staged.paths[row['source_file']].name} {row['source_row']}"
        value = "" if name in staged.table.secret or mark.endswith("_stripped") else _value(row, name)
        yield f"{place}: {value}" if _SHOWN.fullmatch(value) else place


def _value(row: Mapping[str, Any], name: str) -> str:
    # The engine is kept from a number it would misread by a mark before it.
    return str(json.loads(row["given"] or "{}").get(name) or "").strip().removeprefix("?")
