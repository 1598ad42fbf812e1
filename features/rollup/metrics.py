"""Daily counts of declared metrics: each event day counted once for each metric, beside the built-in rollups.

What a metric counts of an account and day is kept under a digest of its definition: a new metric counts only itself,
and two sets of features that hold the same metric share its counts.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import date
from pathlib import Path

import pyarrow as pa

from features.definitions.declared import EVENT_COLUMNS, Metric
from features.definitions.declared_features import carried_by, metric_counts
from features.engine.compile_cache import compiled
from features.engine.duckdb_engine import Engine
from features.engine.prepared import Prepared, beside, named, prepare
from features.fingerprint import digest
from features.home.home import Home
from features.progress import Progress, silent
from features.rollup.expressions import customer_events
from features.rollup.metric_expressions import ORDER, daily_counts, with_conditions
from features.rollup.metric_fingerprints import NOTE, fingerprints
from features.schema import EVENTS
from features.storage.damage import damage_named, is_there
from features.storage.partition_files import write_parts
from features.storage.store import Manifest, ManifestStore

__all__ = ["count_metrics", "empty_metrics", "events_counted", "metric_files", "metric_key"]


_VERSION = 2  # raise it when what is counted changes: every day is then counted again
_SEEN = pa.schema([EVENTS.schema.field(name) for name in ("account_id", "ingested_at", *EVENT_COLUMNS, "synthetic")])
_CHUNK_BYTES = 8_000_000  # of event files
_FILE = "counts"
_REMEDY = "Restore them from a backup, or load all files into a new home."


def metric_key(metric: Metric) -> str:
    """Folder of a metric's counts, and the name of their table."""
    return f"metric_{metric_counts(metric)[:16]}"


def count_metrics(home: Home, *, progress: Progress = silent) -> int:
    """Count the event days that are new or changed, for each metric of each set; forget metrics of no set.

    Returns
    -------
    int
        Pairs of metric and day that were counted.

    Raises
    ------
    LockHeldError
        When another process is counting.
    WorkFailedError
        When a file of events is damaged or missing.
    """
    metrics = {metric_key(one): one for several in home.feature_sets.values() for one in several.metrics.values()}
    store, events = home.stores.metrics, home.stores.events
    if not metrics and not store.root.exists():
        return 0
    with store.writer() as writer, damage_named(events, remedy=_REMEDY):
        there, manifest = store.manifest(), events.manifest()
        wanted = {day: _made_from(manifest, day, home) for day in sorted(manifest.partitions)}
        counted, seen = writer.notes.setdefault("counted", {}), writer.notes.setdefault(NOTE, {})
        for partition in list(there.partitions):
            key, _, day = partition.partition("/")
            if key not in metrics or day not in wanted:
                writer.remove(partition)
                for note in (counted, seen):
                    note.get(key, {}).pop(day, None)
        for note in (counted, seen):
            for key in set(note) - set(metrics):
                note.pop(key)
        stale = {
            day: tuple(
                key
                for key in sorted(metrics)
                if there.made_from.get(f"{key}/{day}") != made_from
                or not is_there(store, f"{key}/{day}", manifest=there)
            )
            for day, made_from in wanted.items()
        }
        jobs = {day: events.files(day, "events", manifest=manifest) for day, keys in stale.items() if keys}
        chunks = list(_chunks(jobs, stale))
        if not chunks:
            return 0
        engine = home.engine(spill=writer.scratch / "spill")
        with closing(engine):
            for done, (days, keys) in enumerate(chunks, start=1):
                chosen = {key: metrics[key] for key in keys}
                files = [file for day in days for file in jobs[day]]
                for key, paths in _counted(engine, home, chosen, files, days, writer.scratch):
                    for day, (path, sums, told) in paths.items():
                        writer.replace(f"{key}/{day}", {_FILE: path}, made_from=wanted[day])
                        counted.setdefault(key, {})[day] = sums
                        seen.setdefault(key, {})[day] = told
                progress("count metrics", done, len(chunks))
    return sum(len(stale[day]) for day in jobs)


def events_counted(home: Home, metric: Metric) -> tuple[int, int] | None:
    """How many of the counted events fulfil a metric's ``where``, and how many are its base; None before it counts."""
    counted = home.stores.metrics.manifest().notes.get("counted", {}).get(metric_key(metric))
    if not counted:
        return None
    return sum(matched for matched, _ in counted.values()), sum(base for _, base in counted.values())


