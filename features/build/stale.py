"""Which groups of which cutoffs a build would make, and why: the one answer behind building and its plan."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from features.build.origins import Origin, origin_of, recalled
from features.build.records_seen import seen
from features.exceptions import listed
from features.external.take import waiting_tables
from features.home.home import Home
from features.home.stores import feature_partition
from features.offline.meanings import meanings
from features.rollup.count import outdated_days
from features.storage.damage import is_there
from features.storage.store import Manifest

__all__ = ["Pending", "origins", "pending", "planned_rows"]


_NOT_BUILT = "not built"
_GONE = "a file is gone"
_DEFINITION = "settings or definition changed"
_UNKNOWN = "rollups or records changed"


@dataclass(frozen=True)
class Pending:
    """One group of one cutoff that a build would make, and why in plain words."""

    group: str
    cutoff: datetime
    why: str


def origins(home: Home, rollups: Manifest, records: Manifest, cutoffs: Iterable[datetime]) -> dict[datetime, Origin]:
    """What each cutoff is counted from while rollups and records are these."""
    told = seen(home, records, cutoffs, folder=home.stores.features.root / "seen")
    return {cutoff: origin_of(rollups, of_records, cutoff) for cutoff, of_records in told.items()}


def pending(
    home: Home,
    there: Manifest,
    now_from: Mapping[datetime, Origin],
    *,
    groups: Sequence[str],
    uncounted: Sequence[str] = (),
) -> Iterator[Pending]:
    """What is missing or was made from something else than ``now_from``, by cutoff and group.

    ``there`` is the manifest of the features; ``uncounted`` are event days (ISO dates) that will be counted before.
    """
    store, meaning_of = home.stores.features, meanings(home)
    for cutoff, origin in now_from.items():
        late = [day for day in uncounted if date.fromisoformat(day) < cutoff.date()]
        for group in groups:
            partition = feature_partition(group, cutoff)
            stamp = there.made_from.get(partition, "")
            source, _, meaning = stamp.partition(":")
            wanted_meaning = meaning_of(group, cutoff)
            if partition not in there.partitions:
                yield Pending(group, cutoff, _NOT_BUILT)
            elif source != origin.fingerprint or late:
                before = recalled(store.root / "origins", source)
                why = _UNKNOWN if before is None else _changes(before, origin, late)
                yield Pending(group, cutoff, why if meaning == wanted_meaning else f"{why}; {_DEFINITION}")
            elif meaning != wanted_meaning:
                yield Pending(group, cutoff, _DEFINITION)
            elif not is_there(store, partition, manifest=there):
                yield Pending(group, cutoff, _GONE)


def planned_rows(home: Home, cutoffs: Sequence[datetime], groups: Sequence[str]) -> list[dict[str, object]]:
    """What counting and building would do, as a short table; nothing is written."""
    uncounted = [day.removeprefix("day=") for day in outdated_days(home)]
    rows: list[dict[str, object]] = []
    if uncounted:
        rows.append(_row("event days", uncounted, "new, changed or gone since they were counted"))
    now_from = origins(home, home.stores.rollups.manifest(), home.stores.raw.manifest(), cutoffs)
    found = pending(home, home.stores.features.manifest(), now_from, groups=groups, uncounted=uncounted)
    for name, files in waiting_tables(home):
        why = "changed since they were taken, or with rows not known yet"
        rows.append({"what": f"files of table {name}", "count": files, "first": "", "last": "", "why": why})
    same: dict[str, dict[str, list[str]]] = {}
    for one in found:
        same.setdefault(one.why, {}).setdefault(one.group, []).append(one.cutoff.date().isoformat())
    for why, by_group in same.items():
        together: dict[tuple[str, ...], list[str]] = {}
        for group, days in by_group.items():
            together.setdefault(tuple(days), []).append(group)
        for built, names in together.items():
            what = "all groups" if len(names) == len(groups) else ", ".join(names)
            rows.append(_row(f"cutoffs of {what}", built, why))
    return rows


def _row(what: str, days: Sequence[str], why: str) -> dict[str, object]:
    return {"what": what, "count": len(days), "first": min(days), "last": max(days), "why": why}


def _changes(before: Origin, now: Origin, uncounted: Sequence[str]) -> str:
    """In words: days whose rollups differ or will be counted again, and raw tables that hold other rows."""
    days = {day for day in {*before.days, *now.days} if before.days.get(day) != now.days.get(day)}
    days.update(uncounted)
    tables = sorted(name for name in now.tables if before.tables.get(name) != now.tables[name])
    said = [f"rollups changed on {listed(sorted(days))}"] if days else []
    return "; ".join([*said, *([f"late or new rows in {listed(tables)}"] if tables else [])])
