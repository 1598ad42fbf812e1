"""The compiled expressions of the features that users declare, and the tables and files they read."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa

from features.build.plan import CUTOFFS
from features.definitions.sets import FeatureSet
from features.engine.choice import WorkingEngine, compiled_file, preparing
from features.engine.prepared import Prepared, named
from features.external.rows import external_schema, table_files, table_key
from features.groups.all import as_catalogued
from features.groups.custom import custom_features
from features.home.home import Home
from features.rollup.metric_expressions import METRIC
from features.rollup.metrics import metric_files, metric_key
from features.storage.compile_cache import compiled
from features.storage.manifest import Manifest
from features.storage.store import ManifestStore
from features.windows import DAY, days_of_ages

__all__ = ["CustomGroups"]


@dataclass(frozen=True)
class _Input:
    """A table the expressions read: where its files lie, and how many days before a cutoff it looks; None for ever."""

    schema: pa.Schema
    store: ManifestStore
    manifest: Manifest
    reach_days: int | None
    is_metric: bool

    def files(self, name: str, batch: Sequence[datetime]) -> list[Path]:
        """Files that some cutoff of the batch looks into."""
        if self.is_metric and self.reach_days is not None:
            ages = [range(1, self.reach_days + 1)]
            days = sorted({day for cutoff in batch for day in days_of_ages(cutoff, ages)})
            return metric_files(self.store, self.manifest, name, days)
        first = date.min if self.reach_days is None else (min(batch) - self.reach_days * DAY).date()
        return table_files(self.store, self.manifest, name, first=first, last=max(batch).date())


class CustomGroups:
    """The groups of declared features of a home, by name, and the tables they read."""

    def __init__(self, home: Home, population: ir.Table, *, compiled_into: Path) -> None:
        self._home, self._population, self._folder = home, population, compiled_into
        self._sets = home.feature_sets
        self._inputs = dict(self._declared_inputs()) if self._sets else {}
        self._prepared: dict[str, Prepared] = {}

    def __contains__(self, group: str) -> bool:
        return group in self._sets

    def turn_to(self, engine: WorkingEngine, batch: Sequence[datetime]) -> None:
        """Name to the engine the files of every table that these cutoffs may see."""
        for name, table in self._inputs.items():
            engine.name_parquet(name, table.files(name, batch), schema=table.schema)

    def prepared(self, group: str) -> Prepared:
        """The compiled expression of a group, with the columns its files have."""
        if group not in self._prepared:
            self._prepared[group] = _compiled(self._home, group, self._sets[group], self._population, self._folder)
        return self._prepared[group]

    def files(self, cutoff: datetime) -> Iterator[Path]:
        """Every file that is read for a cutoff."""
        for name, table in self._inputs.items():
            yield from table.files(name, [cutoff])

    def _declared_inputs(self) -> Iterator[tuple[str, _Input]]:
        counts, rows = self._home.stores.metrics, self._home.stores.tables
        counted, table_manifest = counts.manifest(), rows.manifest()
        reach: dict[str, int | None] = {}
        for several in self._sets.values():
            for metric in several.metrics.values():
                key = metric_key(metric)
                reach[key] = max(reach.get(key) or 0, *metric.window_days)
                yield key, _Input(METRIC, counts, counted, reach[key], is_metric=True)
            for table in several.tables.values():
                key = table_key(table)
                before, days = reach.get(key, 0), table.max_age_days
                reach[key] = None if before is None or days is None else max(before, days)
                yield key, _Input(external_schema(table), rows, table_manifest, reach[key], is_metric=False)


def _compiled(home: Home, group: str, declared: FeatureSet, population: ir.Table, folder: Path) -> Prepared:
    def compile_it() -> Mapping[str, Prepared]:
        features = custom_features(
            population,
            named("cutoffs", CUTOFFS),
            metrics={name: (metric, named(metric_key(metric), METRIC)) for name, metric in declared.metrics.items()},
            tables={
                name: (table, named(table_key(table), external_schema(table)))
                for name, table in declared.tables.items()
            },
            grace_hours=home.settings.grace_hours,
        )
        return {group: preparing(home.settings.engine)(as_catalogued(group, features, declared.features))}

    arguments = [group, home.settings.grace_hours, declared.as_json, str(population.schema()), home.settings.engine]
    return compiled(compiled_file(folder, group, home.settings.engine), arguments, compile_it)[group]