def empty_metrics(home: Home) -> list[str]:
    """A sentence about each metric of the settings that was counted and of which no event says anything."""
    said = []
    for name, metric in home.settings.metrics.items():
        counts = events_counted(home, metric)
        if counts is None:
            continue
        matched, base = counts
        if metric.of in ("share", "ratio") and not base:
            over = f"`{metric.over}`" if metric.over else "over"
            said.append(f"Metric {name}: 0 events fulfil {over}, so it is null everywhere. Look at its `over`.")
        elif not matched:
            where = f"0 events fulfil `{metric.where}`" if metric.where else f"0 events carry {metric.column}"
            key = "where" if metric.where else "column"
            said.append(f"Metric {name}: {where}, so it is {_over_nothing(metric)} everywhere. Look at its `{key}`.")
        elif metric.of in ("sum", "mean") and not base:
            which = f"0 of {matched:,} events that fulfil `{metric.where}`" if metric.where else "0 events"
            what = f"{which} carry {metric.column}, so it is {_over_nothing(metric)} everywhere"
            said.append(f"Metric {name}: {what}. Look at its `column`.")
    return said


def _over_nothing(metric: Metric) -> str:
    is_carried_by_nobody = metric.where is None and metric.column in carried_by(metric)
    return "null" if metric.of in ("mean", "percentile") or is_carried_by_nobody else "0"


def metric_files(store: ManifestStore, manifest: Manifest, key: str, days: Sequence[date]) -> list[Path]:
    """Files of one metric's counts of these event days, as far as there are any."""
    partitions = [f"{key}/day={day.isoformat()}" for day in days]
    return [file for one in partitions for file in store.files(one, manifest=manifest)]


def _made_from(events: Manifest, day: str, home: Home) -> str:
    return digest([_VERSION, home.settings.grace_hours, events.fingerprint(day)])


def _chunks(
    jobs: Mapping[str, Sequence[Path]], stale: Mapping[str, tuple[str, ...]]
) -> Iterator[tuple[list[str], tuple[str, ...]]]:
    """Neighbouring days that lack the same metrics, together up to a size; and these metrics."""
    chunk: list[str] = []
    size = 0
    for day, files in jobs.items():
        more = sum(file.stat().st_size for file in files)
        if chunk and (size + more > _CHUNK_BYTES or stale[day] != stale[chunk[-1]]):
            yield chunk, stale[chunk[-1]]
            chunk, size = [], 0
        chunk.append(day)
        size += more
    if chunk:
        yield chunk, stale[chunk[-1]]


def _counted(
    engine: Engine,
    home: Home,
    metrics: Mapping[str, Metric],
    files: Sequence[Path],
    days: Sequence[str],
    scratch: Path,
) -> Iterator[tuple[str, dict[str, tuple[Path, tuple[int, int], dict[str, str]]]]]:
    """Count some days for some metrics: by day its file, the events matched and in its base, and its fingerprints."""
    seen, prepared = _plan(home, metrics)
    engine.name_parquet("events", files, schema=_SEEN)
    engine.name_prepared("seen", seen)
    for key, counts in prepared.items():
        paths = {date.fromisoformat(day.removeprefix("day=")): scratch / f"{day}.{key}" for day in days}
        rows = engine.run_prepared(counts)
        write_parts(rows, ORDER, paths)
        sums, told = _sums(rows), fingerprints(rows)
        yield (
            key,
            {f"day={day.isoformat()}": (path, sums.get(day, (0, 0)), told.get(day, {})) for day, path in paths.items()},
        )


def _sums(rows: pa.Table) -> dict[date, tuple[int, int]]:
    summed = rows.group_by("event_day").aggregate([("matched", "sum"), ("base", "sum")])
    return {row["event_day"]: (row["matched_sum"], row["base_sum"]) for row in summed.to_pylist()}


def _plan(home: Home, metrics: Mapping[str, Metric]) -> tuple[Prepared, Mapping[str, Prepared]]:
    """The events with every condition beside them, named ``seen``, and from these the counts of each metric."""
    conditions = {
        f"{key}_{name}": text
        for key, metric in metrics.items()
        for name, text in (("where", metric.where), ("over", metric.over))
        if text is not None
    }

    def compile_them() -> Mapping[str, Prepared]:
        customer = customer_events(named("events", _SEEN), grace_hours=home.settings.grace_hours)
        seen = beside(prepare(customer.drop("synthetic", "ingested_at")), conditions)
        calls = seen.named("seen")
        return {
            "seen": seen,
            **{
                key: prepare(daily_counts(with_conditions(calls, key, metric), metric))
                for key, metric in metrics.items()
            },
        }

    arguments = [
        home.settings.grace_hours,
        conditions,
        {key: one.model_dump(mode="json") for key, one in metrics.items()},
    ]
    path = home.stores.metrics.root / "compiled" / "counts.json"
    kept = compiled(path, arguments, compile_them)
    return kept["seen"], {key: kept[key] for key in metrics}
