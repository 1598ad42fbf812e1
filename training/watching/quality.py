"""The part of the quality report that needs a model: how far the features have moved from its champion's baseline."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pyarrow.compute as pc

from features.definitions.catalog import CATALOG
from features.definitions.feature import Nulls
from features.examination import Finding
from features.exceptions import counted, listed
from features.home.home import Home
from features.offline.files import JOIN_KEY, feature_at, group_at
from features.quality.section import Inspection, Part, Section
from features.shares import Share, percent
from features.windows import as_cutoff
from training.labels.dataset import subscriptions_frame
from training.labels.eligibility import ACTIVITY, Status, status_at, status_by_calls
from training.labels.targets import TARGETS, target
from training.models import bundle as bundles
from training.models.bundle import Bundle
from training.registry.champions import champion, champion_version
from training.watching.drift import Cell, Level, Shift, shift_from

__all__ = ["MODEL_PARTS", "Shifted", "calendar_note", "findings_of", "shifted_since"]


@dataclass(frozen=True)
class Shifted:
    """How the features of one target's population stand to its champion's baseline.

    Attributes
    ----------
    accounts
        Accounts the target applies to at the cutoff: the baseline holds no others.
    shifts
        Feature to its shift; a feature without a baseline is not among them.
    is_blind
        Whether no number has a baseline that can be compared with.
    by_calendar
        Features that move with the date though nobody does anything.
    """

    target: str
    version: str
    span: tuple[str, str]
    accounts: int
    shifts: Mapping[str, Shift]
    is_blind: bool
    by_calendar: frozenset[str] = frozenset()


def look_at_shift(inspection: Inspection) -> Section:
    """One row per target with a champion and feature, the largest shift first."""
    versions = {name: champion_version(inspection.home, name) for name in TARGETS}
    targets = [
        _shifted(inspection.home, name, version, inspection.cutoff)
        for name, version in versions.items()
        if version is not None
    ]
    if not targets:
        return Section(note="No target has a champion yet, so the shift is missing: there is no baseline.")
    notes = [_MEANING, calendar_note(targets), *(_without(shifted) for shifted in targets if shifted.is_blind)]
    rows = [row for shifted in targets for row in _rows(shifted)]
    changed = [row for row in rows if row["level"] != str(Level.NONE) or row["more nulls"] or row["new values"]]
    return Section(
        tuple(rows),
        tuple(findings_of(targets)),
        shown=tuple({name: cell for name, cell in row.items() if name not in _FOR_PROGRAMS} for row in changed),
        note=" ".join(filter(None, notes)),
    )


def shifted_since(
    bundle: Bundle,
    values: Mapping[str, list[Any]],
    *,
    target_name: str,
    version: str,
    accounts: int,
    log_start: datetime | None = None,
) -> Shifted:
    """Compare the values of a population with the baseline of a bundle; ``log_start`` is the log's first day."""
    shifts = {
        name: shift
        for name in bundle.features
        if name in values
        and (shift := shift_from(bundle.statistics.get(name, {}), values[name], bundle.kinds[name])) is not None
    }
    is_blind = all(bundle.kinds[name] == "category" for name in shifts)
    span = bundle.spans.get("registered", ("", ""))
    log_days = (as_cutoff(span[0]) - log_start).days if log_start and span[0] else None
    by_calendar = frozenset(name for name in shifts if _moves_with_the_calendar(name, log_days))
    return Shifted(target_name, version, span, accounts, shifts, is_blind, by_calendar)


def _moves_with_the_calendar(name: str, log_days: int | None) -> bool:
    """Whether a feature is an age or the like, or counts calls of more days than the log had when its model was fitted.

    Such a count grows until the log is as old as its window; others of the kind are null as long as it is not.
    """
    feature = _FEATURES.get(name)
    if feature is None or feature.is_calendar or log_days is None:
        return feature is not None and feature.is_calendar
    counts_calls = feature.group in _GROUPS_OF_CALLS and feature.nulls is not Nulls.ANYBODY
    return counts_calls and (feature.window_days or 0) > log_days


def _log_start(home: Home) -> datetime | None:
    days = home.stores.events.manifest().partitions
    return as_cutoff(min(days).removeprefix("day=")) if days else None


def _shifted(home: Home, name: str, version: str, cutoff: datetime) -> Shifted:
    current = champion(home, name)
    bundle = bundles.read(current.bundle_folder, sha256=current.sha256)
    accounts = _population(home, name, cutoff)
    values: dict[str, list[Any]] = {}
    catalog = home.catalog
    for group in catalog.groups_of_service(bundle.service):
        rows = group_at(home.stores.features, group, cutoff, catalog)
        applicable = rows.filter(pc.is_in(rows[JOIN_KEY], value_set=accounts))
        values |= {
            feature: applicable[feature].to_pylist()
            for feature in bundle.features
            if feature in applicable.column_names
        }
    return shifted_since(
        bundle, values, target_name=name, version=version, accounts=len(accounts), log_start=_log_start(home)
    )


def _population(home: Home, name: str, cutoff: datetime) -> Any:
    """The accounts a target applies to at a cutoff, as an Arrow array."""
    import pyarrow as pa

    aim = target(name, home)
    if aim.kind == "inactivity":
        status = status_by_calls(feature_at(home.stores.features, ACTIVITY, cutoff))
    else:
        status = status_at(aim, subscriptions_frame(home), cutoff, home.settings)
    return pa.array([str(account) for account in status.index[status == str(Status.OK)]], pa.string())


