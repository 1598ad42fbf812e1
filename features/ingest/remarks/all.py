"""Collects the sentences that an ingest prints about the data, each of them once."""

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol

from features.engine.duckdb_engine import Engine
from features.exceptions import counted, listed
from features.ingest.remarks.clocks import clock_notes
from features.ingest.remarks.records import differing_notes, undated_notes
from features.ingest.remarks.route_patterns import MOST_TEMPLATES, count_templates, suggest_patterns
from features.ingest.remarks.unread_values import unread_notes
from features.ingest.staged import Staged
from features.schema import EVENTS, TOUCHPOINTS, RawTable
from features.sources.hosts import folder_host, host_of
from features.sources.mapping.declared import mappable_columns

__all__ = ["notes_about"]


_OPTIONAL_EFFECT = {
    "status": "error features",
    "latency_ms": "latency features",
    "token": "features of tokens",
    "user_id": "features of users",
    "endpoint": "breadth features",
    "sdk": "SDK features",
}


class _Counted(Protocol):
    @property
    def table(self) -> str: ...
    @property
    def quarantined_total(self) -> int: ...


def notes_about(
    engine: Engine,
    staged: Sequence[Staged],
    reports: Sequence[_Counted],
    *,
    now: datetime,
    backfill: bool,
    written: Mapping[Path, datetime],
    known_tables: Collection[str],
) -> list[str]:
    """Sentences about defaults taken, columns missing or ignored, clocks, and ids that look like one account.

    ``written`` says when each file was last written, ``known_tables`` which tables beside the events
    the home then holds.
    """
    notes: list[str] = []
    for staged_table in staged:
        notes += _faults(staged_table) + _columns(staged_table) + _defaults(engine, staged_table, backfill=backfill)
        notes += unread_notes(engine, staged_table) + _machines(staged_table)
        notes += clock_notes(engine, staged_table, written, now=now) + _templates(engine, staged_table)
    notes += _look_alikes(engine, staged)
    refused = [report for report in reports if report.quarantined_total]
    if refused:
        counts = ", ".join(f"{report.quarantined_total:,} of {report.table}" for report in refused)
        notes.append(f"Rows in quarantine: {counts}. They lie under the home's quarantine folder with their reasons.")
    if EVENTS.name in {staged_table.table.name for staged_table in staged} and "subscriptions" not in known_tables:
        notes.append("There are no subscriptions: the target without them is churn_inactivity.")
    if EVENTS.name in {staged_table.table.name for staged_table in staged} and TOUCHPOINTS.name not in known_tables:
        notes.append("There are no touchpoints: the features of support and logins are null.")
    return notes


def _faults(staged: Staged) -> list[str]:
    name = staged.table.name
    notes = []
    if staged.faults:
        lines = [f"{path.name} line {fault.line} ({fault.what})" for path, fault in staged.faults]
        shown = "; ".join(lines[:5]) + (" and more" if len(lines) > 5 else "")
        notes.append(f"{name}: lines that hold no row: {shown}. They go to quarantine.")
    if staged.empty:
        count = counted(len(staged.empty), "file without a row|files without a row")
        notes.append(f"{name}: {count}: {listed([path.name for path in staged.empty])}.")
    for sentence, records in staged.told.items():
        notes.append(f"{name}: {sentence.format(count=counted(records, 'record|records'))}.")
    for path, why in staged.damaged.items():
        notes.append(f"{name}: left out {path.name}: {why.removesuffix(' Nothing was stored.')}")
    if staged.unread:
        count = counted(
            len(staged.unread), "file is not read, by its name no data file|files are not read, by name no data"
        )
        notes.append(f"{name}: {count}: {listed([path.name for path in staged.unread])}.")
    return notes


def _columns(staged: Staged) -> list[str]:
    name = staged.table.name
    notes = []
    if staged.ignored:
        count = counted(len(staged.ignored), "column|columns")
        notes.append(f"{name}: {count} read by nothing: {listed(staged.ignored)}.")
    absent = [column for column in _optional(staged.table) if column not in staged.brought]
    effects = sorted({_OPTIONAL_EFFECT[column] for column in absent if column in _OPTIONAL_EFFECT})
    if absent:
        effect = f" Null without them: {', '.join(effects)}." if effects and staged.table is EVENTS else ""
        notes.append(f"{name}: no column for {listed(absent, limit=20)}.{effect}")
    return notes


