"""Rollups and cutoffs to feature tables: one file per group and cutoff, as known at the cutoff."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from features.build.records_seen import NOTE, noted_days
from features.build.stale import GroupAtCutoff, wanted_groups
from features.build.workbench import Workbench
from features.exceptions import InputError, WorkFailedError, listed
from features.home.home import Home
from features.home.stores import feature_partition
from features.progress import Progress, silent
from features.rollup.metrics import count_metrics
from features.storage.damage import damage_named
from features.storage.derived import Product, bring_up_to_date
from features.windows import as_cutoff, cutoff_day, is_buildable

__all__ = ["BuildReport", "build"]


@dataclass(frozen=True)
class BuildReport:
    """What one run did.

    Attributes
    ----------
    built, unchanged
        Cutoffs of which a group was written, and cutoffs whose files were already made from the same.
    rows
        Accounts per built cutoff.
    """

    built: tuple[datetime, ...]
    unchanged: tuple[datetime, ...]
    rows: Mapping[datetime, int]


def build(
    home: Home,
    cutoffs: Sequence[datetime],
    *,
    now: datetime,
    groups: Sequence[str] | None = None,
    progress: Progress = silent,
) -> BuildReport:
    """Write the feature tables of these cutoffs: one row per account known at each, the same ones in every group.

    A (group, cutoff) already made from the same rollups, records, settings and definitions is left alone: a changed
    definition of one group builds that group.

    Raises
    ------
    InputError
        When a cutoff is no UTC midnight or its late data may still arrive, or a group does not exist.
    WorkFailedError
        When a group does not have exactly one row per account, or a rollup file is damaged or missing.
    LockHeldError
        When another process is building.
    """
    cutoffs = _checked(cutoffs, now=now, grace_hours=home.settings.grace_hours)
    every_group = home.catalog.groups
    wanted_names = _checked_groups(every_group, groups)
    count_metrics(home, progress=progress)
    stores, rows = home.stores, dict[datetime, int]()
    with (
        stores.features.writer() as writer,
        damage_named(stores.rollups),
        damage_named(stores.metrics),
        damage_named(stores.tables),
        home.snapshot() as steady,
    ):
        rollups, records = steady.stores.rollups.manifest(), steady.stores.raw.manifest()
        writer.notes[NOTE] = noted_days(steady, records=records, features=writer.state())
        wanted = wanted_groups(steady, cutoffs, wanted_names, rollups=rollups, records=records, features=writer.state())

        def make(partitions: Sequence[str]) -> Iterator[tuple[str, Product]]:
            compiled_into, spill = stores.features.compiled, writer.scratch / "spill"
            with Workbench(steady, rollups, compiled_into=compiled_into, spill=spill) as workbench:
                yield from _products(workbench, [wanted[name] for name in partitions], writer.scratch, rows)

        outcome = bring_up_to_date(
            writer,
            {partition: group.lineage for partition, group in wanted.items()},
            make,
            owns=lambda partition: groups is None and partition.partition("/")[0] not in every_group,
            step="build features",
            progress=progress,
        )
    for folder in home.remnants:
        shutil.rmtree(folder, ignore_errors=True)
    built = {wanted[partition].cutoff for partition in outcome.made}
    return BuildReport(tuple(sorted(built)), tuple(cutoff for cutoff in cutoffs if cutoff not in built), rows)


def _products(
    workbench: Workbench, stale: Sequence[GroupAtCutoff], scratch: Path, rows: dict[datetime, int]
) -> Iterator[tuple[str, Product]]:
    """Make the rows of groups and cutoffs, as many cutoffs together as fit; ``rows`` gets the accounts of each."""
    for groups, cutoffs in _by_groups(stale).items():
        for batch in workbench.batches(cutoffs):
            workbench.turn_to(batch, cutoffs)
            rows |= workbench.accounts()
            for group in groups:
                paths = {cutoff: scratch / f"{group}-{cutoff_day(cutoff)}" for cutoff in batch}
                for cutoff, written in workbench.write(group, paths).items():
                    _expect(written, rows[cutoff], group, cutoff)
                    yield feature_partition(group, cutoff), Product({group: paths[cutoff]})


def _by_groups(stale: Sequence[GroupAtCutoff]) -> dict[tuple[str, ...], list[datetime]]:
    """Cutoffs in which the same groups are to be made."""
    groups_of: dict[datetime, list[str]] = {}
    for entry in stale:
        groups_of.setdefault(entry.cutoff, []).append(entry.group)
    together: dict[tuple[str, ...], list[datetime]] = {}
    for cutoff, groups in groups_of.items():
        together.setdefault(tuple(groups), []).append(cutoff)
    return together


def _checked(cutoffs: Sequence[datetime], *, now: datetime, grace_hours: float) -> list[datetime]:
    wanted = sorted({as_cutoff(cutoff) for cutoff in cutoffs})
    early = [cutoff for cutoff in wanted if not is_buildable(cutoff, now=now, grace_hours=grace_hours)]
    if early:
        raise InputError(
            f"{len(early)} of {len(wanted)} cutoffs cannot be built yet: {listed(day.date() for day in early)}. "
            f"Late data counts until {grace_hours:g} hours after a cutoff, and it is {now.isoformat()}. "
            "Build them later."
        )
    return wanted


def _checked_groups(every_group: Sequence[str], groups: Sequence[str] | None) -> tuple[str, ...]:
    unknown = sorted(set(groups or ()) - set(every_group))
    if unknown:
        raise InputError(f"There is no feature group {listed(unknown)}. The groups are {listed(every_group)}.")
    return tuple(group for group in every_group if groups is None or group in groups)


def _expect(rows: int, accounts: int, group: str, cutoff: datetime) -> None:
    if rows != accounts:
        raise WorkFailedError(
            f"The {group} features at {cutoff.date()} have {rows} rows for {accounts} accounts. "
            "Nothing was published; report this with the output of `bellwether features describe`."
        )
