"""Takes API-call logs, accounts, subscription events and touchpoints into the stores: validated, or quarantined."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq

from features.engine.duckdb_engine import Engine
from features.exceptions import InputError, WorkFailedError, counted
from features.home.home import Home
from features.home.secret import secret_key
from features.ingest.loads import Load, note_load
from features.ingest.quarantine import QUARANTINE, keep_refused
from features.ingest.remarks.accounts import CRM_TABLES, account_ids, matching_notes
from features.ingest.remarks.all import notes_about
from features.ingest.staged import Staged
from features.ingest.staging import stage
from features.ingest.store_events import store_events
from features.ingest.store_records import store_records
from features.progress import Progress, silent
from features.schema import EVENTS, RAW_TABLES
from features.settings.fields import SourceSettings
from features.sources.files import TableFiles, table_files
from features.storage.store import ManifestStore, StoreWriter
from features.windows import require_utc

__all__ = ["IngestReport", "TableReport", "ingest", "last_written", "source_groups"]

_SEVERAL = 3  # rows; fewer may all be bad by chance


@dataclass(frozen=True)
class TableReport:
    """What became of one raw table's rows: each row read is new, a duplicate, or in quarantine.

    Attributes
    ----------
    rows_stored
        Rows that were not in the store before.
    duplicates
        Rows that say what another row says already.
    quarantined
        Reason to number of rows; ``conflict`` counts the versions that lost, wherever they lay.
    """

    table: str
    files: int
    rows_read: int
    rows_stored: int
    duplicates: int
    quarantined: Mapping[str, int] = field(default_factory=dict)

    @property
    def quarantined_total(self) -> int:
        """Rows that were refused."""
        return sum(self.quarantined.values())


@dataclass(frozen=True)
class IngestReport:
    """What one ingest did, with everything that has to be said about the data, once.

    Attributes
    ----------
    damaged
        Files of folders of which nothing could be read; the notes say why.
    """

    tables: tuple[TableReport, ...]
    notes: tuple[str, ...]
    days_touched: tuple[date, ...]
    events_total: int
    damaged: tuple[Path, ...] = ()

    def table(self, name: str) -> TableReport:
        """The report of one raw table; of nothing read where it was not given."""
        return next((report for report in self.tables if report.table == name), TableReport(name, 0, 0, 0, 0))

    def require_good_rows(self) -> None:
        """Fail where every row of a table, of several, went to quarantine: then not a row is wrong but the mapping.

        Raises
        ------
        WorkFailedError
            Naming the most frequent reason.
        """
        for table in self.tables:
            refused = {reason: rows for reason, rows in table.quarantined.items() if reason != "conflict"}
            if table.rows_read >= _SEVERAL and sum(refused.values()) >= table.rows_read:
                reason, rows = max(refused.items(), key=lambda item: item[1])
                raise WorkFailedError(
                    f"None of the {table.rows_read:,} rows of {table.table} was stored: "
                    f"{counted(rows, 'row was|rows were')} refused as {reason}. See with "
                    "`bellwether ingest --dry-run` what the mapping makes of the files, mend it, and ingest again."
                )


def ingest(
    home: Home,
    *,
    now: datetime,
    events: Sequence[Path | str] = (),
    accounts: Sequence[Path | str] = (),
    subscriptions: Sequence[Path | str] = (),
    touchpoints: Sequence[Path | str] = (),
    backfill: bool = False,
    complete_until: datetime | None = None,
    progress: Progress | None = None,
) -> IngestReport:
    """Validate, quarantine and store; running it again with the same files changes nothing.

    Paths are files, folders or globs of Parquet, CSV or JSON Lines. A file that cannot be used leaves every store as
    it was, but for a damaged one among others of a folder, which is left out and named; a line that holds no row goes
    to quarantine.
    Quarantine is published first, then events, then records: a failure in between loses nothing, and the same
    command again completes the work.

    With ``backfill``, events without ``ingested_at`` were learned of when they happened, otherwise at ``now``.
    ``complete_until`` says up to when the tables given now hold everything.

    Raises
    ------
    InputError
        When nothing was given, or a file cannot be used; the stores are as they were.
    SettingsError
        When a mapping is wrong.
    LockHeldError
        When another process writes to one of the stores.
    """
    now = require_utc(now, what="now")
    given = {"events": events, "accounts": accounts, "subscriptions": subscriptions, "touchpoints": touchpoints}
    groups = source_groups(home, given)
    if complete_until is not None and require_utc(complete_until, what="--complete-until") > now:
        raise InputError(
            f"--complete-until {complete_until.isoformat()} lies after {now.isoformat(timespec='seconds')}: "
            "nobody knows that yet. Give an earlier moment."
        )
    key = secret_key(home.root)
    with ExitStack() as stack:
        # Left in reverse. A version that lost is nowhere else once the events are published, so quarantine comes
        # first; what is said about the events comes after them.
        raw = stack.enter_context(home.stores.raw.writer())
        days = stack.enter_context(home.stores.events.writer())
        refused = stack.enter_context(home.stores.quarantine.writer())
        for store in (raw, days):  # tells this store from one that takes its place later
            store.notes.setdefault("generation", uuid.uuid4().hex)
        engine = home.engine(spill=days.scratch / "spill")
        stack.callback(engine.close)
        work = _Work(engine, home, groups, key, now, backfill, progress or silent)
        return work.run(days, raw, refused, complete_until=complete_until)


def source_groups(home: Home, given: Mapping[str, Sequence[Path | str]]) -> dict[str, TableFiles]:
    """The files of each raw table that was given any, put together that can be read together.

    Raises
    ------
    InputError
        When nothing was given, or a file cannot be used.
    SettingsError
        When a log's format is not declared.
    """
    groups = {
        name: table_files(paths, home.settings.sources.get(name, SourceSettings()), table=name)
        for name, paths in given.items()
        if paths
    }
    if not groups:
        raise InputError(
            "There is nothing to ingest. Give at least one of --events, --accounts, --subscriptions, --touchpoints."
        )
    return groups


def last_written(groups: Mapping[str, TableFiles]) -> dict[Path, datetime]:
    """When each file was last written."""
    paths = [path for files in groups.values() for group in files.groups for path in group.paths]
    return {path: datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in paths}


@dataclass(frozen=True)
class _Work:
    """One ingest under its locks."""

    engine: Engine
    home: Home
    groups: Mapping[str, TableFiles]
    key: bytes
    now: datetime
    backfill: bool
    progress: Progress

    def run(
        self, days: StoreWriter, raw: StoreWriter, refused: StoreWriter, *, complete_until: datetime | None
    ) -> IngestReport:
        staged = {
            name: stage(
                self.engine,
                RAW_TABLES[name],
                files,
                self.home,
                key=self.key,
                now=self.now,
                backfill=self.backfill,
                progress=self.progress,
            )
            for name, files in self.groups.items()
        }
        reports: list[TableReport] = []
        touched: tuple[date, ...] = ()
        for name, table in staged.items():
            if name == EVENTS.name:
                stored = store_events(
                    self.engine,
                    table,
                    self.home.stores.events,
                    days,
                    threads=self.home.settings.threads,
                    progress=self.progress,
                )
                touched = stored.days
                reports.append(self._report(table, stored.new, stored.conflicts, refused))
            else:
                records = store_records(self.engine, table, self.home.stores.raw, raw, now=self.now)
                reports.append(self._report(table, records.new, (records.conflicts,), refused))
            _note(raw, self.engine, table, now=self.now, declared=complete_until)
        notes = notes_about(
            self.engine,
            list(staged.values()),
            reports,
            now=self.now,
            backfill=self.backfill,
            written=last_written(self.groups),
            known_tables=raw.partitions,
        )
        log = _files(self.home.stores.events, days)
        notes += self._matching(staged, log, raw)
        total = sum(pq.read_metadata(path).num_rows for path in log)
        damaged = tuple(path for table in staged.values() for path in table.damaged)
        return IngestReport(tuple(reports), tuple(notes), touched, total, damaged)

    def _matching(self, staged: Mapping[str, Staged], log: Sequence[Path], raw: StoreWriter) -> list[str]:
        """How the log's accounts and the CRM's meet: with a CRM table those of the whole log, else the new ones."""
        given = [name for name in CRM_TABLES if name in staged]
        known = {
            name: account_ids(self.engine.name_parquet(f"known_{name}", paths, schema=RAW_TABLES[name].schema))
            for name in given or CRM_TABLES
            if (paths := _files(self.home.stores.raw, raw, name))
        }
        if given:
            calling = self.engine.name_parquet("whole_log", log, schema=EVENTS.schema)
        elif EVENTS.name in staged:
            calling = staged[EVENTS.name].rows.filter(lambda t: t.reason.isnull())
        else:
            return []
        return list(matching_notes(self.engine, account_ids(calling), known, is_whole=bool(given)))

    def _report(self, staged: Staged, new: int, conflicts: Sequence[Path], refused: StoreWriter) -> TableReport:
        rows = staged.rows
        bad = staged.with_names(rows.filter(rows.reason.notnull()).select(QUARANTINE.names))
        lost = self.engine.name_parquet("conflicts", conflicts, schema=QUARANTINE)
        before = set(refused.partitions)
        by_reason = keep_refused(
            self.engine, self.home, refused, staged.table.name, bad.union(lost), is_log=staged.is_log
        )
        if new or set(refused.partitions) != before:  # the same files again are no other load
            note_load(refused, staged.table.name, Load(self.now, staged.rows_read, by_reason))
        repeated = staged.rows_read - new - sum(by_reason.values())
        return TableReport(staged.table.name, staged.files_read, staged.rows_read, new, repeated, by_reason)


def _files(store: ManifestStore, writer: StoreWriter, only: str | None = None) -> list[Path]:
    """Files of a store as they will be once its writer is done."""
    return [
        store.root / partition / file
        for partition, files in writer.partitions.items()
        for file in files
        if only in (None, partition)
    ]


def _note(raw: StoreWriter, engine: Engine, staged: Staged, *, now: datetime, declared: datetime | None) -> None:
    """Write down what later stages need to know of a table: until when it is complete."""
    good = staged.rows.filter(lambda t: t.reason.isnull())
    learned = "ingested_at" if staged.table is EVENTS else "known_at"
    happened = {"events": "event_time", "accounts": "created_at"}.get(staged.table.name, "occurred_at")
    # The clock of a load says nothing about how far the source had got; its last event does.
    moment = good.by_clock.ifelse(good[happened], good[learned])
    # A planned cancellation lies in the future; it is no sign that the source is complete until then.
    latest = moment.max(where=moment <= ibis.literal(now, type=moment.type()))
    newest = good.agg(latest=latest)
    row: dict[str, Any] = engine.to_arrow(newest).to_pylist()[0]
    until = dict(raw.notes.get("complete_until", {}))
    if declared is not None:
        until[staged.table.name] = declared.isoformat()
    elif row["latest"] is not None:
        before = until.get(staged.table.name)
        moments = [row["latest"], *([datetime.fromisoformat(before)] if before else [])]
        until[staged.table.name] = max(moments).isoformat()
    raw.notes.pop("has", None)  # homes of before hold it, and nothing reads it
    raw.notes.update(complete_until=until)
