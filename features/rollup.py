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

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.compiled import compiled
from features.damage import damage_named, is_there
from features.engine import Engine, Prepared, named
from features.engines import WorkingEngine, chosen_engine, compiled_file, portion, preparing
from features.histogram import bucket_of
from features.manifest import Manifest, ManifestStore, digest
from features.months import event_days, sum_up
from features.parts import write_parts
from features.schema import EVENTS, UTC_MICROSECONDS
from features.settings import Settings
from features.value_endpoints import is_value_endpoint
from features.windows import event_day, visible_from

if TYPE_CHECKING:
    from features.progress import Progress

__all__ = [
    "ROLLUPS",
    "RollupReport",
    "RollupTable",
    "countable_events",
    "customer_events",
    "outdated_days",
    "read_rollup",
    "roll_up",
    "rollup_expressions",
    "rollup_store",
]

_VERSION = 5  # raise it when a rollup's meaning changes: every day is then counted again
_REMEDY = "Restore them from a backup, or load all files into a new home."
_REMOVE = "Remove what is left of them and run `bellwether features build` again: it counts their days anew."


@dataclass(frozen=True)
class RollupTable:
    """One rollup: a row per key, sorted by day and key; of each account, or of all customers together."""

    own_keys: Mapping[str, pa.DataType]
    measures: Mapping[str, pa.DataType]
    by_account: bool = True

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns that identify a row."""
        account = ("account_id",) if self.by_account else ()
        return *account, "event_day", "visible_from", *self.own_keys

    @property
    def order(self) -> tuple[str, ...]:
        """The keys in the order of the rows: by event day first."""
        return "event_day", *(key for key in self.keys if key != "event_day")

    @property
    def schema(self) -> pa.Schema:
        """Keys, then measures."""
        types = {"account_id": pa.string(), "event_day": pa.date32(), "visible_from": pa.date32(), **self.own_keys}
        return pa.schema([*((key, types[key]) for key in self.keys), *self.measures.items()])


def _counts(*names: str) -> dict[str, pa.DataType]:
    return dict.fromkeys(names, pa.int64())


_OUTCOMES = ("ok", "err_auth", "err_throttled", "err_client", "err_server", "no_status")

_ENDPOINT = {"method": pa.string(), "endpoint": pa.string()}
_SDK = {"sdk": pa.string(), "sdk_version": pa.string()}

ROLLUPS: Mapping[str, RollupTable] = {
    "usage": RollupTable(
        {},
        {
            **_counts("calls", *_OUTCOMES, "latency_calls", "slow_calls"),
            **_counts("endpoint_calls", "token_calls", "user_calls", "sdk_calls", "value_calls"),
            **dict.fromkeys(("min_event_time", "max_event_time"), UTC_MICROSECONDS),
            **dict.fromkeys(("min_success_time", "max_success_time"), UTC_MICROSECONDS),
            **dict.fromkeys(("min_value_time", "max_value_time"), UTC_MICROSECONDS),
            "max_latency_ms": pa.float64(),
            **_counts("active_days"),
        },
    ),
    "endpoint": RollupTable(_ENDPOINT, _counts("calls", *_OUTCOMES, "latency_calls")),
    "latency": RollupTable({"bucket": pa.int32()}, _counts("calls")),
    "token": RollupTable({"token": pa.string()}, _counts("calls")),
    "user": RollupTable({"user_id": pa.string()}, _counts("calls")),
    "service": RollupTable({**_ENDPOINT, "bucket": pa.int32()}, _counts("calls"), by_account=False),
    "sdk": RollupTable(_SDK, _counts("calls")),
    "release": RollupTable(_SDK, {"min_event_time": UTC_MICROSECONDS}, by_account=False),
}
"""What the logical files of a day hold, by name.

