"""Daily rollups: each event day counted once, so that no feature ever reads the history of events again."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

import ibis.expr.types as ir
import pyarrow as pa

from features.engine.choice import WorkingEngine, compiled_file, portion, preparing
from features.engine.compile_cache import compiled
from features.engine.duckdb_engine import Engine
from features.engine.prepared import Prepared, named
from features.fingerprint import digest
from features.home.home import Home
from features.rollup.expressions import countable_events, rollup_expressions
from features.rollup.months import event_days, sum_up
from features.rollup.tables import ROLLUPS
from features.schema import EVENTS
from features.storage.damage import damage_named, is_there
from features.storage.partition_files import write_parts
from features.storage.store import Manifest, ManifestStore

if TYPE_CHECKING:
    from features.progress import Progress

__all__ = ["RollupReport", "outdated_days", "read_rollup", "roll_up"]


_VERSION = 5  # raise it when a rollup's meaning changes: every day is then counted again
_REMEDY = "Restore them from a backup, or load all files into a new home."
_REMOVE = "Remove what is left of them and run `bellwether features build` again: it counts their days anew."

_READ = ("account_id", "event_time", "ingested_at", "endpoint", "method", "status", "latency_ms", "token", "user_id")
_EVENT_COLUMNS = pa.schema([EVENTS.schema.field(name) for name in (*_READ, "sdk", "sdk_version", "synthetic")])


@dataclass(frozen=True)
class RollupReport:
    """What one run did: event days, and rows written by rollup."""

    days_counted: int
    days_unchanged: int
    days_removed: int
    rows: Mapping[str, int]


def roll_up(home: Home, *, progress: "Progress | None" = None) -> RollupReport:
    """Count the event days that changed since the last run, and forget those that are gone.

    Raises
    ------
    LockHeldError
        When another process is rolling up.
    WorkFailedError
        When a file of events is damaged or missing.
    """
    events = ManifestStore(home.stores.events.root)
    rows = dict.fromkeys(ROLLUPS, 0)
    store = home.stores.rollups
    with store.writer() as writer, damage_named(events, remedy=_REMEDY), ExitStack() as stack:

        @cache
        def engine() -> WorkingEngine:
            return stack.enter_context(closing(home.working_engine(spill=writer.scratch / "spill")))

        there, manifest = store.manifest(), events.manifest()
        wanted = {day: _made_from(manifest, day, home) for day in sorted(manifest.partitions)}
        gone = sorted(set(event_days(there)) - set(wanted))
        for day in gone:
            writer.remove(day)
        changed = [
            day
            for day, made_from in wanted.items()
            if writer.made_from.get(day) != made_from or not is_there(store, day, manifest=there)
        ]
        jobs = {day: events.files(day, "events", manifest=manifest) for day in changed}
        for done, (day, counted) in enumerate(_count_days(home, jobs, writer.scratch, engine), start=1):
            staged = {name: writer.scratch / f"{day}.{name}" for name in ROLLUPS}
            writer.replace(day, staged, made_from=wanted[day])
            rows = {name: rows[name] + counted[name] for name in ROLLUPS}
            if progress is not None:
                progress("roll up", done, len(changed))
        with damage_named(store, remedy=_REMOVE):
            sum_up(store, writer, home, ROLLUPS["usage"].schema, engine)
    return RollupReport(len(changed), len(wanted) - len(changed), len(gone), rows)


def outdated_days(home: Home) -> list[str]:
    """Event days (``day=YYYY-MM-DD``) the rollups do not hold as they are now: new, changed or gone; ascending."""
    events, counted = ManifestStore(home.stores.events.root).manifest(), home.stores.rollups.manifest()
    wanted = {day: _made_from(events, day, home) for day in events.partitions}
    return sorted(day for day in {*wanted, *event_days(counted)} if wanted.get(day) != counted.made_from.get(day))


def read_rollup(engine: Engine, home: Home, name: str) -> ir.Table:
    """One rollup over all event days, whatever cutoff may see them; empty where nothing was rolled up."""
    store = home.stores.rollups
    manifest = store.manifest()
    paths = [path for day in event_days(manifest) for path in store.files(day, name, manifest=manifest)]
    return engine.read_parquet(paths, schema=ROLLUPS[name].schema)


def _plan(home: Home) -> tuple[Prepared, Mapping[str, Prepared]]:
    """The rows to count of ``events``, and from these as ``countable`` the rollups."""
    prepare = preparing(home.settings.engine)

    def compile_them() -> Mapping[str, Prepared]:
        rows = countable_events(
            named("events", _EVENT_COLUMNS),
            grace_hours=home.settings.grace_hours,
            value_endpoints=home.settings.value_endpoints,
        )
        countable = prepare(rows)
        rollups = rollup_expressions(countable.named("countable"), slow_call_ms=home.settings.slow_call_ms)
        return {"countable": countable, **{name: prepare(table) for name, table in rollups.items()}}

    arguments = [
        home.settings.engine,
        home.settings.grace_hours,
        home.settings.slow_call_ms,
        home.settings.value_endpoints,
    ]
    kept = compiled(
        compiled_file(home.stores.rollups.root / "compiled", "rollups", home.settings.engine), arguments, compile_them
    )
    return kept["countable"], {name: kept[name] for name in ROLLUPS}


def _made_from(events: Manifest, day: str, home: Home) -> str:
    counted_by = [home.settings.grace_hours, home.settings.slow_call_ms, sorted(home.settings.value_endpoints)]
    return digest([_VERSION, *counted_by, events.fingerprint(day)])


def _chunks(jobs: Mapping[str, Sequence[Path]], chunk_bytes: int) -> Iterator[dict[str, Sequence[Path]]]:
    """Days together up to a size: a query costs milliseconds whatever it reads, and a big day fits memory alone."""
    chunk: dict[str, Sequence[Path]] = {}
    size = 0
    for day, files in jobs.items():
        size += sum(file.stat().st_size for file in files)
        if chunk and size > chunk_bytes:
            yield chunk
            chunk, size = {}, sum(file.stat().st_size for file in files)
        chunk[day] = files
    if chunk:
        yield chunk


def _count_days(
    home: Home, jobs: Mapping[str, Sequence[Path]], scratch: Path, engine: Callable[[], WorkingEngine]
) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Write the rollups of each day as ``<day>.<rollup>`` into ``scratch``; days come as they are done."""
    if not jobs:
        return
    chunks = list(_chunks(jobs, portion(home.settings.engine).event_bytes))
    countable, prepared = _plan(home)
    engines = [engine().beside() for _ in range(min(home.settings.threads, len(chunks)))]  # their tables end with them
    try:
        idle: SimpleQueue[WorkingEngine] = SimpleQueue()
        for one in engines:
            idle.put(one)

        def count(chunk: Mapping[str, Sequence[Path]]) -> Mapping[str, Mapping[str, int]]:
            working = idle.get()
            try:
                files = [file for day_files in chunk.values() for file in day_files]
                working.name_parquet("events", files, schema=_EVENT_COLUMNS)
                working.name_prepared("countable", countable)
                rows = {}
                for name, rollup in prepared.items():
                    paths = {_date(day): scratch / f"{day}.{name}" for day in chunk}
                    rows[name] = write_parts(working.run_prepared(rollup), ROLLUPS[name].order, paths)
                return {day: {name: rows[name][_date(day)] for name in rows} for day in chunk}
            finally:
                idle.put(working)

        with ThreadPoolExecutor(max_workers=len(engines)) as pool:
            try:
                for future in as_completed([pool.submit(count, chunk) for chunk in chunks]):
                    yield from future.result().items()
            finally:
                pool.shutdown(cancel_futures=True)
    finally:
        for one in engines:
            one.close()


def _date(partition: str) -> date:
    return date.fromisoformat(partition.removeprefix("day="))
