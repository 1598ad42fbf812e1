"""The lineage of feature rows: the versions, settings and definitions that the values of a group depend on."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from features.definitions.catalog import GROUPS, Catalog, features_of_group
from features.definitions.sets import FeatureSet
from features.external.rows import table_key, tables_seen
from features.fingerprint import digest
from features.home.home import Home
from features.rollup.metric_fingerprints import counts_seen
from features.rollup.metrics import metric_key
from features.settings.fields import Settings
from features.storage.lineage import Lineage
from features.storage.manifest import Manifest

__all__ = ["feature_lineage"]


_VERSION = 5  # raise it when what every group is made of changes, as the population: all is then built again
_DECLARED_VERSION = 1  # raise it when what a declared feature is made of its counts changes
# Of one group, 1 where it is not named: raise it when a feature of it changes.
_VERSIONS: Mapping[str, int] = {"usage": 3, "commercial": 3, "adoption": 2, "sdk": 2, "support": 2}
_OF_SUBSCRIPTIONS = ("renewal_grace_days", "reactivation_days")


def feature_lineage(home: Home) -> Callable[[str, datetime, Mapping[str, str]], Lineage]:
    """A function from a group, a cutoff and its sources to the lineage that the group's rows would have now.

    The sources are those of :func:`features.build.sources.sources_of`.
    """
    catalog, sets, settings = home.catalog, home.feature_sets, home.settings
    tables = home.stores.tables.manifest() if any(declared.tables for declared in sets.values()) else Manifest()
    counts = home.stores.metrics.manifest() if any(declared.metrics for declared in sets.values()) else Manifest()
    built_in = {group: _meaning(group, settings) for group in GROUPS}

    def lineage(group: str, cutoff: datetime, sources: Mapping[str, str]) -> Lineage:
        meaning = built_in.get(group) or _declared_meaning(
            group, cutoff, catalog, sets[group], tables, counts, grace_hours=settings.grace_hours
        )
        return Lineage(_VERSION, meaning, sources)

    return lineage


def _meaning(group: str, settings: Settings) -> dict[str, Any]:
    """Everything but the sources that the values of a built-in group depend on."""
    columns = [(feature.name, feature.kind, feature.window_days) for feature in features_of_group(group)]
    return {
        "group_version": _VERSIONS.get(group, 1),
        "grace_hours": float(settings.grace_hours),
        "slow_call_ms": float(settings.slow_call_ms),
        "value_endpoints": sorted(settings.value_endpoints),
        "features": digest(columns),
        **({name: getattr(settings, name) for name in _OF_SUBSCRIPTIONS} if group == "commercial" else {}),
    }


def _declared_meaning(
    group: str,
    cutoff: datetime,
    catalog: Catalog,
    declared: FeatureSet,
    tables: Manifest,
    counts: Manifest,
    *,
    grace_hours: float,
) -> dict[str, Any]:
    """The same of a group of declared features, and what of their tables and metrics the cutoff sees."""
    rows = {key: tables_seen(tables, key, cutoff) for key in map(table_key, declared.tables.values())}
    days = {
        name: counts_seen(counts, metric_key(metric), cutoff, reach_days=max(metric.window_days))
        for name, metric in declared.metrics.items()
    }
    columns = [(feature.name, feature.definition) for feature in catalog.features_of_group(group)]
    return {
        "group_version": _DECLARED_VERSION,
        "grace_hours": float(grace_hours),
        "features": digest(columns),
        "tables": digest(rows),
        "metrics": digest(days),
    }