``active_days`` of ``usage`` is a set of days: bit d - 1 stands for day d of the month. Of an account's rows of a day
the one that is seen first has the bit, and those of what came in later do not: a sum over rows is such a set too.
"""

_READ = ("account_id", "event_time", "ingested_at", "endpoint", "method", "status", "latency_ms", "token", "user_id")
_EVENT_COLUMNS = pa.schema([EVENTS.schema.field(name) for name in (*_READ, "sdk", "sdk_version", "synthetic")])


@dataclass(frozen=True)
class RollupReport:
    """What one run did: event days, and rows written by rollup."""

    days_counted: int
    days_unchanged: int
    days_removed: int
    rows: Mapping[str, int]


def rollup_store(settings: Settings) -> ManifestStore:
    """The store of the rollups: partitions ``day=YYYY-MM-DD``, one logical file per rollup."""
    return ManifestStore(settings.home / "rollups")


def roll_up(settings: Settings, *, progress: "Progress | None" = None) -> RollupReport:
    """Count the event days that changed since the last run, and forget those that are gone.

    Raises
    ------
    LockHeldError
        When another process is rolling up.
    WorkFailedError
        When a file of events is damaged or missing.
    """
    events = ManifestStore(settings.home / "events")
    rows = dict.fromkeys(ROLLUPS, 0)
    store = rollup_store(settings)
    with store.writer() as writer, damage_named(events, remedy=_REMEDY), ExitStack() as stack:

        @cache
        def engine() -> WorkingEngine:
            return stack.enter_context(closing(chosen_engine(settings, spill=writer.scratch / "spill")))

        there, manifest = store.manifest(), events.manifest()
        wanted = {day: _made_from(manifest, day, settings) for day in sorted(manifest.partitions)}
        gone = sorted(set(event_days(there)) - set(wanted))
        for day in gone:
            writer.remove(day)
        changed = [
            day
            for day, made_from in wanted.items()
            if writer.made_from.get(day) != made_from or not is_there(store, day, manifest=there)
        ]
        jobs = {day: events.files(day, "events", manifest=manifest) for day in changed}
        for done, (day, counted) in enumerate(_count_days(settings, jobs, writer.scratch, engine), start=1):
            staged = {name: writer.scratch / f"{day}.{name}" for name in ROLLUPS}
            writer.replace(day, staged, made_from=wanted[day])
            rows = {name: rows[name] + counted[name] for name in ROLLUPS}
            if progress is not None:
                progress("roll up", done, len(changed))
        with damage_named(store, remedy=_REMOVE):
            sum_up(store, writer, settings, ROLLUPS["usage"].schema, engine)
    return RollupReport(len(changed), len(wanted) - len(changed), len(gone), rows)


def outdated_days(settings: Settings) -> list[str]:
    """Event days (``day=YYYY-MM-DD``) the rollups do not hold as they are now: new, changed or gone; ascending."""
    events, counted = ManifestStore(settings.home / "events").manifest(), rollup_store(settings).manifest()
    wanted = {day: _made_from(events, day, settings) for day in events.partitions}
    return sorted(day for day in {*wanted, *event_days(counted)} if wanted.get(day) != counted.made_from.get(day))


def read_rollup(engine: Engine, settings: Settings, name: str) -> ir.Table:
    """One rollup over all event days, whatever cutoff may see them; empty where nothing was rolled up."""
    store = rollup_store(settings)
    manifest = store.manifest()
    paths = [path for day in event_days(manifest) for path in store.files(day, name, manifest=manifest)]
    return engine.read_parquet(paths, schema=ROLLUPS[name].schema)


def customer_events(events: ir.Table, *, grace_hours: float) -> ir.Table:
    """Customer traffic, one row per event with its columns as stored, its day and its first cutoff."""
    customer = events.filter(~events.synthetic.fill_null(False))
    return customer.mutate(
        event_day=event_day(customer.event_time),
        visible_from=visible_from(customer.event_time, customer.ingested_at, grace_hours=grace_hours),
    )


def countable_events(events: ir.Table, *, grace_hours: float, value_endpoints: Sequence[str] = ()) -> ir.Table:
    """Customer traffic, one row per event, with its day, its first cutoff and its outcome as columns.

    A null status is a call and successful; null endpoints, methods and versions become the empty string. A value call
    is a successful call to one of ``value_endpoints``.
    """
    customer = customer_events(events, grace_hours=grace_hours)
    status = customer.status
    is_auth = status.isin([401, 403])
    method, endpoint = customer.method.fill_null(""), customer.endpoint.fill_null("")
    ok = status.isnull() | (status < 400)
    return customer.select(
        "account_id",
        "event_time",
        "token",
        "user_id",
        "sdk",
        "event_day",
        "visible_from",
        sdk_version=customer.sdk_version.fill_null(""),
        method=method,
        endpoint=endpoint,
        latency_ms=customer.latency_ms,
        bucket=ibis.ifelse(customer.latency_ms.notnull(), bucket_of(customer.latency_ms), None),
        ok=ok,
        is_value=ok & is_value_endpoint(method, endpoint, value_endpoints),
        err_auth=is_auth,
        err_throttled=status == 429,
        err_client=status.between(400, 499) & ~is_auth & (status != 429),
        err_server=status >= 500,
        no_status=status.isnull(),
    )


def rollup_expressions(countable: ir.Table, *, slow_call_ms: float) -> dict[str, ir.Table]:
    """The rollups of :func:`countable_events`, by name, as :data:`ROLLUPS` declares; sorted by event day first.

    Null latencies, tokens, users and SDKs have no row in their rollup, calls without a route none in ``service``.
    """
    outcomes = {"calls": countable.count(), **{name: countable[name].sum() for name in _OUTCOMES}}
    latency_calls = countable.latency_ms.count()
    usage = {
        **outcomes,
        "latency_calls": latency_calls,
        "slow_calls": (countable.latency_ms >= slow_call_ms).sum(),
        "endpoint_calls": (countable.endpoint != "").sum(),
        "token_calls": countable.token.count(),
        "user_calls": countable.user_id.count(),
        "sdk_calls": countable.sdk.count(),
        "value_calls": countable.is_value.sum(),
        "min_event_time": countable.event_time.min(),
        "max_event_time": countable.event_time.max(),
        "min_success_time": countable.event_time.min(where=countable.ok),
        "max_success_time": countable.event_time.max(where=countable.ok),
        "min_value_time": countable.event_time.min(where=countable.is_value),
        "max_value_time": countable.event_time.max(where=countable.is_value),
        "max_latency_ms": countable.latency_ms.max(),
        "active_days": ibis.literal(1, "int64") << (countable.event_day.day().max() - 1),
    }
    measured = countable.bucket.notnull()
    some = {
        "latency": measured,
        "token": countable.token.notnull(),
        "user": countable.user_id.notnull(),
        "service": measured & (countable.endpoint != ""),
        "sdk": countable.sdk.notnull(),
    }
    first_seen = {"min_event_time": countable.event_time.min()}
    return {
        "usage": _grouped(countable, ROLLUPS["usage"], usage),
        "endpoint": _grouped(countable, ROLLUPS["endpoint"], {**outcomes, "latency_calls": latency_calls}),
        **{name: _grouped(countable.filter(rows), ROLLUPS[name], {}) for name, rows in some.items()},
        "release": _grouped(countable.filter(some["sdk"]), ROLLUPS["release"], first_seen),
    }


def _grouped(countable: ir.Table, rollup: RollupTable, measures: Mapping[str, ir.Scalar]) -> ir.Table:
    counted = countable.group_by(rollup.keys).agg(**(measures or {"calls": countable.count()}))
    types = ibis.Schema.from_pyarrow(rollup.schema)
    columns = {}
    for name in rollup.schema.names:
        # A sum over nothing but nulls is null; a count of them is 0.
        is_count = name in rollup.measures and types[name].is_integer()
        columns[name] = (counted[name].fill_null(0) if is_count else counted[name]).cast(types[name])
    if "active_days" in columns:
        first_seen = counted.visible_from.min().over(group_by=["account_id", "event_day"])
        columns["active_days"] = ibis.ifelse(counted.visible_from == first_seen, columns["active_days"], 0)
    return counted.select(**columns).order_by(*rollup.order)


def _plan(settings: Settings) -> tuple[Prepared, Mapping[str, Prepared]]:
    """The rows to count of ``events``, and from these as ``countable`` the rollups."""
    prepare = preparing(settings.engine)

    def compile_them() -> Mapping[str, Prepared]:
        rows = countable_events(
            named("events", _EVENT_COLUMNS),
            grace_hours=settings.grace_hours,
            value_endpoints=settings.value_endpoints,
        )
        countable = prepare(rows)
        rollups = rollup_expressions(countable.named("countable"), slow_call_ms=settings.slow_call_ms)
        return {"countable": countable, **{name: prepare(table) for name, table in rollups.items()}}

    arguments = [settings.engine, settings.grace_hours, settings.slow_call_ms, settings.value_endpoints]
    kept = compiled(
        compiled_file(rollup_store(settings).root / "compiled", "rollups", settings.engine), arguments, compile_them
    )
    return kept["countable"], {name: kept[name] for name in ROLLUPS}


def _made_from(events: Manifest, day: str, settings: Settings) -> str:
    counted_by = [settings.grace_hours, settings.slow_call_ms, sorted(settings.value_endpoints)]
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
    settings: Settings, jobs: Mapping[str, Sequence[Path]], scratch: Path, engine: Callable[[], WorkingEngine]
) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Write the rollups of each day as ``<day>.<rollup>`` into ``scratch``; days come as they are done."""
    if not jobs:
        return
    chunks = list(_chunks(jobs, portion(settings.engine).event_bytes))
    countable, prepared = _plan(settings)
    engines = [engine().beside() for _ in range(min(settings.threads, len(chunks)))]  # their tables end with them
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
