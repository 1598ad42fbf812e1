"""Quarantine: how many rows were refused, why, and what to mend."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.examination import Finding
from features.exceptions import counted
from features.home.raw_tables import rows_stored
from features.ingest.loads import REMEMBERED, Load, loads_of
from features.ingest.quarantine import read_quarantine
from features.ingest.reasons import reason_in_words
from features.quality.section import Inspection, Section, engine_of
from features.schema import RAW_TABLES
from features.shares import Share, percent

__all__ = ["look_at_quarantine", "remedy_of"]


_MUCH, _MOST = 0.01, 0.1  # of the rows of the loads of late
_UNSIGNED = ("events", "account_id_missing")  # every log of an open port has such calls; no export is to blame

_REMEDIES: Mapping[str, str] = {
    "event_time_in_future": "The clock of the sender is ahead, or the mapping names the wrong zone: set time_zone, or "
    "mend the clock, and load the files again.",
    "account_id_invalid": "Map account_id to the column of the plain id: letters, digits and . _ : @ -, at most 128.",
    "quota_calls_per_month_unreadable": "Map quota_calls_per_month to a whole number, or say its decimal mark; empty, "
    "unlimited and -1 are no limit, and what cannot be read is not taken for one.",
    "term_end_unreadable": "Map term_end to a time; empty is a term without an end, and what cannot be read is not "
    "taken for one.",
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
    "_too_old": "Times before the setting oldest_event are defaults or epochs of a wrong unit: set unit under the "
    "mapping of the column, or oldest_event if they are real.",
    "_in_future": "Nobody can know that yet: look at the clock of the source and at the zone of the mapping.",
    "_negative": "A negative value is an error of the source; repair it there.",
}
_SIGN = "Strangers and probes call without a key. If customers call like this, map account_id to what names them."
_OTHERWISE = (
    "Look at the rows under the home's quarantine folder, mend the mapping or the export, load the files again."
)


def remedy_of(reason: str) -> str:
    """What to do about rows refused for a reason.

    >>> remedy_of("latency_ms_negative")
    'A negative value is an error of the source; repair it there.'
    """
    if reason in _REMEDIES:
        return _REMEDIES[reason]
    return next((text for ending, text in _BY_ENDING.items() if reason.endswith(ending)), _OTHERWISE)


def look_at_quarantine(inspection: Inspection) -> Section:
    """One row per raw table and reason, the most rows first.

    What is found is a matter of the loads of late: what was refused long ago is counted and no more, and what the
    newest load no longer refuses is a remark. A home that remembers no load is judged by all its rows.
    """
    rows: list[dict[str, Any]] = []
    findings: list[Finding] = []
    with engine_of(inspection.home) as engine:
        for name in RAW_TABLES:
            refused = read_quarantine(engine, inspection.home, name)
            counts = refused.group_by("reason").agg(rows=refused.count(), file=refused.source_file.max())
            reasons = sorted(engine.to_arrow(counts).to_pylist(), key=lambda row: (-row["rows"], row["reason"]))
            everything = rows_stored(inspection.home, name) + sum(row["rows"] for row in reasons)
            loads = loads_of(inspection.home, name)
            for row in reasons:
                file = str(row["file"]).rpartition("/")[2]
                late = _late(loads, row["reason"]) or _Late(row["rows"], everything, row["rows"] / everything)
                findings += _findings(name, row["reason"], late, file)
                rows.append(
                    {
                        "source": name,
                        "reason": row["reason"],
                        "rows": row["rows"],
                        "share": Share(row["rows"] / everything),
                        "share of late": Share(late.share),
                        "for example in": file,
                    }
                )
    days = REMEMBERED.days
    note = f"Of late: in the loads of the {days} days that end with the newest." if rows else "No row was ever refused."
    shown = tuple(row | {"reason": reason_in_words(row["reason"])} for row in rows)
    return Section(tuple(rows), tuple(findings), shown=shown, note=note)


@dataclass(frozen=True)
class _Late:
    """Rows refused for a reason of late, of how many read, and the share that the newest load refused."""

    refused: int
    rows_read: int
    newest: float

    @property
    def share(self) -> float:
        return self.refused / self.rows_read


def _late(loads: Sequence[Load], reason: str) -> _Late | None:
    if not loads:
        return None
    last = max(load.at for load in loads)
    all_of_them, newest = (
        (sum(load.refused.get(reason, 0) for load in some), sum(load.rows_read for load in some))
        for some in (loads, [load for load in loads if load.at == last])
    )
    return _Late(*all_of_them, newest[0] / newest[1])


def _findings(table: str, reason: str, late: _Late, file: str) -> Iterator[Finding]:
    if late.share < _MUCH:
        return
    is_unsigned = (table, reason) == _UNSIGNED
    mended = "" if late.newest >= _MOST or late.share < _MOST else f" Of the newest load {percent(late.newest)}."
    rows, were = counted(late.refused, "row|rows"), "was" if late.refused == 1 else "were"
    yield Finding(
        f"{rows} of {table} ({percent(late.share)} of the loads of late) {were} refused: "
        f"{reason_in_words(reason)}"
        f"{' (calls nobody signed)' if is_unsigned else ''}, for example from {file}.{mended}",
        _SIGN if is_unsigned else remedy_of(reason),
        is_remark=is_unsigned or late.share < _MOST or late.newest < _MOST,
    )
