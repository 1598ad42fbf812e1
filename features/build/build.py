"""Rollups and cutoffs to feature tables: one file per group and cutoff, as known at the cutoff."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from features.build.origins import forget_others, keep
from features.build.records_seen import keep_seen
from features.build.stale import origins, pending
from features.build.workbench import Workbench
from features.exceptions import InputError, WorkFailedError, listed
from features.home.home import Home
from features.home.stores import feature_partition
from features.offline.cutoffs import forgotten
from features.offline.meanings import meanings
from features.progress import Progress, silent
from features.rollup.metrics import count_metrics
from features.storage.damage import damage_named
from features.windows import as_cutoff, cutoff_day, is_buildable

__all__ = ["BuildReport", "build"]


_RESTORE = "Restore them from a backup; what the files of the table still say is read again."
_REMEDY = "Remove what is left of them and run `bellwether features build` again: it counts their days anew."


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
    progress: Progress | None = None,
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
    wanted = _checked(home, cutoffs, now=now)
    chosen = _checked_groups(home.catalog.groups, groups)
    report = progress or silent
    count_metrics(home, progress=report)
    rows: dict[datetime, int] = {}
    store = home.stores.features
    with (
        store.writer() as writer,
        damage_named(home.stores.rollups, remedy=_REMEDY),
        damage_named(home.stores.metrics, remedy=_REMEDY),
        damage_named(home.stores.tables, remedy=_RESTORE),
    ):
        there, rollups = store.manifest(), home.stores.rollups.manifest()
        records = home.stores.raw.manifest()
        keep_seen(home, records, folder=store.root / "seen")
        now_from = origins(home, rollups, records, wanted)
        stale: dict[datetime, list[str]] = {}
        for one in pending(home, there, now_from, groups=chosen):
            stale.setdefault(one.cutoff, []).append(one.group)
        meaning = meanings(home)
        if stale:
            kept, spill = store.root / "compiled", writer.scratch / "spill"
            with Workbench(home, rollups, compiled_into=kept, spill=spill) as workbench:
                for several, cutoffs_of in _by_groups(stale).items():
                    for batch in workbench.batches(cutoffs_of):
                        workbench.turn_to(batch, cutoffs_of)
                        rows |= workbench.accounts()
                        sources = {cutoff: keep(store.root / "origins", now_from[cutoff]) for cutoff in batch}
                        for group in several:
                            paths = {cutoff: writer.scratch / f"{group}-{cutoff_day(cutoff)}" for cutoff in batch}
                            for cutoff, written in workbench.write(group, paths).items():
                                _expect(written, rows[cutoff], group, cutoff)
                                writer.replace(
                                    feature_partition(group, cutoff),
                                    {group: paths[cutoff]},
                                    made_from=f"{sources[cutoff]}:{meaning(group, cutoff)}",
                                )
                        report("build features", len(rows), len(stale))
        if groups is None:
            for partition in forgotten(home, there):
                writer.remove(partition)
        if stale:
            stamps = [*there.made_from.values(), *writer.made_from.values()]  # a killed run leaves the old ones
            forget_others(store.root / "origins", {stamp.partition(":")[0] for stamp in stamps})
    return BuildReport(tuple(sorted(stale)), tuple(cutoff for cutoff in wanted if cutoff not in rows), rows)


def _by_groups(stale: Mapping[datetime, Sequence[str]]) -> dict[tuple[str, ...], list[datetime]]:
    """Cutoffs in which the same groups are to be made."""
    found: dict[tuple[str, ...], list[datetime]] = {}
    for cutoff, groups in stale.items():
        found.setdefault(tuple(groups), []).append(cutoff)
    return found


def _checked(home: Home, cutoffs: Sequence[datetime], *, now: datetime) -> list[datetime]:
    wanted = sorted({as_cutoff(cutoff) for cutoff in cutoffs})
    early = [cutoff for cutoff in wanted if not is_buildable(cutoff, now=now, grace_hours=home.settings.grace_hours)]
    if early:
        raise InputError(
            f"{len(early)} of {len(wanted)} cutoffs cannot be built yet: {listed(day.date() for day in early)}. "
            f"Late data counts until {home.settings.grace_hours:g} hours after a cutoff, and it is {now.isoformat()}. "
            "Build them later."
        )
    return wanted


def _checked_groups(there: Sequence[str], groups: Sequence[str] | None) -> tuple[str, ...]:
    unknown = sorted(set(groups or ()) - set(there))
    if unknown:
        raise InputError(f"There is no feature group {listed(unknown)}. The groups are {listed(there)}.")
    return tuple(group for group in there if groups is None or group in groups)


def _expect(rows: int, accounts: int, group: str, cutoff: datetime) -> None:
    if rows != accounts:
        raise WorkFailedError(
            f"The {group} features at {cutoff.date()} have {rows} rows for {accounts} accounts. "
            "Nothing was published; report this with the output of `bellwether features describe`."
        )
