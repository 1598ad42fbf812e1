"""Daily rollups: each event day counted once, so that no feature ever reads the history of events again."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import date
from functools import cache
from pathlib import Path
from queue import SimpleQueue

import ibis.expr.types as ir
import pyarrow as pa

from features.engine.choice import WorkingEngine, compiled_file, portion, preparing
from features.engine.duckdb_engine import Engine
from features.engine.prepared import Prepared, named
from features.home.home import Home
from features.progress import Progress, silent
from features.rollup.expressions import countable_events, rollup_expressions
from features.rollup.months import event_days, is_event_day, sum_up
from features.rollup.slow_calls import count_slow_calls
from features.rollup.tables import ROLLUPS
from features.schema import EVENTS
from features.settings.fields import Settings
from features.storage.compile_cache import compiled
from features.storage.damage import damage_named
from features.storage.derived import Product, batches, bring_up_to_date
from features.storage.lineage import Lineage
from features.storage.manifest import Manifest
from features.storage.partition_files import write_parts

__all__ = ["RollupReport", "outdated_days", "read_rollup", "roll_up"]


_VERSION = 6  # raise it when a rollup's meaning changes: every day is then counted again

_READ = ("account_id", "event_time", "ingested_at", "endpoint", "method", "status", "latency_ms", "token", "user_id")
_EVENT_COLUMNS = pa.schema([EVENTS.schema.field(name) for name in (*_READ, "sdk", "sdk_version", "synthetic")])


@dataclass(frozen=True)
class RollupReport:
    """What one run did: event days, rows written by rollup, and days whose slow calls were counted."""

    days_counted: int
    days_unchanged: int
    days_removed: int
    rows: Mapping[str, int]
    slow_days_counted: int = 0


def roll_up(home: Home, *, progress: Progress = silent) -> RollupReport:
    """Count the event days that changed since the last run, and forget those that are gone.

    Raises
    ------
    LockHeldError
        When another process is rolling up.
    WorkFailedError
        When a file of events is damaged or missing.
    """
    events, store = home.stores.events, home.stores.rollups
    rows = dict.fromkeys(ROLLUPS, 0)
    with store.writer() as writer, damage_named(events), ExitStack() as stack:

        @cache
        def engine() -> WorkingEngine:
            return stack.enter_context(closing(home.working_engine(spill=writer.scratch / "spill")))

        ingested = events.manifest()

        def count(days: Sequence[str]) -> Iterator[tuple[str, Product]]:
            jobs = {day: events.files(day, "events", manifest=ingested) for day in days}
            for day, counted in _count_days(home, jobs, writer.scratch, engine()):
                for name in ROLLUPS:
                    rows[name] += counted[name]
                yield day, Product({name: writer.scratch / f"{day}.{name}" for name in ROLLUPS})

        wanted = _wanted(home.settings, ingested)
        days = bring_up_to_date(writer, wanted, count, owns=is_event_day, step="roll up", progress=progress)
        with damage_named(store):
            slow_days = count_slow_calls(home, writer, engine, progress=progress)
            sum_up(writer, ROLLUPS["usage"].schema, home.settings.engine, engine)
    return RollupReport(len(days.made), len(days.unchanged), len(days.removed), rows, slow_days)


def outdated_days(home: Home) -> list[str]:
    """Event days (``day=YYYY-MM-DD``) the rollups do not hold as they are now: new, changed or gone; ascending."""
    wanted, counted = _wanted(home.settings, home.stores.events.manifest()), home.stores.rollups.manifest()
    return sorted(day for day in {*wanted, *event_days(counted)} if wanted.get(day) != counted.lineage.get(day))


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
    expressions = compiled(
        compiled_file(home.stores.rollups.compiled, "rollups", home.settings.engine), arguments, compile_them
    )
    return expressions["countable"], {name: expressions[name] for name in ROLLUPS}


def _wanted(settings: Settings, events: Manifest) -> dict[str, Lineage]:
    """Of each event day what its rollups are to be counted from."""
    meaning = {
        "grace_hours": settings.grace_hours,
        "slow_call_ms": settings.slow_call_ms,
        "value_endpoints": sorted(settings.value_endpoints),
    }
    return {
        day: Lineage(_VERSION, meaning, {"events": events.fingerprint(day) or ""}) for day in sorted(events.partitions)
    }


def _count_days(
    home: Home, jobs: Mapping[str, Sequence[Path]], scratch: Path, engine: WorkingEngine
) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Write the rollups of each day as ``<day>.<rollup>`` into ``scratch``; days come as they are done."""
    most = portion(home.settings.engine).event_bytes
    chunks = list(batches(jobs, size=lambda day: sum(file.stat().st_size for file in jobs[day]), most=most))
    countable, prepared = _plan(home)
    engines = [engine.beside() for _ in range(min(home.settings.threads, len(chunks)))]  # their tables end with them
    try:
        idle: SimpleQueue[WorkingEngine] = SimpleQueue()
        for worker in engines:
            idle.put(worker)

        def count(chunk: Sequence[str]) -> Mapping[str, Mapping[str, int]]:
            working = idle.get()
            try:
                files = [file for day in chunk for file in jobs[day]]
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
        for worker in engines:
            worker.close()


def _date(partition: str) -> date:
    return date.fromisoformat(partition.removeprefix("day="))
