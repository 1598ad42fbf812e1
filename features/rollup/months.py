"""Sums of the usage rollup over closed months, so that the population of a cutoff needs no reading of every day.

A cutoff looks at 91 days, but who has ever called, and when last, is a question to the whole history. A month is
summed up once a later month has begun, and again when a late event changes one of its days. Rows that are seen by the
cutoff eight days after its last day (``closed``) become one row per account, visible from then; those that came in
later keep their own ``visible_from``. So every cutoff from ``closed`` on gets from the sums what the days would give.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq

from features.engine.choice import EngineName, WorkingEngine, compiled_file, preparing
from features.engine.prepared import Prepared, named
from features.storage.compile_cache import compiled
from features.storage.derived import Product, bring_up_to_date
from features.storage.lineage import Lineage
from features.storage.manifest import Manifest
from features.storage.store import ManifestStore, StoreWriter
from features.windows import as_cutoff, month_closed

__all__ = ["event_days", "is_event_day", "past_files", "past_schema", "sum_up", "summed"]


_VERSION = 1  # raise it when the meaning of a sum changes: every month is then summed up again
_ROLLUP, _SUMS = "usage", "past"
_CLOSED = pa.schema([("closed", pa.date32())])


def past_schema(usage: pa.Schema) -> pa.Schema:
    """What the sums and the days have in common: the usage rollup without its event day."""
    return usage.remove(usage.get_field_index("event_day"))


def event_days(manifest: Manifest) -> list[str]:
    """The event days (``day=YYYY-MM-DD``) among the partitions of the rollups, ascending."""
    return sorted(filter(is_event_day, manifest.partitions))


def is_event_day(partition: str) -> bool:
    """Whether a partition of the rollups is an event day, and no sum of several."""
    return partition.startswith("day=")


def summed(days: ir.Table, month: ir.Table) -> ir.Table:
    """One row per account and ``visible_from`` of the days of a month, whose ``closed`` is the one row of ``month``.

    Counts are summed; of what is named ``min_…`` the least is kept and of ``max_…`` the greatest.
    """
    joined = days.cross_join(month)
    keys = {"account_id": joined.account_id, "visible_from": ibis.greatest(joined.visible_from, joined.closed)}
    measures = {}
    for name in days.columns:
        if name.startswith("min_"):
            measures[name] = joined[name].min()
        elif name.startswith("max_"):
            measures[name] = joined[name].max()
        elif name not in (*keys, "event_day"):
            measures[name] = joined[name].sum().cast("int64")
    return joined.group_by(**keys).agg(**measures).select(*keys, *measures).order_by(*keys)


def sum_up(writer: StoreWriter, usage: pa.Schema, engine_name: EngineName, engine: Callable[[], WorkingEngine]) -> None:
    """Bring the sums in line with the days that ``writer`` is about to publish; what is as it was is left alone.

    ``engine`` gives the engine to work with, and is asked only when there is work.

    Raises
    ------
    EngineError
        When a day's file is damaged.
    """
    store, state = writer.store, writer.state()
    days_of = {_partition(month): days for month, days in _closed_months(state).items()}

    def sums(months: Sequence[str]) -> Iterator[tuple[str, Product]]:
        prepared = _plan(store.compiled, usage, engine_name)
        for month in months:
            path = writer.scratch / month
            pq.write_table(_rows(engine(), store, state, days_of[month], usage, prepared), path, compression="zstd")
            yield month, Product({_SUMS: path})

    wanted = {month: _lineage(state, days) for month, days in days_of.items()}
    bring_up_to_date(writer, wanted, sums, owns=lambda partition: partition.startswith("month="))


def past_files(store: ManifestStore, manifest: Manifest, cutoffs: Sequence[datetime]) -> list[Path]:
    """What these cutoffs read for the whole history: sums of the months all of them see closed, else the days.

    The sums come first, so that a reader who takes the columns of the first file finds them in every one.
    """
    end = f"day={max(cutoffs).date().isoformat()}"
    days = [day for day in event_days(manifest) if day < end]
    sums = [month for month, of in _closed_months(manifest).items() if _is_usable(manifest, month, of, min(cutoffs))]
    left = [day for day in days if not any(day.startswith(f"day={month}-") for month in sums)]
    return [
        *(file for month in sums for file in store.files(_partition(month), _SUMS, manifest=manifest)),
        *(file for day in left for file in store.files(day, _ROLLUP, manifest=manifest)),
    ]


def _is_usable(manifest: Manifest, month: str, days: Sequence[str], first: datetime) -> bool:
    return first >= _closed(month) and manifest.lineage.get(_partition(month)) == _lineage(manifest, days)


def _closed_months(manifest: Manifest) -> dict[str, list[str]]:
    """Months (``YYYY-MM``) before that of the newest event day, and their event days."""
    months: dict[str, list[str]] = {}
    for day in event_days(manifest):
        months.setdefault(day.removeprefix("day=")[:7], []).append(day)
    return dict(sorted(months.items())[:-1])


def _partition(month: str) -> str:
    return f"month={month}"


def _closed(month: str) -> datetime:
    return month_closed(as_cutoff(f"{month}-01"))


def _lineage(manifest: Manifest, days: Sequence[str]) -> Lineage:
    return Lineage(_VERSION, sources={day: manifest.fingerprint(day) or "" for day in days})


def _rows(
    engine: WorkingEngine,
    store: ManifestStore,
    state: Manifest,
    days: Sequence[str],
    usage: pa.Schema,
    prepared: Prepared,
) -> pa.Table:
    files = [file for day in days for file in store.files(day, _ROLLUP, manifest=state)]
    closed = _closed(days[0].removeprefix("day=")[:7]).date()
    engine.name_parquet("days", files, schema=usage)
    engine.name_rows("month", pa.table({"closed": [closed]}, schema=_CLOSED))
    return engine.run_prepared(prepared)


def _plan(folder: Path, usage: pa.Schema, engine: EngineName) -> Prepared:
    def compile_it() -> Mapping[str, Prepared]:
        return {"summed": preparing(engine)(summed(named("days", usage), named("month", _CLOSED)))}

    return compiled(compiled_file(folder, "months", engine), [engine, str(usage)], compile_it)["summed"]
