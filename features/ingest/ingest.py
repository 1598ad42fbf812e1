"""Takes API-call logs, accounts, subscription events and touchpoints into the stores: validated, or quarantined."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import ibis
import pyarrow.parquet as pq

from features.engine.duckdb_engine import Engine
from features.exceptions import InputError
from features.home.home import Home
from features.home.raw_tables import rows_stored
from features.home.secret import home_key, key_check
from features.ingest.collapsed import Collapsed
from features.ingest.cut_copies import cut_copies, cut_copy_notes
from features.ingest.cut_records import cut_records
from features.ingest.first_loads import refusal_of_first_loads
from features.ingest.left_out import values_left_out
from features.ingest.loads import Load, note_load
from features.ingest.machines import note_machines
from features.ingest.open_ends import Ended, gone_on, note_open_ends, noted_open_ends, open_ends_of
from features.ingest.quarantine import QUARANTINE, forget_refused, keep_refused
from features.ingest.remarks.accounts import CRM_TABLES, account_ids, matching_notes
from features.ingest.remarks.all import notes_about
from features.ingest.remarks.equal_rows import collapsed_notes, open_end_notes
from features.ingest.remarks.records import change_notes
from features.ingest.remarks.vanished import vanished_notes
from features.ingest.report import IngestReport, TableReport
from features.ingest.staged import Staged
from features.ingest.staging import stage
from features.ingest.store_events import store_events
from features.ingest.store_records import store_records
from features.progress import Progress, silent
from features.schema import EVENTS, RAW_TABLES, SUBSCRIPTIONS
from features.settings.fields import SourceSettings
from features.sources.files import TableFiles, table_files
from features.storage.damage import damage_named
from features.storage.store import ManifestStore, StoreWriter
from features.subscriptions.remarks import remarks_on
from features.windows import require_utc

__all__ = ["ingest", "last_written", "source_groups"]


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

    With ``backfill``, rows that do not say when they were learned of were known when they happened, otherwise at
    ``now``; a CRM row delivered again keeps the time it has.
    ``complete_until`` says up to when the tables given now hold everything.

    Raises
    ------
    InputError
        When nothing was given, a file cannot be used, or the first rows of a CRM table do not say when they became
        known, without ``backfill``; the stores are as they were.
    SettingsError
        When a mapping is wrong, or the secret key is not the one the stores were written under.
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
    key = home_key(home)
    with ExitStack() as stack:
        # Left in reverse. A version that lost is nowhere else once the events are published, so quarantine comes
        # first; what is said about the events comes after them.
        raw = stack.enter_context(home.stores.raw.writer())
        days = stack.enter_context(home.stores.events.writer())
        refused = stack.enter_context(home.stores.quarantine.writer())
        for store in (raw, days):  # tells this store from one that takes its place later
            store.notes.setdefault("generation", uuid.uuid4().hex)
        for store in (raw, days, refused):
            store.notes["key_check"] = key_check(key)
        if EVENTS.name in groups:
            note_machines(days, home.settings.sources.get(EVENTS.name, SourceSettings()))
        engine = home.engine(spill=days.scratch / "spill")
        stack.callback(engine.close)
        for stored in (home.stores.events, home.stores.raw, home.stores.quarantine):
            stack.enter_context(damage_named(stored))
        work = _Work(engine, home, given, groups, key, now, backfill, progress or silent)
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
        raise InputError("There is nothing to ingest. Give files of at least one table.")
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
    given: Mapping[str, Sequence[Path | str]]
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
        if not self.backfill and (
            refusal := refusal_of_first_loads(self.engine, self.home, [*staged.values()], self.given)
        ):
            raise InputError(f"{refusal} Nothing was stored.")
        ended, told = Ended(), list[str]()
        if EVENTS.name in staged:
            staged[EVENTS.name], ended, told = self._without_parts(staged[EVENTS.name], days)
        notes = open_end_notes(ended) + told
        for name in [name for name in staged if name != EVENTS.name]:
            cut = cut_records(self.engine, staged[name], self.groups[name].groups, self.home.stores.raw)
            notes += cut.notes(staged[name])
            staged[name] = staged[name].without(cut.copies)
        reports: list[TableReport] = []
        touched: tuple[date, ...] = ()
        collapsed = Collapsed()
        for name, table in staged.items():
            if name == EVENTS.name:
                stored = store_events(
                    self.engine,
                    table,
                    self.home.stores.events,
                    days,
                    withdrawn=ended.events,
                    threads=self.home.settings.threads,
                    progress=self.progress,
                )
                touched, latest = stored.days, _newest_event(self.engine, table, now=self.now)
                collapsed = stored.collapsed
                forget_refused(refused, EVENTS.name, ended.refused)
                reports.append(self._report(table, stored.new, stored.conflicts, refused))
            else:
                is_first = not rows_stored(self.home, name)
                if not is_first:
                    notes += vanished_notes(self.engine, table, self.home.stores.raw)
                records = store_records(
                    self.engine, table, self.home.stores.raw, raw, now=self.now, backfill=self.backfill
                )
                reports.append(self._report(table, records.new, (records.conflicts,), refused))
                backdated = records.first_heard if self.backfill and not is_first else 0
                notes += change_notes(table.table, corrections=records.corrections, backdated=backdated)
                latest = records.known_until
            _note(raw, name, latest, declared=complete_until)
        notes += notes_about(
            self.engine,
            list(staged.values()),
            reports,
            now=self.now,
            backfill=self.backfill,
            written=last_written(self.groups),
            known_tables=raw.partitions,
        )
        log = _files(self.home.stores.events, days)
        if EVENTS.name in staged:
            notes += collapsed_notes(collapsed, staged[EVENTS.name])
        notes += self._matching(staged, log, raw)
        if SUBSCRIPTIONS.name in staged:
            notes += self._several_subscriptions(staged[SUBSCRIPTIONS.name], raw)
        total = _rows_of(days)
        damaged = tuple(path for table in staged.values() for path in table.damaged)
        return IngestReport(tuple(reports), tuple(notes), touched, total, damaged)

    def _without_parts(self, events: Staged, days: StoreWriter) -> tuple[Staged, Ended, list[str]]:
        """The rows without those that are a part of what another file holds whole, all ends of that kind, and notes."""
        groups = self.groups[EVENTS.name].groups
        texts = [path for group in groups if group.kind != "parquet" for path in group.paths]
        ends = open_ends_of(self.engine, events, key=self.key)
        known = [*noted_open_ends(days), *ends]
        ended = gone_on(known, texts, key=self.key)
        note_open_ends(days, known, settled=ended.settled)
        parts = [place for end, place in ends.items() if ended.supersedes(end)]
        others = {end: place for end, place in ends.items() if place not in parts}
        copies = cut_copies(self.engine, events, groups, others, self.home.stores.events)
        return events.without([*parts, *copies]), ended, cut_copy_notes(events, copies)

    def _matching(self, staged: Mapping[str, Staged], log: Sequence[Path], raw: StoreWriter) -> list[str]:
        """How the log's accounts and the CRM's meet: with a CRM table those of the whole log, else the new ones."""
        given = [name for name in CRM_TABLES if name in staged]
        known = {
            name: account_ids(
                self.engine.name_parquet(
                    f"known_{name}", paths, schema=RAW_TABLES[name].schema, absent_as_null=RAW_TABLES[name].added
                )
            )
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

    def _several_subscriptions(self, staged: Staged, raw: StoreWriter) -> list[str]:
        """What is made of accounts whose rows do not tell several subscriptions apart."""
        paths = _files(self.home.stores.raw, raw, SUBSCRIPTIONS.name)
        stored = self.engine.to_arrow(self.engine.read_parquet(paths, schema=SUBSCRIPTIONS.schema))
        days = self.home.settings.reactivation_days
        remarks = remarks_on(stored.to_pandas(), reactivation_days=days, other_columns=staged.ignored)
        return [f"subscriptions: {remark.what} {remark.remedy}" for remark in remarks]

    def _report(self, staged: Staged, new: int, conflicts: Sequence[Path], refused: StoreWriter) -> TableReport:
        rows = staged.rows
        bad = staged.with_names(rows.filter(rows.reason.notnull()).select(QUARANTINE.names))
        lost = self.engine.name_parquet("conflicts", conflicts, schema=QUARANTINE)
        before = set(refused.partitions)
        by_reason = keep_refused(
            self.engine, self.home, refused, staged.table.name, bad.union(lost), is_log=staged.is_log
        )
        left_out = values_left_out(self.engine, staged)
        if new or set(refused.partitions) != before:  # the same files again are no other load
            note_load(refused, staged.table.name, Load(self.now, staged.rows_read, by_reason, left_out))
        repeated = staged.rows_read - new - sum(by_reason.values())
        return TableReport(staged.table.name, staged.files_read, staged.rows_read, new, repeated, by_reason, left_out)


def _files(store: ManifestStore, writer: StoreWriter, only: str | None = None) -> list[Path]:
    """Files of a store as they will be once its writer is done."""
    return [
        store.root / partition / file
        for partition, files in writer.partitions.items()
        for file in files
        if only in (None, partition)
    ]


def _rows_of(writer: StoreWriter) -> int:
    """Rows of a store as they will be once its writer is done: as noted, or counted where an older version did not."""
    return sum(
        noted[file].rows if file in noted else pq.read_metadata(writer.store.root / partition / file).num_rows
        for partition, files in writer.partitions.items()
        for noted in [writer.sizes.get(partition, {})]
        for file in files
    )


def _newest_event(engine: Engine, staged: Staged, *, now: datetime) -> datetime | None:
    """Until when a log got: the clock of a load says nothing about it, its last event does."""
    good = staged.rows.filter(lambda t: t.reason.isnull())
    moment = good.by_clock.ifelse(good.event_time, good.ingested_at)
    newest = good.agg(latest=moment.max(where=moment <= ibis.literal(now, type=moment.type())))
    row: dict[str, Any] = engine.to_arrow(newest).to_pylist()[0]
    latest: datetime | None = row["latest"]
    return latest


def _note(raw: StoreWriter, table: str, latest: datetime | None, *, declared: datetime | None) -> None:
    """Write down what later stages need to know of a table: until when it is complete."""
    until = dict(raw.notes.get("complete_until", {}))
    if declared is not None:
        until[table] = declared.isoformat()
    elif latest is not None:
        before = until.get(table)
        until[table] = max([latest, *([datetime.fromisoformat(before)] if before else [])]).isoformat()
    raw.notes.pop("has", None)  # homes of before hold it, and nothing reads it
    raw.notes.update(complete_until=until)