def _optional(table: RawTable) -> list[str]:
    said_elsewhere = {"event_id", "ingested_at", "known_at", "subscription_id"}
    return [name for name in mappable_columns(table) if name not in table.required and name not in said_elsewhere]


def _defaults(engine: Engine, staged: Staged, *, backfill: bool) -> list[str]:
    table, brought = staged.table, staged.brought
    notes = []
    if table is EVENTS:
        if "event_id" not in brought:
            what = "lines of two files, but not of one," if staged.is_log else "rows"
            notes.append(f"events: no event_id; identical {what} were taken for one event.")
        if "ingested_at" not in brought:
            source = "event_time (backfill)" if backfill else "the clock of this command; a first load needs --backfill"
            notes.append(f"events: no ingested_at; it was taken from {source}.")
    else:
        notes += undated_notes(engine, staged, backfill=backfill)
        notes += differing_notes(engine, staged)
    if staged.ended:
        rows_ended = counted(staged.ended, "row also says when its|rows also say when their")
        notes.append(f"{table.name}: {rows_ended} subscription ended: each is a start and a cancellation.")
    return notes


def _machines(staged: Staged) -> list[str]:
    """Which machines the files were taken to be of, and which of them may be something that several have."""
    if not staged.hosts:
        return []
    files = Counter(staged.hosts)
    machines = listed(f"{host} ({counted(files[host], 'file|files')})" for host in sorted(files))
    notes = [f"{staged.table.name}: distinct_files keeps equal rows of different machines apart: {machines}."]
    folders: dict[str, set[str]] = {}
    for path, host in zip(staged.paths, staged.hosts, strict=True):
        folder = folder_host(path)
        if folder is not None and host_of(path, "host") == host != folder:
            folders.setdefault(host, set()).add(folder)
    for host, names in sorted(folders.items()):
        if len(names) > 1:
            notes.append(
                f"{staged.table.name}: distinct_files takes {host} for one machine, and its files lie in "
                f"{listed(sorted(names))}. Where these are the machines, say so in a new home: "
                'distinct_files = "{host}/*".'
            )
    return notes


def _templates(engine: Engine, staged: Staged) -> list[str]:
    """More endpoints than an API has, and which patterns would make them fewer."""
    if staged.table is not EVENTS or "endpoint" not in staged.brought:
        return []
    good = staged.rows.filter(staged.rows.reason.isnull())
    count = count_templates(engine, good)
    if count <= MOST_TEMPLATES:
        return []
    suggestions = suggest_patterns(engine, good)
    patterns = json.dumps([suggestion.pattern for suggestion in suggestions], ensure_ascii=False)
    remedy = (
        f"Declare under [sources.events] path_patterns = {patterns}"
        if suggestions
        else "Declare the routes whose parts vary as path_patterns under [sources.events]"
    )
    text = (
        f"events: {count:,} different endpoints, more than {MOST_TEMPLATES:,}: their paths name things. {remedy}; what "
        "is stored keeps its endpoints."
    )
    return [text]


def _look_alikes(engine: Engine, staged: Sequence[Staged]) -> list[str]:
    """Accounts that differ only in upper and lower case stay two accounts, and are named."""
    tables = [staged_table.rows for staged_table in staged]
    ids = [rows.filter(rows.reason.isnull()).select("account_id").distinct() for rows in tables]
    accounts = ids[0]
    for more in ids[1:]:
        accounts = accounts.union(more)
    accounts = accounts.distinct()
    folded = accounts.group_by(folded=accounts.account_id.lower()).agg(
        ids=accounts.account_id.collect(order_by=accounts.account_id), count=accounts.count()
    )
    alike = engine.to_arrow(folded.filter(folded["count"] > 1).order_by("folded")).to_pylist()
    if not alike:
        return []
    pairs = listed([" / ".join(row["ids"]) for row in alike])
    return [f"Account ids that differ only in case stay different accounts: {pairs}."]
