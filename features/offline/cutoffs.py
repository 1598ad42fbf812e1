"""Which cutoffs are built, and whether their rows still mean what the settings and the catalogue say."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from features.exceptions import counted, listed
from features.home.home import Home
from features.home.stores import feature_partition
from features.offline.lineage import feature_lineage
from features.storage.manifest import Manifest
from features.windows import as_cutoff

__all__ = ["EARLIER_VERSION", "built_cutoffs", "is_of_earlier_version", "left_out", "outdated_cutoffs"]

EARLIER_VERSION = (
    "This home was counted and built by an earlier version: `bellwether features build` does both once more, from the "
    "stored events; nothing that was ingested, scored or trained is lost."
)
"""What is told of a home whose rollups or features say nothing of their lineage."""


def built_cutoffs(home: Home) -> list[datetime]:
    """Cutoffs whose every group is there, made from the same sources and of today's lineage, ascending."""
    manifest = home.stores.features.manifest()
    groups, lineage_of = home.catalog.groups, feature_lineage(home)
    built = []
    for cutoff in _whole_cutoffs(manifest, groups):
        listed = {group: manifest.lineage.get(feature_partition(group, cutoff)) for group in groups}
        sources = next(iter(listed.values()), None)
        if sources and all(entry == lineage_of(group, cutoff, sources.sources) for group, entry in listed.items()):
            built.append(cutoff)
    return sorted(built)


def outdated_cutoffs(home: Home) -> list[datetime]:
    """Cutoffs built under other settings, definitions or groups, ascending: their rows must not mix with today's."""
    manifest = home.stores.features.manifest()
    cutoffs = {as_cutoff(partition.partition("/cutoff=")[2]) for partition in manifest.partitions}
    return sorted(cutoffs.difference(built_cutoffs(home)))


def is_of_earlier_version(home: Home) -> bool:
    """Whether rollups or features were made before their lineage was kept; both are then made once more."""
    stores = (home.stores.rollups, home.stores.features)
    return any(store.is_begun() and store.manifest().is_of_earlier_version for store in stores)


def left_out(home: Home) -> list[str]:
    """A sentence that names the outdated cutoffs and says what to do; none where there are none."""
    outdated = outdated_cutoffs(home)
    if not outdated:
        return []
    if is_of_earlier_version(home):
        return [EARLIER_VERSION]
    which = listed(cutoff.date() for cutoff in reversed(outdated))
    what = counted(len(outdated), "cutoff was|cutoffs were")
    sentence = f"{what} built under other settings or definitions and left out: {which}."
    return [f"{sentence} Run `bellwether features build` to build them again."]


def _whole_cutoffs(manifest: Manifest, groups: Sequence[str]) -> Iterator[datetime]:
    """Cutoffs whose groups are all there."""
    groups_of: dict[str, set[str]] = {}
    for partition in manifest.partitions:
        group, _, day = partition.partition("/cutoff=")
        groups_of.setdefault(day, set()).add(group)
    yield from (as_cutoff(day) for day, listed in groups_of.items() if listed >= set(groups))
