"""Which cutoffs are built, and whether their rows still mean what the settings and the catalogue say."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from features.exceptions import listed
from features.home.home import Home
from features.home.stores import feature_partition
from features.offline.meanings import meanings
from features.storage.store import Manifest
from features.windows import as_cutoff

__all__ = ["built_cutoffs", "forgotten", "left_out", "outdated_cutoffs"]


def forgotten(home: Home, there: Manifest) -> list[str]:
    """Partitions of declared features that nobody declares and no champion reads any more."""
    groups = home.catalog.groups
    return [one for one in there.partitions if one.partition("/")[0] not in groups]


def built_cutoffs(home: Home) -> list[datetime]:
    """Cutoffs whose every group is there, made from the same sources and of today's meaning, ascending."""
    manifest = home.stores.features.manifest()
    groups, meaning = home.catalog.groups, meanings(home)
    return sorted(
        cutoff
        for cutoff in _complete(manifest, groups)
        if all(_meaning_of(manifest, group, cutoff) == meaning(group, cutoff) for group in groups)
    )


def outdated_cutoffs(home: Home) -> list[datetime]:
    """Cutoffs built under other settings, definitions or groups, ascending: their rows must not mix with today's."""
    manifest = home.stores.features.manifest()
    there = {as_cutoff(partition.partition("/cutoff=")[2]) for partition in manifest.partitions}
    return sorted(there.difference(built_cutoffs(home)))


def left_out(home: Home) -> list[str]:
    """A sentence that names the outdated cutoffs and says what to do; none where there are none."""
    outdated = outdated_cutoffs(home)
    if not outdated:
        return []
    which = listed(cutoff.date() for cutoff in reversed(outdated))
    what = "1 cutoff was" if len(outdated) == 1 else f"{len(outdated)} cutoffs were"
    sentence = f"{what} built under other settings or definitions and left out: {which}."
    return [f"{sentence} Run `bellwether features build` to build them again."]


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
