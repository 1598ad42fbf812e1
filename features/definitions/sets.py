"""A set of features that users declare beside the catalogue, named by a digest of its declarations."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from features.definitions.catalog import BUILT_IN, Catalog
from features.definitions.declared import ExternalTable, Metric
from features.definitions.declared_features import metric_family, metric_features, table_families, table_features
from features.definitions.feature import Family, FeatureSpec
from features.fingerprint import digest

__all__ = ["FeatureSet", "catalog_with", "set_of"]

_BESIDE = frozenset(
    {
        *("account_id", "account_id_right", "cutoff_right", "event_time", "event_timestamp", "in_lead", "known_at"),
        *(f"log_has_{what}" for what in ("status", "endpoint", "token", "user", "sdk", "latency")),
    }
)
"""Columns that stand beside features while they are built, stored or trained on."""
_FIRST_RELEASE = 2
"""The first version of a service that models were trained on with declared features beside it."""


@dataclass(frozen=True)
class FeatureSet:
    """Metrics and external tables by name; nothing where nobody declared any."""

    metrics: Mapping[str, Metric] = field(default_factory=dict)
    tables: Mapping[str, ExternalTable] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.metrics or self.tables)

    @property
    def view(self) -> str:
        """The group of these features, which is their feature view, named by what they mean."""
        meaning = sorted((feature.name, feature.definition) for feature in self._features(""))
        return f"custom_{digest(meaning)[:8]}"

    @property
    def features(self) -> tuple[FeatureSpec, ...]:
        """The features, those of metrics first."""
        return self._features(self.view)

    @property
    def families(self) -> tuple[Family, ...]:
        """The families of the features: one per metric, one per column of a table."""
        metrics = [metric_family(name, metric) for name, metric in self.metrics.items()]
        return (*metrics, *(family for name, table in self.tables.items() for family in table_families(name, table)))

    @property
    def as_json(self) -> dict[str, Any]:
        """The set as JSON values, from which :func:`set_of` makes it again; nothing for an empty set."""
        parts = {"metrics": self.metrics, "tables": self.tables}
        return {
            part: {
                name: declaration.model_dump(mode="json", exclude_defaults=True)
                for name, declaration in several.items()
            }
            for part, several in parts.items()
            if several
        }

    def clash(self) -> tuple[tuple[str, str], str] | None:
        """The first declaration of a feature or family whose name is taken, and that name."""
        families, names = set(BUILT_IN.families), {*_BESIDE, *(feature.name for feature in BUILT_IN.features)}
        alone = [(("metrics", name), FeatureSet({name: metric})) for name, metric in self.metrics.items()]
        alone += [(("tables", name), FeatureSet(tables={name: table})) for name, table in self.tables.items()]
        for path, feature_set in alone:
            for taken, own_names in (
                (families, [family.name for family in feature_set.families]),
                (names, [feature.name for feature in feature_set.features]),
            ):
                twice = next((name for name in own_names if name in taken), None)
                if twice is not None:
                    return path, twice
                taken.update(own_names)
        return None

    def _features(self, group: str) -> tuple[FeatureSpec, ...]:
        metrics = [feature for name, metric in self.metrics.items() for feature in metric_features(name, metric, group)]
        return (
            *metrics,
            *(feature for name, table in self.tables.items() for feature in table_features(name, table, group)),
        )


def set_of(content: Mapping[str, Any]) -> FeatureSet:
    """The set that :attr:`FeatureSet.as_json` was taken of."""
    return FeatureSet(
        {name: Metric.model_validate(declaration) for name, declaration in content.get("metrics", {}).items()},
        {name: ExternalTable.model_validate(declaration) for name, declaration in content.get("tables", {}).items()},
    )


def catalog_with(today: FeatureSet, *others: FeatureSet) -> Catalog:
    """The built-in catalogue with today's set, and others that are built and served beside it."""
    sets = {feature_set.view: feature_set for feature_set in (*others, today) if feature_set}
    if not sets:
        return BUILT_IN
    views = dict(BUILT_IN.views)
    families = dict(BUILT_IN.families)
    services, custom = dict(BUILT_IN.services), {}
    newest, newest_release = {}, max(map(_release, BUILT_IN.services))
    for view, feature_set in sets.items():
        views[view] = feature_set.features
        families |= {family.name: family for family in feature_set.families}
        for service, names in BUILT_IN.services.items():
            release = _release(service)
            if release >= _FIRST_RELEASE:
                extended = f"{service}_{view.removeprefix('custom_')}"
                services[extended] = (*names, *(feature.name for feature in feature_set.features))
                custom[extended] = view
                if feature_set is today and release == newest_release:
                    newest[service] = extended
    described = (*BUILT_IN.features, *(today.features if today else ()))
    return Catalog(described, views, families, services, custom, newest)


def _release(service: str) -> int:
    return int(service.rpartition("_v")[2])
