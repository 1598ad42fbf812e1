"""What a night did, as a page for a person and as JSON for a program."""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from typing import Any

from features.exceptions import counted, listed
from features.ingest.reasons import reason_in_words
from features.shares import percent
from serving.ledger.runs import named_in_words
from serving.routine.nightly_report import Mover, NightlyReport, Source, TargetNight
from serving.routine.terminal import who

__all__ = ["nightly_json", "nightly_lines"]


_BANDS = ("high", "medium", "low")


def nightly_lines(report: NightlyReport) -> list[str]:
    """The summary: what came in, what was built, who scored how, who moved, which source is late."""
    lines = [f"Night of {report.as_of:%Y-%m-%d}", *_came_in(report)]
    lines += ["  SOURCE LATE: the stores are as they were, and nobody was scored."] if report.is_source_late else []
    lines += [] if report.is_source_late else _built(report)
    for target in report.targets:
        lines += ["", *_scored(target)]
    lines += ["", *(_reaches(source) for source in report.sources)]
    if report.failure is not None:
        lines += ["", f"Stopped at: {report.failure.step}" if not report.targets else "Done, but for what follows."]
    elif report.changed_nothing:
        lines += ["", "Everything was there already: nothing changed."]
    return lines


def nightly_json(report: NightlyReport) -> dict[str, Any]:
    """The same for programs; times are ISO-8601 with offset."""
    return {
        "as_of": report.as_of.isoformat(),
        "state": report.state_name,
        "files_taken": report.files_taken,
        "tables": [
            {
                "table": table.table,
                "files": table.files,
                "rows_read": table.rows_read,
                "new": table.rows_stored,
                "duplicates": table.duplicates,
                "quarantined": dict(table.quarantined),
            }
            for table in report.tables
        ],
        "refused": [{"file": file.name, "why": file.why} for file in report.refused],
        "unread": list(report.unread),
        "notes": list(report.notes),
        "days_counted": report.days_counted,
        "cutoffs_built": [cutoff.date().isoformat() for cutoff in report.cutoffs_built],
        "accounts_online": report.accounts_online,
        "targets": [_target_json(target) for target in report.targets],
        "sources": [
            {"table": source.table, "until": source.until and source.until.isoformat(), "is_late": source.is_late}
            for source in report.sources
        ],
        "changed_nothing": report.changed_nothing,
        "failure": report.failure and {"step": report.failure.step, "error": str(report.failure.error)},
    }


def _came_in(report: NightlyReport) -> Iterator[str]:
    if not report.files_taken and not report.is_source_late:
        yield "  Inbox: no new files."
    for table in report.tables:
        yield (
            f"  {table.table}: {counted(table.files, 'new file|new files')}, {table.rows_read:,} rows: "
            f"{table.rows_stored:,} new, {table.duplicates:,} known already, {table.quarantined_total:,} in quarantine."
        )
        yield from (f"    {rows:,} {reason_in_words(reason)}" for reason, rows in sorted(table.quarantined.items()))
    for refused in report.refused:
        yield f"  Refused {refused.name}: {refused.why}"
    if report.unread:
        yield f"  Not read, for they are no data files of a table's sub-folder: {listed(report.unread)}."
    yield from (f"  {note}" for note in report.notes)


def _built(report: NightlyReport) -> Iterator[str]:
    yield f"  Rollups: {counted(report.days_counted, 'event day|event days')} counted."
    others = [cutoff for cutoff in report.cutoffs_built if cutoff != report.as_of]
    built = f"{report.as_of:%Y-%m-%d} built" if report.as_of in report.cutoffs_built else "nothing to build"
    more = f", and {counted(len(others), 'earlier cutoff|earlier cutoffs')}" if others else ""
    yield f"  Features: {built}{more}."
    if report.is_online_kept:
        yield "  Online store: holds these features or newer ones already."
    elif report.accounts_online:
        yield f"  Online store: {counted(report.accounts_online, 'account|accounts')} as of {report.as_of:%Y-%m-%d}."


def _scored(target: TargetNight) -> Iterator[str]:
    bands = ", ".join(f"{target.bands.get(band, 0):,} {band}" for band in _BANDS)
    others = ", ".join(
        f"{count:,} {status.replace('_', ' ')}" for status, count in target.statuses.items() if status != "scored"
    )
    title = target.target.replace("_", " ")
    note = "" if target.is_new else " (this run was in the ledger already)"
    yield f"{title}, {named_in_words(target.version, target.rule)}: {bands}{'; ' + others if others else ''}{note}."
    if target.previous is None:
        yield "  There is no earlier score run to compare with."
        return
    before = target.previous
    model = "" if before.version == target.version else f", by {named_in_words(before.version, before.rule)}"
    yield f"  Against {target.previous.as_of:%Y-%m-%d}{model}:"
    yield from _moved("up", target.risen)
    yield from _moved("down", target.fallen)


def _moved(way: str, movers: tuple[Mover, ...]) -> Iterator[str]:
    for mover in movers:
        account = who(mover.account_id, mover.name, mover.owner)
        yield f"    {way:4} {account}: {percent(mover.before)} to {percent(mover.now)}"


def _reaches(source: Source) -> str:
    if source.until is None:
        return f"  Source {source.table}: none."
    late = " LATE: a silent account may not be silent." if source.is_late else ""
    return f"  Source {source.table}: known up to {_moment(source.until)}.{late}"


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _target_json(target: TargetNight) -> dict[str, Any]:
    return {
        "target": target.target,
        "version": target.version,
        "rule": target.rule,
        "bands": {band: target.bands.get(band, 0) for band in _BANDS},
        "statuses": dict(target.statuses),
        "compared_with": target.previous and target.previous.as_of.isoformat(),
        "risen": [_mover_json(mover) for mover in target.risen],
        "fallen": [_mover_json(mover) for mover in target.fallen],
        "is_new": target.is_new,
    }


def _mover_json(mover: Mover) -> dict[str, Any]:
    return asdict(mover)
