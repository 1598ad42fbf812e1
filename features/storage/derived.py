"""Brings a derived store in line with its sources: makes only what is missing, damaged, or made from something else."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from features.progress import Progress, silent
from features.storage.damage import is_there
from features.storage.lineage import Lineage
from features.storage.manifest import Manifest
from features.storage.store import ManifestStore, StoreWriter

__all__ = ["Outcome", "Product", "Stale", "batches", "bring_up_to_date", "stale_partitions"]

T = TypeVar("T")


@dataclass(frozen=True)
class Stale:
    """A partition that is to be made, and what is wrong with the one that is listed.

    Attributes
    ----------
    is_missing, is_damaged
        Whether none is listed, or a file of it is gone.
    has_other_meaning
        Whether the code, a setting or a definition changed.
    changed_sources
        Names of the sources that changed; None where nobody can tell.
    """

    partition: str
    is_missing: bool = False
    is_damaged: bool = False
    has_other_meaning: bool = False
    changed_sources: tuple[str, ...] | None = ()


@dataclass(frozen=True)
class Product:
    """What was made of one partition: staged files by logical name, and what was counted on the way, as JSON."""

    files: Mapping[str, Path]
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class Outcome:
    """Partitions that were made, left as they were, and removed; each ascending."""

    made: tuple[str, ...]
    unchanged: tuple[str, ...]
    removed: tuple[str, ...]


def stale_partitions(store: ManifestStore, manifest: Manifest, wanted: Mapping[str, Lineage]) -> Iterator[Stale]:
    """What would have to be made for every wanted partition to be of its lineage, in the order wanted."""
    for partition, lineage in wanted.items():
        listed = manifest.lineage.get(partition)
        if partition not in manifest.partitions:
            yield Stale(partition, is_missing=True)
        elif listed is None:
            yield Stale(partition, has_other_meaning=True, changed_sources=None)
        elif listed != lineage:
            changed = tuple(listed.changed_sources(lineage))
            yield Stale(partition, has_other_meaning=not listed.is_of_meaning(lineage), changed_sources=changed)
        elif not is_there(store, partition, manifest=manifest):
            yield Stale(partition, is_damaged=True)


def bring_up_to_date(
    writer: StoreWriter,
    wanted: Mapping[str, Lineage],
    make: Callable[[Sequence[str]], Iterable[tuple[str, Product]]],
    *,
    owns: Callable[[str], bool] = lambda _: True,
    step: str = "",
    progress: Progress = silent,
) -> Outcome:
    """Make the stale ones among the wanted partitions, and remove those that are owned and wanted no more.

    ``make`` gets the stale partitions, in the order wanted, and gives each back as soon as it is staged, in any order;
    it is not asked when there are none. Nothing is published before the writer's block ends.
    """
    state = writer.state()
    gone = sorted(partition for partition in state.partitions if owns(partition) and partition not in wanted)
    for partition in gone:
        writer.remove(partition)
    stale = [entry.partition for entry in stale_partitions(writer.store, state, wanted)]
    for done, (partition, product) in enumerate(make(stale) if stale else (), start=1):
        writer.replace(partition, product.files, lineage=wanted[partition], facts=product.facts)
        progress(step, done, len(stale))
    return Outcome(tuple(sorted(stale)), tuple(sorted(set(wanted) - set(stale))), tuple(gone))


def batches(
    items: Iterable[T], *, size: Callable[[T], int], most: int, together: Callable[[T], object] = lambda _: None
) -> Iterator[list[T]]:
    """Neighbours with the same ``together``, as many as stay within a size; one that is larger comes alone.

    >>> list(batches([1, 2, 3, 9, 1], size=int, most=5))
    [[1, 2], [3], [9], [1]]
    """
    batch: list[T] = []
    total = 0
    for item in items:
        more = size(item)
        if batch and (total + more > most or together(item) != together(batch[-1])):
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += more
    if batch:
        yield batch
