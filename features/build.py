"""Rollups and cutoffs to feature tables: one file per group and cutoff, as known at the cutoff."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from features.catalog import GROUPS, features_of_group
from features.exceptions import InputError, WorkFailedError, listed
from features.manifest import Manifest, ManifestStore, digest
from features.progress import Progress, silent
from features.raw import raw_store
from features.rollup import rollup_store
from features.settings import Settings
from features.windows import as_cutoff, cutoff_day, is_buildable
from features.workbench import Workbench, population

__all__ = ["BuildReport", "build", "built_cutoffs", "feature_store", "population"]

_VERSION = 1  # raise it when a feature's meaning changes: every cutoff is then built again


@dataclass(frozen=True)
class BuildReport:
    """What one run did.

    Attributes
    ----------
    built, unchanged
        Cutoffs written, and cutoffs whose files were already made from the same rollups and records.
    rows
        Accounts per built cutoff.
    """

    built: tuple[datetime, ...]
    unchanged: tuple[datetime, ...]
    rows: Mapping[datetime, int]


def feature_store(settings: Settings) -> ManifestStore:
    """The store of the features: partitions ``<group>/cutoff=YYYY-MM-DD``, one logical file ``<group>`` in each."""
    return ManifestStore(settings.home / "features")


def build(
    settings: Settings,
    cutoffs: Sequence[datetime],
    *,
    now: datetime,
    groups: Sequence[str] | None = None,
    progress: Progress | None = None,
) -> BuildReport:
    """Write the feature tables of these cutoffs: one row per account known at each, the same ones in every group.

    A (group, cutoff) already made from the same rollups, records, settings and definitions is left alone.

    Raises
    ------
    InputError
        When a cutoff is no UTC midnight or its late data may still arrive, or a group does not exist.
    WorkFailedError
        When a group does not have exactly one row per account.
    LockHeldError
        When another process is building.
    """
    wanted = _checked(settings, cutoffs, now=now)
    chosen = _checked_groups(groups)
    report = progress or silent
    rollups, records = rollup_store(settings).manifest(), raw_store(settings).manifest()
    rows: dict[datetime, int] = {}
    with feature_store(settings).writer() as writer:
        sources = {cutoff: _source_fingerprint(settings, rollups, records, cutoff) for cutoff in wanted}
        stale = [
            cutoff
            for cutoff in wanted
            if any(
                writer.made_from.get(_partition(group, cutoff)) != _made_from(group, sources[cutoff])
                for group in chosen
            )
        ]
        if stale:
            with Workbench(settings, rollups, spill=writer.scratch / "spill") as workbench:
                for batch in workbench.batches(stale):
                    workbench.turn_to(batch, stale)
                    rows |= workbench.accounts()
                    for group in chosen:
                        paths = {cutoff: writer.scratch / f"{group}-{cutoff_day(cutoff)}" for cutoff in batch}
                        for cutoff, written in workbench.write(group, paths).items():
                            _expect(written, rows[cutoff], group, cutoff)
                            made_from = _made_from(group, sources[cutoff])
                            writer.replace(_partition(group, cutoff), {group: paths[cutoff]}, made_from=made_from)
                    report("build features", len(rows), len(stale))
    return BuildReport(tuple(stale), tuple(cutoff for cutoff in wanted if cutoff not in rows), rows)


def built_cutoffs(settings: Settings) -> list[datetime]:
    """Cutoffs whose every group is there and made from the same sources, ascending."""
    manifest = feature_store(settings).manifest()
    days: dict[str, set[str]] = {}
    for partition in manifest.partitions:
        group, _, day = partition.partition("/cutoff=")
        days.setdefault(day, set()).add(group)
    complete = []
    for day, groups in days.items():
        sources = {manifest.made_from.get(f"{group}/cutoff={day}", "").partition(":")[0] for group in GROUPS}
        if groups >= set(GROUPS) and len(sources) == 1:
            complete.append(as_cutoff(day))
    return sorted(complete)


def _partition(group: str, cutoff: datetime) -> str:
    return f"{group}/cutoff={cutoff.date().isoformat()}"


def _checked(settings: Settings, cutoffs: Sequence[datetime], *, now: datetime) -> list[datetime]:
    wanted = sorted({as_cutoff(cutoff) for cutoff in cutoffs})
    early = [cutoff for cutoff in wanted if not is_buildable(cutoff, now=now, grace_hours=settings.grace_hours)]
    if early:
        raise InputError(
            f"{len(early)} of {len(wanted)} cutoffs cannot be built yet: {listed(day.date() for day in early)}. "
            f"Late data counts until {settings.grace_hours:g} hours after a cutoff, and it is {now.isoformat()}. "
            "Build them later."
        )
    return wanted


def _checked_groups(groups: Sequence[str] | None) -> tuple[str, ...]:
    unknown = sorted(set(groups or ()) - set(GROUPS))
    if unknown:
        raise InputError(f"There is no feature group {listed(unknown)}. The groups are {listed(GROUPS)}.")
    return tuple(group for group in GROUPS if groups is None or group in groups)


def _source_fingerprint(settings: Settings, rollups: Manifest, records: Manifest, cutoff: datetime) -> str:
    """Everything the rows of a cutoff can depend on besides the definitions."""
    end = f"day={cutoff.date().isoformat()}"
    days = {day: rollups.fingerprint(day) for day in rollups.partitions if day < end}
    tables = [records.fingerprint(name) for name in ("accounts", "subscriptions")]
    return digest([settings.grace_hours, days, tables])


def _made_from(group: str, source: str) -> str:
    return f"{source}:{digest([_VERSION, [(feature.name, feature.kind) for feature in features_of_group(group)]])}"


def _expect(rows: int, accounts: int, group: str, cutoff: datetime) -> None:
    if rows != accounts:
        raise WorkFailedError(
            f"The {group} features at {cutoff.date()} have {rows} rows for {accounts} accounts. "
            "Nothing was published; report this with the output of `bellwether features describe`."
        )
