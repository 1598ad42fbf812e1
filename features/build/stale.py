"""Which groups of which cutoffs a build would make, and why: the one answer behind building and its plan."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from features.build.sources import is_rollup_day, sources_of
from features.exceptions import listed
from features.external.take import waiting_tables
from features.home.home import Home
from features.home.stores import feature_partition
from features.offline.lineage import feature_lineage
from features.rollup.count import outdated_days
from features.storage.derived import Stale, stale_partitions
from features.storage.lineage import Lineage
from features.storage.manifest import Manifest

__all__ = ["PLAN_COLUMNS", "GroupAtCutoff", "planned_rows", "wanted_groups"]

_NOT_BUILT = "not built"
_GONE = "a file is gone"
_DEFINITION = "settings or definition changed"
_EARLIER = "built by an earlier version"
_UNCOUNTED = "will be counted again"


@dataclass(frozen=True)
class GroupAtCutoff:
    """One group of one cutoff, and what its rows are to be made from."""

    group: str
    cutoff: datetime
    lineage: Lineage


def wanted_groups(
    home: Home,
    cutoffs: Sequence[datetime],
    groups: Iterable[str],
    *,
    rollups: Manifest,
    records: Manifest,
    features: Manifest,
    uncounted: Sequence[str] = (),
) -> dict[str, GroupAtCutoff]:
    """By partition, cutoff after cutoff, what the rows are to be made from while the stores are these.

    ``uncounted`` are event days (``day=YYYY-MM-DD``) that will be counted before.
    """
    lineage_of, groups = feature_lineage(home), tuple(groups)
    wanted = {}
    for cutoff, sources in sources_of(home, cutoffs, rollups=rollups, records=records, features=features).items():
        late = {day: _UNCOUNTED for day in uncounted if day < f"day={cutoff.date()}"}
        shared = {**sources, **late} if late else sources
        for group in groups:
            lineage = lineage_of(group, cutoff, shared)
            wanted[feature_partition(group, cutoff)] = GroupAtCutoff(group, cutoff, lineage)
    return wanted


PLAN_COLUMNS = ("what", "count", "first", "last", "why")
"""Of the rows of :func:`planned_rows`."""


def planned_rows(home: Home, cutoffs: Sequence[datetime], groups: Sequence[str]) -> list[dict[str, object]]:
    """What counting and building would do, as a short table; nothing is written."""
    uncounted = outdated_days(home)
    rows: list[dict[str, object]] = []
    if uncounted:
        days = [day.removeprefix("day=") for day in uncounted]
        rows.append(_row("event days", days, "new, changed or gone since they were counted"))
    for name, files in waiting_tables(home):
        why = "changed since they were taken, or with rows not known yet"
        rows.append({"what": f"files of table {name}", "count": files, "first": "", "last": "", "why": why})
    with home.snapshot() as steady:
        features = steady.stores.features.manifest()
        wanted = wanted_groups(
            steady,
            cutoffs,
            groups,
            rollups=steady.stores.rollups.manifest(),
            records=steady.stores.raw.manifest(),
            features=features,
            uncounted=uncounted,
        )
        lineages = {partition: entry.lineage for partition, entry in wanted.items()}
        stale = [
            (wanted[entry.partition], _why(entry))
            for entry in stale_partitions(steady.stores.features, features, lineages)
        ]
    days_of: dict[str, dict[str, list[str]]] = {}
    for entry, why in stale:
        days_of.setdefault(why, {}).setdefault(entry.group, []).append(entry.cutoff.date().isoformat())
    for why, by_group in days_of.items():
        rows.extend(_row(f"cutoffs of {what}", days, why) for what, days in _same_days(by_group, len(groups)))
    return rows


def _same_days(by_group: Mapping[str, Sequence[str]], groups: int) -> list[tuple[str, Sequence[str]]]:
    """Groups with the same days together, in words, and these days."""
    together: dict[tuple[str, ...], list[str]] = {}
    for group, days in by_group.items():
        together.setdefault(tuple(days), []).append(group)
    return [("all groups" if len(names) == groups else ", ".join(names), days) for days, names in together.items()]


def _row(what: str, days: Sequence[str], why: str) -> dict[str, object]:
    return {"what": what, "count": len(days), "first": min(days), "last": max(days), "why": why}


def _why(stale: Stale) -> str:
    """In words: days whose rollups differ or are to be counted again, record tables with other rows, and the rest."""
    if stale.is_missing:
        return _NOT_BUILT
    if stale.is_damaged:
        return _GONE
    if stale.changed_sources is None:
        return _EARLIER
    days = [source.removeprefix("day=") for source in stale.changed_sources if is_rollup_day(source)]
    tables = [source for source in stale.changed_sources if not is_rollup_day(source)]
    reasons = [f"rollups changed on {listed(days)}"] if days else []
    reasons += [f"late or new rows in {listed(tables)}"] if tables else []
    return "; ".join([*reasons, *([_DEFINITION] if stale.has_other_meaning else [])])
