"""Which cutoffs are built, and whether their rows still mean what the settings and the catalogue say."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from features.catalog import GROUPS, features_of_group
from features.counts_seen import counts_seen
from features.exceptions import listed
from features.external_tables import table_key, table_store, tables_seen
from features.feature_sets import catalog_of, custom_sets
from features.manifest import Manifest, ManifestStore, digest
from features.metric_counts import metric_key, metric_store
from features.settings import Settings
from features.windows import as_cutoff

__all__ = [
    "built_cutoffs",
    "feature_partition",
    "feature_store",
    "forgotten",
    "left_out",
    "meanings",
    "outdated_cutoffs",
]

_VERSION = 4  # raise it when what every group is made of changes, as the population: all is then built again
_CUSTOM_VERSION = 1  # raise it when what a declared feature is made of its counts changes
# Of one group, 1 where it is not named: raise it when a feature of it changes.
_VERSIONS: Mapping[str, int] = {"usage": 3}


def feature_store(settings: Settings) -> ManifestStore:
    """The store of the features: partitions ``<group>/cutoff=YYYY-MM-DD``, one logical file ``<group>`` in each."""
    return ManifestStore(settings.home / "features")


def feature_partition(group: str, cutoff: datetime) -> str:
    """Where the store keeps a group's rows of a cutoff."""
    return f"{group}/cutoff={cutoff.date().isoformat()}"


def meanings(settings: Settings) -> Callable[[str, datetime], str]:
    """Digest of everything but the shared sources that a group's values at a cutoff depend on."""
    catalog, sets = catalog_of(settings), custom_sets(settings)
    tables = table_store(settings).manifest() if any(one.tables for one in sets.values()) else Manifest()
    counted = metric_store(settings).manifest() if any(one.metrics for one in sets.values()) else Manifest()
    built_in = {group: _meaning(settings, group) for group in GROUPS}

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
        return digest([_VERSION, _CUSTOM_VERSION, float(settings.grace_hours), columns, *seen])

    return meaning


def forgotten(settings: Settings, there: Manifest) -> list[str]:
    """Partitions of declared features that nobody declares and no champion reads any more."""
    groups = catalog_of(settings).groups
    return [one for one in there.partitions if one.partition("/")[0] not in groups]


def built_cutoffs(settings: Settings) -> list[datetime]:
    """Cutoffs whose every group is there, made from the same sources and of today's meaning, ascending."""
    manifest = feature_store(settings).manifest()
    groups, meaning = catalog_of(settings).groups, meanings(settings)
    return sorted(
        cutoff
        for cutoff in _complete(manifest, groups)
        if all(_meaning_of(manifest, group, cutoff) == meaning(group, cutoff) for group in groups)
    )


def outdated_cutoffs(settings: Settings) -> list[datetime]:
    """Cutoffs built under other settings, definitions or groups, ascending: their rows must not mix with today's."""
    manifest = feature_store(settings).manifest()
    there = {as_cutoff(partition.partition("/cutoff=")[2]) for partition in manifest.partitions}
    return sorted(there.difference(built_cutoffs(settings)))


def left_out(settings: Settings) -> list[str]:
    """A sentence that names the outdated cutoffs and says what to do; none where there are none."""
    outdated = outdated_cutoffs(settings)
    if not outdated:
        return []
    which = listed(cutoff.date() for cutoff in reversed(outdated))
    what = "1 cutoff was" if len(outdated) == 1 else f"{len(outdated)} cutoffs were"
    sentence = f"{what} built under other settings or definitions and left out: {which}."
    return [f"{sentence} Run `bellwether features build` to build them again."]


def _meaning(settings: Settings, group: str) -> str:
    """Digest of everything but the sources that a group's values depend on."""
    columns = [(feature.name, feature.kind, feature.window_days) for feature in features_of_group(group)]
    value_endpoints = sorted(settings.value_endpoints)
    versions = [_VERSION, _VERSIONS.get(group, 1)]
    return digest([*versions, float(settings.grace_hours), float(settings.slow_call_ms), value_endpoints, columns])


def _complete(manifest: Manifest, groups: Sequence[str]) -> Iterator[datetime]:
    """Cutoffs whose groups are all there and made from the same sources."""
    days: dict[str, set[str]] = {}
    for partition in manifest.partitions:
        group, _, day = partition.partition("/cutoff=")
        days.setdefault(day, set()).add(group)
    for day, found in days.items():
        sources = {manifest.made_from.get(f"{group}/cutoff={day}", "").partition(":")[0] for group in groups}
        if found >= set(groups) and len(sources) == 1:
            yield as_cutoff(day)


def _meaning_of(manifest: Manifest, group: str, cutoff: datetime) -> str:
    return manifest.made_from.get(feature_partition(group, cutoff), "").partition(":")[2]