def _rows(shifted: Shifted) -> Iterator[dict[str, object]]:
    for name, shift in sorted(shifted.shifts.items(), key=lambda pair: -(pair[1].index or 0.0)):
        yield {
            "target": shifted.target,
            "feature": name,
            "shift": None if shift.index is None else round(shift.index, 4),
            "by chance": round(shift.chance, 4),
            "level": _BY_CALENDAR if name in shifted.by_calendar and _large(shift) else str(shift.level),
            "moved most": None if shift.moved_most is None else _moved(shift.moved_most),
            "nulls in fitting": Share(shift.nulls_before),
            "nulls now": Share(shift.nulls_now),
            "more nulls": shift.went_missing,
            "new values": ", ".join(shift.new_values),
        }


def findings_of(targets: Sequence[Shifted]) -> Iterator[Finding]:
    """One finding per kind over all champions: the same feature is read by several.

    What moves with the calendar is no finding: see :func:`calendar_note`.
    """
    fitting = "the fitting of " + ", ".join(
        f"{shifted.target} version {shifted.version} ({shifted.span[0]} to {shifted.span[1]})" for shifted in targets
    )
    again = "train again: " + ", ".join(f"`bellwether train --target {shifted.target}`" for shifted in targets)
    large = _worst(targets, _large, is_of=lambda shifted, name: name not in shifted.by_calendar)
    if large:
        names = listed(f"{name} ({_largest(shift)})" for name, shift in large.items())
        yield Finding(
            f"{counted(len(large), 'feature is|features are')} spread otherwise than in {fitting}: {names}.",
            f"If it is true of your customers, {again}. If not, look at the source of these features.",
            is_remark=True,
        )
    missing = _worst(targets, lambda shift: shift.nulls_now - shift.nulls_before if shift.went_missing else 0.0)
    if missing:
        names = listed(
            f"{name} ({percent(shift.nulls_before)} to {percent(shift.nulls_now)})" for name, shift in missing.items()
        )
        yield Finding(
            f"{counted(len(missing), 'feature is|features are')} null for many more accounts than in {fitting}: "
            f"{names}.",
            f"Look whether a source lost a column or stopped. If it is to stay so, {again}.",
            is_remark=True,
        )
    for name, shift in _worst(targets, lambda shift: float(len(shift.new_values))).items():
        yield Finding(
            f"{name} has values that were not there in {fitting}: {listed(shift.new_values)}. A model takes them all "
            "for one.",
            f"If they are no misspelling, {again} when they have been there for some weeks.",
            is_remark=True,
        )


def calendar_note(targets: Sequence[Shifted]) -> str | None:
    """The features that moved far because time has passed, in a sentence; None where there are none.

    An age grows, a term comes nearer, a log becomes as old as a window, and nobody did anything.
    """
    moved = _worst(targets, _large, is_of=lambda shifted, name: name in shifted.by_calendar)
    if not moved:
        return None
    names = listed(f"{name} ({_largest(shift)})" for name, shift in moved.items())
    return f"By the calendar alone, which is no finding: {names}."


def _large(shift: Shift) -> float:
    return shift.index or 0.0 if shift.level is Level.LARGE else 0.0


def _worst(
    targets: Sequence[Shifted],
    weight: Callable[[Shift], float],
    *,
    is_of: Callable[[Shifted, str], bool] = lambda *_: True,
) -> dict[str, Shift]:
    """Features with a weight, the heaviest first, each with its heaviest shift among the targets it ``is_of``."""
    worst: dict[str, Shift] = {}
    for shifted in targets:
        for name, shift in shifted.shifts.items():
            if (
                weight(shift) > 0
                and is_of(shifted, name)
                and (name not in worst or weight(shift) > weight(worst[name]))
            ):
                worst[name] = shift
    return dict(sorted(worst.items(), key=lambda pair: -weight(pair[1])))


def _moved(cell: Cell) -> str:
    return f"{cell.name}: {percent(cell.before)} to {percent(cell.now)}"


def _largest(shift: Shift) -> str:
    return f"{shift.index:.2f}" + (f", {_moved(shift.moved_most)}" if shift.moved_most else "")


def _without(shifted: Shifted) -> str:
    if not shifted.accounts:
        return f"{shifted.target} applies to nobody at this cutoff."
    return (
        f"Version {shifted.version} of {shifted.target} was trained before baselines were kept whole, so its shift is "
        f"missing; `bellwether train --target {shifted.target}` makes one that has it."
    )


_FEATURES = {feature.name: feature for feature in CATALOG}
_GROUPS_OF_CALLS = ("usage", "errors", "latency", "breadth", "sdk")
_BY_CALENDAR = "calendar"
_FOR_PROGRAMS = {"by chance", "more nulls"}
_MEANING = (
    "Population stability index of what is not null, among the accounts a target applies to. Below 0.1, or within "
    "chance: none. From 0.1: moderate, worth knowing. From 0.25: large, worth acting on."
)

MODEL_PARTS: tuple[Part, ...] = (Part("shift", "Shift against the champions", look_at_shift),)
"""In the order in which they are shown."""
