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
from features.engine.duckdb_engine import Engine
from features.engine.prepared import Prepared, beside, named, prepare
from features.home.home import Home
from features.progress import Progress, silent
from features.rollup.expressions import customer_events
from features.rollup.metric_expressions import ORDER, daily_counts, with_conditions
from features.rollup.metric_fingerprints import SEEN, fingerprints
from features.schema import EVENTS
from features.storage.compile_cache import compiled
from features.storage.damage import damage_named
from features.storage.derived import Product, batches, bring_up_to_date
from features.storage.lineage import Lineage
from features.storage.manifest import Manifest
from features.storage.partition_files import write_parts
from features.storage.store import ManifestStore

__all__ = ["count_metrics", "empty_metrics", "events_counted", "metric_files", "metric_key"]


_VERSION = 2  # raise it when what is counted changes: every day is then counted again
_EVENTS = pa.schema([EVENTS.schema.field(name) for name in ("account_id", "ingested_at", *EVENT_COLUMNS, "synthetic")])
_CHUNK_BYTES = 8_000_000  # of event files
_FILE = "counts"


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
    metrics = {
        metric_key(metric): metric for declared in home.feature_sets.values() for metric in declared.metrics.values()
    }
    store, events = home.stores.metrics, home.stores.events
    if not metrics and not store.root.exists():
        return 0
    with store.writer() as writer, damage_named(events):
        ingested = events.manifest()
        of_day = {
            day: Lineage(
                _VERSION, {"grace_hours": home.settings.grace_hours}, {"events": ingested.fingerprint(day) or ""}
            )
            for day in sorted(ingested.partitions)
        }
        wanted = {f"{key}/{day}": lineage for day, lineage in of_day.items() for key in sorted(metrics)}

        def count(partitions: Sequence[str]) -> Iterator[tuple[str, Product]]:
            lacking: dict[str, tuple[str, ...]] = {}
            for partition in partitions:
                key, _, day = partition.partition("/")
                lacking[day] = (*lacking.get(day, ()), key)
            files = {day: events.files(day, "events", manifest=ingested) for day in lacking}
            with closing(home.engine(spill=writer.scratch / "spill")) as engine:
                for days in batches(
                    lacking, size=lambda day: _bytes(files[day]), most=_CHUNK_BYTES, together=lacking.get
                ):
                    uncounted = {key: metrics[key] for key in lacking[days[0]]}
                    paths = [file for day in days for file in files[day]]
                    yield from _counted(engine, home, uncounted, paths, days, writer.scratch)

        counted = bring_up_to_date(writer, wanted, count, step="count metrics", progress=progress)
    return len(counted.made)


def events_counted(home: Home, metric: Metric) -> tuple[int, int] | None:
    """How many of the counted events fulfil a metric's ``where``, and how many are its base; None before it counts."""
    prefix = f"{metric_key(metric)}/"
    facts = [fact for name, fact in home.stores.metrics.manifest().facts.items() if name.startswith(prefix)]
    return (sum(fact["matched"] for fact in facts), sum(fact["base"] for fact in facts)) if facts else None


def empty_metrics(home: Home) -> list[str]:
    """A sentence about each metric of the settings that was counted and of which no event says anything."""
    sentences = []
    for name, metric in home.settings.metrics.items():
        counts = events_counted(home, metric)
        if counts is None:
            continue
        matched, base = counts
        if metric.of in ("share", "ratio") and not base:
            over = f"`{metric.over}`" if metric.over else "over"
            sentences.append(f"Metric {name}: 0 events fulfil {over}, so it is null everywhere. Look at its `over`.")
        elif not matched:
            lacking = f"0 events fulfil `{metric.where}`" if metric.where else f"0 events carry {metric.column}"
            key = "where" if metric.where else "column"
            sentences.append(
                f"Metric {name}: {lacking}, so it is {_over_nothing(metric)} everywhere. Look at its `{key}`."
            )
        elif metric.of in ("sum", "mean") and not base:
            which = f"0 of {matched:,} events that fulfil `{metric.where}`" if metric.where else "0 events"
            what = f"{which} carry {metric.column}, so it is {_over_nothing(metric)} everywhere"
            sentences.append(f"Metric {name}: {what}. Look at its `column`.")
    return sentences


def _over_nothing(metric: Metric) -> str:
    is_carried_by_nobody = metric.where is None and metric.column in carried_by(metric)
    return "null" if metric.of in ("mean", "percentile") or is_carried_by_nobody else "0"


def metric_files(store: ManifestStore, manifest: Manifest, key: str, days: Sequence[date]) -> list[Path]:
    """Files of one metric's counts of these event days, as far as there are any."""
    partitions = [f"{key}/day={day.isoformat()}" for day in days]
    return [file for partition in partitions for file in store.files(partition, manifest=manifest)]


def _bytes(files: Sequence[Path]) -> int:
    return sum(file.stat().st_size for file in files)


def _counted(
    engine: Engine,
    home: Home,
    metrics: Mapping[str, Metric],
    files: Sequence[Path],
    days: Sequence[str],
    scratch: Path,
) -> Iterator[tuple[str, Product]]:
    """Count some days for some metrics: of each pair its file, the events matched and in its base, and fingerprints."""
    seen, prepared = _plan(home, metrics)
    engine.name_parquet("events", files, schema=_EVENTS)
    engine.name_prepared("seen", seen)
    for key, counts in prepared.items():
        paths = {date.fromisoformat(day.removeprefix("day=")): scratch / f"{day}.{key}" for day in days}
        rows = engine.run_prepared(counts)
        write_parts(rows, ORDER, paths)
        sums, visible = _sums(rows), fingerprints(rows)
        for day, path in paths.items():
            matched, base = sums.get(day, (0, 0))
            facts = {"matched": matched, "base": base, SEEN: visible.get(day, {})}
            yield f"{key}/day={day.isoformat()}", Product({_FILE: path}, facts)


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
        customer = customer_events(named("events", _EVENTS), grace_hours=home.settings.grace_hours)
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
        {key: metric.model_dump(mode="json") for key, metric in metrics.items()},
    ]
    path = home.stores.metrics.compiled / "counts.json"
    expressions = compiled(path, arguments, compile_them)
    return expressions["seen"], {key: expressions[key] for key in metrics}
