"""What the rows of a group and cutoff mean, as a fingerprint of settings and definitions."""

from collections.abc import Callable, Mapping
from datetime import datetime

from features.definitions.catalog import GROUPS, features_of_group
from features.external.rows import table_key, tables_seen
from features.fingerprint import digest
from features.home.home import Home
from features.rollup.metric_fingerprints import counts_seen
from features.rollup.metrics import metric_key
from features.storage.store import Manifest

__all__ = ["meanings"]


_VERSION = 4  # raise it when what every group is made of changes, as the population: all is then built again
_CUSTOM_VERSION = 1  # raise it when what a declared feature is made of its counts changes
# Of one group, 1 where it is not named: raise it when a feature of it changes.
_VERSIONS: Mapping[str, int] = {"usage": 3}


def meanings(home: Home) -> Callable[[str, datetime], str]:
    """Digest of everything but the shared sources that a group's values at a cutoff depend on."""
    catalog, sets = home.catalog, home.feature_sets
    tables = home.stores.tables.manifest() if any(one.tables for one in sets.values()) else Manifest()
    counted = home.stores.metrics.manifest() if any(one.metrics for one in sets.values()) else Manifest()
    built_in = {group: _meaning(home, group) for group in GROUPS}

    def meaning(group: str, cutoff: datetime) -> str:
        if group in built_in:
            return built_in[group]
        rows = {key: tables_seen(tables, key, cutoff) for key in map(table_key, sets[group].tables.values())}
        columns = [(feature.name, feature.definition) for feature in catalog.features_of_group(group)]
        counts = {
            name: counts_seen(counted, metric_key(one), cutoff, reach_days=max(one.window_days))
            for name, one in sets[group].metrics.items()
        }
        seen = [rows, counts] if counts else [rows]
        return digest([_VERSION, _CUSTOM_VERSION, float(home.settings.grace_hours), columns, *seen])

    return meaning


def _meaning(home: Home, group: str) -> str:
    """Digest of everything but the sources that a group's values depend on."""
    columns = [(feature.name, feature.kind, feature.window_days) for feature in features_of_group(group)]
    value_endpoints = sorted(home.settings.value_endpoints)
    versions = [_VERSION, _VERSIONS.get(group, 1)]
    return digest(
        [*versions, float(home.settings.grace_hours), float(home.settings.slow_call_ms), value_endpoints, columns]
    )
