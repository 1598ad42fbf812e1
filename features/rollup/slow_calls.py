"""Counts the calls of each day that took longer than their endpoint's usual slowest 5 %.

What is usual on a day is read from the ``service`` rollup of the 91 days that end 28 days before it, as known on the
day after it: slow spells of the last four weeks change nothing about it. So a new day reads its own events and these
histograms, and a late event changes the days it belongs to and, where it is more than four weeks late, those that
measure against them.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa

from features.engine.choice import WorkingEngine, compiled_file, portion, preparing
from features.engine.prepared import Prepared, named
from features.fingerprint import digest
from features.formulas.histogram import bucket_holding, bucket_of, bucket_value, ranked_buckets
from features.home.home import Home
from features.progress import Progress, silent
from features.rollup.expressions import customer_events
from features.rollup.months import event_days
from features.rollup.tables import ROLLUPS, SLOW, USUAL
from features.schema import EVENTS
from features.storage.compile_cache import compiled
from features.storage.derived import Product, batches, bring_up_to_date
from features.storage.lineage import Lineage
from features.storage.manifest import Manifest
from features.storage.partition_files import write_parts
from features.storage.store import StoreWriter
from features.windows import DAY, as_cutoff, days_of_ages

__all__ = ["FEWEST_CALLS", "count_slow_calls", "slow_day", "slow_expressions", "usual_latency"]


FEWEST_CALLS = 200
"""An endpoint with fewer measured calls in its 91 days has no usual latency, and no call to it is slow."""

_VERSION = 1  # raise it when the meaning of slow changes: every day is then counted again
_AGES = (range(29, 120),)
_SERVICE = "service"
_FILES = ("slow", "usual")
_EVENT_COLUMNS = pa.schema(
    [
        EVENTS.schema.field(name)
        for name in (
            "account_id",
            "event_time",
            "ingested_at",
            "endpoint",
            "method",
            "latency_ms",
            "sdk",
            "sdk_version",
            "synthetic",
        )
    ]
)
_DAYS = pa.schema([("event_day", pa.date32()), ("measured_by", pa.date32()), ("visible_by", pa.date32())])


def slow_day(day: date) -> str:
    """The partition that holds the slow calls of an event day.

    >>> slow_day(date(2026, 6, 29))
    'slow=2026-06-29'
    """
    return f"slow={day.isoformat()}"


def usual_latency(service: ir.Table, days: ir.Table) -> ir.Table:
    """What calls to an endpoint took at most, 95 of 100 times: one row per event day, method and endpoint.

    Parameters
    ----------
    service
        The ``service`` rollup.
    days
        ``event_day``, a day ``measured_by`` that it is measured by, and ``visible_by``, the cutoff that may see it.
    """
    measured = service.rename(measured_by="event_day").join(days, "measured_by")
    measured = measured.filter(measured.visible_from <= measured.visible_by)
    keys = ("event_day", "method", "endpoint")
    buckets = measured.group_by(*keys, "bucket").agg(calls=measured.calls.sum().cast("int64"))
    ranked = ranked_buckets(buckets, keys, ("calls",))
    usual = ranked.group_by(*keys).agg(bucket=bucket_holding(ranked, "calls", 95), calls=ranked.calls_total.max())
    usual = usual.filter(usual.calls >= FEWEST_CALLS)
    return usual.select(*keys, "bucket", usual_p95_ms=bucket_value(usual.bucket)).order_by(*keys)


def slow_expressions(events: ir.Table, usual: ir.Table, *, grace_hours: float) -> ir.Table:
    """Slow calls by account, day, first cutoff, endpoint and SDK, as :data:`features.rollup.tables.SLOW` declares."""
    customer = customer_events(events, grace_hours=grace_hours)
    customer = customer.filter(customer.latency_ms.notnull())
    calls = customer.select(
        "account_id",
        "event_day",
        "visible_from",
        method=customer.method.fill_null(""),
        endpoint=customer.endpoint.fill_null(""),
        sdk=customer.sdk.fill_null(""),
        sdk_version=customer.sdk_version.fill_null(""),
        bucket=bucket_of(customer.latency_ms),
    )
    joined = calls.join(usual.rename(usual_bucket="bucket"), ["event_day", "method", "endpoint"])
    slow = joined.filter(joined.bucket > joined.usual_bucket)
    counted = slow.group_by(*SLOW.keys).agg(slow_calls=slow.count().cast("int64"))
    return counted.select(*SLOW.schema.names).order_by(*SLOW.order)


def count_slow_calls(
    home: Home, writer: StoreWriter, engine: Callable[[], WorkingEngine], *, progress: Progress = silent
) -> int:
    """Bring the slow calls in line with the days that ``writer`` is about to publish; returns how many were counted.

    ``engine`` gives the engine to work with, and is asked only when there is work.

    Raises
    ------
    WorkFailedError
        When a file of events or rollups is damaged or missing.
    """
    state, ingested = writer.state(), home.stores.events.manifest()
    days = {slow_day(day): day for day in map(_day, event_days(state)) if _measured_by(state, day)}

    def count(stale: Sequence[str]) -> Iterator[tuple[str, Product]]:
        prepared = _plan(home)
        jobs = {
            days[name]: home.stores.events.files(f"day={days[name]}", "events", manifest=ingested) for name in stale
        }
        most = portion(home.settings.engine).event_bytes
        for chunk in batches(jobs, size=lambda day: sum(file.stat().st_size for file in jobs[day]), most=most):
            yield from _count(writer, state, {day: jobs[day] for day in chunk}, engine(), prepared)

    wanted = {name: _lineage(state, ingested, day, home.settings.grace_hours) for name, day in days.items()}
    outcome = bring_up_to_date(
        writer, wanted, count, owns=lambda name: name.startswith("slow="), step="count slow calls", progress=progress
    )
    return len(outcome.made)


def _count(
    writer: StoreWriter,
    state: Manifest,
    jobs: Mapping[date, Sequence[Path]],
    engine: WorkingEngine,
    prepared: Mapping[str, Prepared],
) -> Iterator[tuple[str, Product]]:
    """Count the slow calls of days, each with its files of events."""
    measured_by = {day: _measured_by(state, day) for day in jobs}
    engine.name_rows("measured_days", _day_rows(measured_by))
    service = [
        file
        for day in sorted(set().union(*measured_by.values()))
        for file in writer.store.files(f"day={day}", _SERVICE, manifest=state)
    ]
    engine.name_parquet(_SERVICE, service, schema=ROLLUPS[_SERVICE].schema)
    engine.name_prepared("usual", prepared["usual"])
    engine.name_parquet("events", [file for files in jobs.values() for file in files], schema=_EVENT_COLUMNS)
    paths = {name: {day: writer.scratch / f"{day}.{name}" for day in jobs} for name in _FILES}
    write_parts(engine.run_prepared(prepared["sorted_usual"]), USUAL.names, paths["usual"])
    write_parts(engine.run_prepared(prepared["slow"]), SLOW.order, paths["slow"])
    for day in jobs:
        yield slow_day(day), Product({name: paths[name][day] for name in _FILES})


def _plan(home: Home) -> Mapping[str, Prepared]:
    """What is usual, from ``service`` and ``measured_days``; its rows in order; and from ``events`` the slow calls."""
    prepare, grace_hours = preparing(home.settings.engine), home.settings.grace_hours

    def compile_them() -> Mapping[str, Prepared]:
        usual = prepare(usual_latency(named(_SERVICE, ROLLUPS[_SERVICE].schema), named("measured_days", _DAYS)))
        named_usual = usual.named("usual")
        events = named("events", _EVENT_COLUMNS)
        return {
            "usual": usual,
            "sorted_usual": prepare(named_usual.order_by(*USUAL.names[:3])),
            "slow": prepare(slow_expressions(events, named_usual, grace_hours=grace_hours)),
        }

    file = compiled_file(home.stores.rollups.compiled, "slow", home.settings.engine)
    return compiled(file, [home.settings.engine, grace_hours], compile_them)


def _lineage(state: Manifest, ingested: Manifest, day: date, grace_hours: float) -> Lineage:
    measured_by = [
        content
        for earlier in _measured_by(state, day)
        for name, content in state.partitions[f"day={earlier}"].items()
        if name.startswith(f"{_SERVICE}-")
    ]
    sources = {"events": ingested.fingerprint(f"day={day}") or "", "measured by": digest(measured_by)}
    return Lineage(_VERSION, {"grace_hours": grace_hours}, sources)


def _measured_by(state: Manifest, day: date) -> list[date]:
    """The event days, of those there are, whose latencies say what is usual on a day; ascending."""
    return sorted(earlier for earlier in days_of_ages(as_cutoff(day), _AGES) if f"day={earlier}" in state.partitions)


def _day_rows(measured_by: Mapping[date, Sequence[date]]) -> pa.Table:
    rows = [(day, earlier, (as_cutoff(day) + DAY).date()) for day, days in measured_by.items() for earlier in days]
    return pa.Table.from_pylist([dict(zip(_DAYS.names, row, strict=True)) for row in rows], schema=_DAYS)


def _day(partition: str) -> date:
    return date.fromisoformat(partition.removeprefix("day="))
