"""Values left out: which optional values of the loads of late could not be read, how many, and two examples."""

from collections import defaultdict
from collections.abc import Iterator

from features.examination import Finding
from features.exceptions import counted
from features.ingest.loads import REMEMBERED, loads_of
from features.quality.refused import remedy_of
from features.quality.section import Inspection, Section
from features.schema import RAW_TABLES
from features.shares import Share, percent

__all__ = ["look_at_values_left_out"]


_MUCH, _MOST = 0.01, 0.1  # of the rows of the loads of late, as of what is refused
_WORDS = {
    "unreadable": "unreadable",
    "out_of_range": "out of range",
    "negative": "negative",
    "in_future": "in the future",
    "naive": "a time without a zone",
    "nested": "an object or a list",
    "expression_failed": "what its expression failed on",
    "comes_twice": "in the hour that comes twice",
    "is_skipped": "in the hour that is left out",
    "stripped": "stripped of spaces or invisible characters",
}
_READ_ALL_THE_SAME = ("comes_twice", "is_skipped", "stripped")


def look_at_values_left_out(inspection: Inspection) -> Section:
    """One row per raw table, column and what was told of its values in the loads of late, the most rows first."""
    rows: list[dict[str, object]] = []
    findings: list[Finding] = []
    for table in RAW_TABLES:
        loads = loads_of(inspection.home, table)
        rows_read = sum(load.rows_read for load in loads)
        counts: dict[str, int] = defaultdict(int)
        examples: dict[str, str] = {}
        for load in loads:
            for mark, values in load.left_out.items():
                counts[mark] += values.rows
                examples[mark] = "; ".join(values.examples)
        for mark, count in sorted(counts.items(), key=lambda item: (-item[1], item[0])):
            ending = next((ending for ending in _WORDS if mark.endswith(f"_{ending}")), "")
            column, what = mark.removesuffix(f"_{ending}"), _WORDS.get(ending, mark)
            share = Share(count / rows_read)
            findings += _findings(mark, column, what, count, share, table, examples[mark])
            rows.append(
                {"source": table, "column": column, "what": what, "rows": count, "share of late": share}
                | {"for example": examples[mark]}
            )
    note = f"Of late: in the loads of the {REMEMBERED.days} days that end with the newest."
    return Section(
        tuple(rows),
        tuple(findings),
        note=note if rows else "No value was left out of late.",
    )


def _findings(
    mark: str, column: str, what: str, rows: int, share: float, table: str, examples: str
) -> Iterator[Finding]:
    if share < _MUCH or mark.endswith(_READ_ALL_THE_SAME):
        return
    yield Finding(
        f"{column} was {what} in {counted(rows, 'row|rows')} of {table} ({percent(share)} of the loads of late), "
        f"stored without it, for example {examples}.",
        remedy_of(mark),
        is_remark=share < _MOST,
    )
