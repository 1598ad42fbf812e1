"""Quarantine: how many rows were refused, why, and what to mend."""

from collections.abc import Iterator, Mapping
from typing import Any

from features.checks.section import Inspection, Section, engine_of, percent, with_percent
from features.examination import Finding
from features.quarantine import read_quarantine
from features.raw import rows_stored
from features.schema import RAW_TABLES

__all__ = ["look_at_quarantine", "remedy_of"]

_MUCH, _MOST = 0.01, 0.1  # of a table's rows, those in quarantine among them

_REMEDIES: Mapping[str, str] = {
    "event_time_in_future": "The clock of the sender is ahead, or the mapping names the wrong zone: set time_zone, or "
    "mend the clock, and load the files again.",
    "account_id_invalid": "Map account_id to the column of the plain id: letters, digits and . _ : @ -, at most 128.",
    "status_out_of_range": "Map status to the HTTP status, a number from 100 to 599.",
    "kind_unknown": "Map kind to one of the words of subscription events, by an expression if need be.",
    "conflict": "Two versions of one row came in, and the earlier known stayed. Make the export send each row once.",
    "file_cut_short": "Let the export finish before its file is read: write it under another name, then rename it.",
    "line_unreadable": "Look at the named lines: a quote that never ends, or a line of another form.",
    "line_not_utf8": "Write the export as UTF-8.",
}
_BY_ENDING: Mapping[str, str] = {
    "_missing": "Map it to a column that every row fills, or repair the export.",
    "_naive": 'Say which zone the times are in: time_zone = "UTC" under the mapping of the column.',
    "_unreadable": "Say its unit or zone in the mapping, or make it by an expression.",
    "_too_old": "Times before 2000 are defaults or epochs of a wrong unit: set unit under the mapping of the column.",
    "_in_future": "Nobody can know that yet: look at the clock of the source and at the zone of the mapping.",
    "_negative": "A negative value is an error of the source; repair it there.",
}
_OTHERWISE = (
    "Look at the rows under the home's quarantine folder, mend the mapping or the export, load the files again."
)


def remedy_of(reason: str) -> str:
    """What to do about a reason.

    >>> remedy_of("latency_ms_negative")
    'A negative value is an error of the source; repair it there.'
    """
    if reason in _REMEDIES:
        return _REMEDIES[reason]
    return next((text for ending, text in _BY_ENDING.items() if reason.endswith(ending)), _OTHERWISE)


def look_at_quarantine(inspection: Inspection) -> Section:
    """One row per raw table and reason, the most rows first."""
    rows: list[dict[str, Any]] = []
    with engine_of(inspection.settings) as engine:
        for name in RAW_TABLES:
            refused = read_quarantine(engine, inspection.settings, name)
            counts = refused.group_by("reason").agg(rows=refused.count(), file=refused.source_file.max())
            found = engine.to_arrow(counts).to_pylist()
            everything = rows_stored(inspection.settings, name) + sum(row["rows"] for row in found)
            rows += [
                {
                    "source": name,
                    "reason": row["reason"],
                    "rows": row["rows"],
                    "share": row["rows"] / everything,
                    "for example in": str(row["file"]).rpartition("/")[2],
                }
                for row in sorted(found, key=lambda row: (-row["rows"], row["reason"]))
            ]
    return Section(
        tuple(rows),
        tuple(_findings(rows)),
        shown=with_percent(rows, {"share"}),
        note=None if rows else "No row was ever refused.",
    )


def _findings(rows: list[dict[str, Any]]) -> Iterator[Finding]:
    for row in rows:
        if row["share"] >= _MUCH:
            yield Finding(
                f"{row['rows']:,} rows of {row['source']} ({percent(row['share'])}) are in quarantine as "
                f"{row['reason']}, for example from {row['for example in']}.",
                remedy_of(row["reason"]),
                is_remark=row["share"] < _MOST,
            )
