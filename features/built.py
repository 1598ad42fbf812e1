"""Which cutoffs are built, and whether their rows still mean what the settings and the catalogue say."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from features.catalog import GROUPS, features_of_group
from features.exceptions import listed
from features.manifest import Manifest, ManifestStore, digest
from features.settings import Settings
from features.windows import as_cutoff

__all__ = ["built_cutoffs", "feature_partition", "feature_store", "left_out", "made_from", "outdated_cutoffs"]

_VERSION = 4  # raise it when what every group is made of changes, as the population: all is then built again
_VERSIONS: Mapping[str, int] = {}  # of one group, 1 where it is not named: raise it when a feature of it changes


def feature_store(settings: Settings) -> ManifestStore:
    """The store of the features: partitions ``<group>/cutoff=YYYY-MM-DD``, one logical file ``<group>`` in each."""
    return ManifestStore(settings.home / "features")


def feature_partition(group: str, cutoff: datetime) -> str:
    """Where the store keeps a group's rows of a cutoff."""
    return f"{group}/cutoff={cutoff.date().isoformat()}"


def made_from(settings: Settings, group: str, source: str) -> str:
    """What a partition is made from: the fingerprint of its sources, then the digest of what its columns mean."""
    return f"{source}:{_meaning(settings, group)}"


def built_cutoffs(settings: Settings) -> list[datetime]:
    """Cutoffs whose every group is there, made from the same sources and of today's meaning, ascending."""
    manifest = feature_store(settings).manifest()
    return sorted(cutoff for cutoff in _complete(manifest) if _is_current(settings, manifest, cutoff))


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


def _complete(manifest: Manifest) -> Iterator[datetime]:
    """Cutoffs whose groups are all there and made from the same sources."""
    days: dict[str, set[str]] = {}
    for partition in manifest.partitions:
        group, _, day = partition.partition("/cutoff=")
        days.setdefault(day, set()).add(group)
    for day, groups in days.items():
        sources = {manifest.made_from.get(f"{group}/cutoff={day}", "").partition(":")[0] for group in GROUPS}
        if groups >= set(GROUPS) and len(sources) == 1:
            yield as_cutoff(day)


def _is_current(settings: Settings, manifest: Manifest, cutoff: datetime) -> bool:
    found = {group: manifest.made_from.get(feature_partition(group, cutoff), "") for group in GROUPS}
    return all(stamp.partition(":")[2] == _meaning(settings, group) for group, stamp in found.items())
