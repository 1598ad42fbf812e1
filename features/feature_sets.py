"""Sets of declared features: what users add to the catalogue, and which older sets the champions still read.

A set is named by a digest of what its features mean, and so are its feature view and its feature services: a changed
definition is another set, and nobody can read one for the other. The settings say what today's set is. The home
remembers, in ``feature_sets.json``, the sets that champions read: these go on being built and served.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from features.catalog import BUILT_IN, SERVICES, Catalog
from features.declared import ExternalTable, Metric
from features.exceptions import DependencyError, WorkFailedError
from features.manifest import digest
from features.remembered import recall, remember
from features.settings import Settings
from features.specifications.custom import (
    metric_family,
    metric_features,
    table_families,
    table_features,
)
from features.specifications.feature import Family, FeatureSpec

__all__ = ["FeatureSet", "catalog_of", "catalog_with", "custom_sets", "set_of", "set_of_service", "sets_read"]

_REMEMBERED = "feature_sets.json"
_BESIDE = frozenset(
    {
        *("account_id", "account_id_right", "cutoff_right", "event_time", "event_timestamp", "in_lead", "known_at"),
        *(f"log_has_{what}" for what in ("status", "endpoint", "token", "user", "sdk", "latency")),
    }
)
"""Columns that stand beside features while they are built, stored or trained on."""
_RESTORE = (
    "Nothing else knows it: restore it from a backup. Without one, move it away and promote each champion again with "
    "`bellwether promote --target T --version V`, before `bellwether features build` or `nightly` runs."
)
_NEWEST_RELEASE = max(int(service.rpartition("_v")[2]) for service in SERVICES)


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
        meaning = sorted((one.name, one.definition) for one in self._features(""))
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
        """What :func:`set_of` makes this set of again; nothing for an empty one."""
        parts = {"metrics": self.metrics, "tables": self.tables}
        return {
            part: {name: one.model_dump(mode="json", exclude_defaults=True) for name, one in several.items()}
            for part, several in parts.items()
            if several
        }

    def clash(self) -> tuple[tuple[str, str], str] | None:
        """The first declaration of a feature or family whose name is taken, and that name."""
        families, names = set(BUILT_IN.families), {*_BESIDE, *(feature.name for feature in BUILT_IN.features)}
        alone = [(("metrics", name), FeatureSet({name: one})) for name, one in self.metrics.items()]
        alone += [(("tables", name), FeatureSet(tables={name: one})) for name, one in self.tables.items()]
        for path, one in alone:
            for taken, found in (
                (families, [family.name for family in one.families]),
                (names, [feature.name for feature in one.features]),
            ):
                twice = next((name for name in found if name in taken), None)
                if twice is not None:
                    return path, twice
                taken.update(found)
        return None

    def _features(self, group: str) -> tuple[FeatureSpec, ...]:
        metrics = [feature for name, one in self.metrics.items() for feature in metric_features(name, one, group)]
        return (
            *metrics,
            *(feature for name, one in self.tables.items() for feature in table_features(name, one, group)),
        )


def set_of(content: Mapping[str, Any]) -> FeatureSet:
    """The set that :attr:`FeatureSet.as_json` was taken of."""
    return FeatureSet(
        {name: Metric.model_validate(one) for name, one in content.get("metrics", {}).items()},
        {name: ExternalTable.model_validate(one) for name, one in content.get("tables", {}).items()},
    )


def catalog_with(today: FeatureSet, *others: FeatureSet) -> Catalog:
    """The built-in catalogue with today's set, and others that are built and served beside it."""
    sets = {one.view: one for one in (*others, today) if one}
    if not sets:
        return BUILT_IN
    views = dict(BUILT_IN.views)
    families = dict(BUILT_IN.families)
    services, custom = dict(BUILT_IN.services), {}
    newest = {}
    for view, one in sets.items():
        views[view] = one.features
        families |= {family.name: family for family in one.families}
        for service, names in BUILT_IN.services.items():
            if service.endswith(f"_v{_NEWEST_RELEASE}"):
                extended = f"{service}_{view.removeprefix('custom_')}"
                services[extended] = (*names, *(feature.name for feature in one.features))
                custom[extended] = view
                if one is today:
                    newest[service] = extended
    described = (*BUILT_IN.features, *(today.features if today else ()))
    return Catalog(described, views, families, services, custom, newest)


def catalog_of(settings: Settings) -> Catalog:
    """The catalogue of a home: what its settings declare, beside what its champions read.

    Raises
    ------
    DependencyError
        When the home cannot say what its champions read.
    """
    today, changed_at = FeatureSet(settings.metrics, settings.tables), _changed_at(settings)
    if not today and changed_at is None:
        return BUILT_IN
    return _catalog(json.dumps(today.as_json), settings.home / _REMEMBERED, changed_at)


def custom_sets(settings: Settings) -> dict[str, FeatureSet]:
    """Every set that is built, by the name of its view."""
    return {one.view: one for one in reversed(_all_sets(settings)) if one}


def set_of_service(settings: Settings, service: str) -> FeatureSet:
    """The declared features a feature service reads; none for a built-in one."""
    view = catalog_of(settings).custom.get(service)
    return FeatureSet() if view is None else custom_sets(settings)[view]


def sets_read(settings: Settings, target: str, sets: Sequence[Mapping[str, Any]]) -> None:
    """Remember the sets, as JSON, that the champion of a target reads: they go on being built and served.

    Around a change of champion this is called twice: with both sets before, and with the one that is left after it.
    The caller holds the lock of the model registry.

    Raises
    ------
    DependencyError
        When the home cannot say what the other champions read.
    WorkFailedError
        When the home cannot remember them.
    """
    path = settings.home / _REMEMBERED
    wanted = [dict(one) for one in sets if one]
    before = _kept(path)
    after = {name: kept for name, kept in {**before, target: wanted}.items() if kept}
    if after != before:
        remember(path, after)


def _all_sets(settings: Settings) -> tuple[FeatureSet, ...]:
    """Today's set, then those that champions read."""
    changed_at = _changed_at(settings)
    today = FeatureSet(settings.metrics, settings.tables)
    return (today, *_remembered(settings.home / _REMEMBERED, changed_at))


def _changed_at(settings: Settings) -> int | None:
    try:
        return (settings.home / _REMEMBERED).stat().st_mtime_ns
    except FileNotFoundError:
        return None


@lru_cache(maxsize=32)
def _catalog(today: str, path: Path, changed_at: int | None) -> Catalog:
    return catalog_with(set_of(json.loads(today)), *_remembered(path, changed_at))


@lru_cache(maxsize=32)
def _remembered(path: Path, changed_at: int | None) -> tuple[FeatureSet, ...]:
    if changed_at is None:
        return ()
    return tuple(set_of(one) for several in _kept(path).values() for one in several)


def _kept(path: Path) -> dict[str, list[dict[str, Any]]]:
    """Target to the sets its champion reads, as JSON; every one of them is a set."""
    try:
        kept = recall(path, remedy=_RESTORE)
        for several in kept.values():
            for one in several:
                set_of(one)
    except WorkFailedError as error:
        raise DependencyError(str(error)) from error
    except (ValueError, TypeError, AttributeError) as error:
        raise DependencyError(
            f"{path} does not say which metrics and tables the champions read: {error}. {_RESTORE}"
        ) from error
    return kept
