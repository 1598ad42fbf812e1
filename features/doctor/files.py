"""Checks of a home's files: key, stores, locks, and what is outdated."""

import stat
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from features.build.build import build
from features.engine.choice import require_engine
from features.examination import Check, Finding
from features.exceptions import DependencyError, counted, listed
from features.home.home import Home
from features.home.private import exposed, keep_private
from features.home.secret import RESTORE_KEY, key_fault
from features.offline.cutoffs import built_cutoffs, is_of_earlier_version, outdated_cutoffs
from features.rollup.count import outdated_days, roll_up
from features.rollup.metrics import count_metrics
from features.storage.damage import damaged_files
from features.storage.lock import is_locked
from features.storage.store import ManifestStore
from features.windows import DAY, as_cutoff, newest_cutoff

__all__ = ["DERIVED_CHECKS", "FILE_CHECKS"]


_STORES = ("events", "raw", "tables", "quarantine", "rollups", "metrics", "features")
_LOCKED = (*_STORES, "feast", "mlflow", "nightly", "audit")


def _look_at_key(home: Home, _: datetime) -> Iterator[Finding]:
    path = home.secret_key
    fault = key_fault(home)
    if fault is not None:
        yield Finding(f"{fault} New ones would match none of them, so nothing is loaded until then.", RESTORE_KEY)
    elif not path.exists():
        yield Finding(f"{path} is missing, and nothing is stored yet.", "The first load makes one.", is_remark=True)


def _look_at_privacy(home: Home, _: datetime) -> Iterator[Finding]:
    paths = exposed(home)
    if paths:
        what = counted(len(paths), "file or folder|files and folders")
        yield Finding(
            f"Other users of this machine may read or write {what}: {listed(paths)}. Every command closes what its "
            "user owns, so these belong to somebody else or cannot be changed.",
            f"As their owner: `chmod -R go= {home.root}`; or run every command as the same user.",
        )
    mode = home.root.stat().st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield Finding(
            f"Every user of this machine can write into {home.root}, and so put another store in the place of one.",
            f"`chmod o-w {home.root}`; who delivers needs to write into {home.inbox} alone.",
        )


def _look_at_engine(home: Home, _: datetime) -> Iterator[Finding]:
    try:
        require_engine(home.engine_choice)
    except DependencyError as error:
        yield Finding(str(error), 'Until then `engine = "duckdb"` goes on with this home, on this machine.')


def _store_check(name: str) -> Check:
    mends = {"rollups": _mend_rollup_files, "metrics": _mend_metric_files, "features": _mend_feature_files}
    mend = mends.get(name, _sweep)
    return Check(f"store {name}", _looker(name), _on(name, mend))


def _looker(name: str) -> Callable[[Home, datetime], Iterator[Finding]]:
    def look(home: Home, _: datetime) -> Iterator[Finding]:
        store = home.stores.named(name)
        if store.is_lost():
            yield Finding(f"The manifest of {store.root} is gone: nobody can tell which files count.", store.remedy())
            return
        damaged = damaged_files(store)
        if damaged:
            what = counted(len(damaged), "listed file is|listed files are")
            paths = listed(path.relative_to(home.root) for path in damaged)
            yield Finding(f"{what} missing or damaged: {paths}.", store.damage_remedy)
        # Files that were replaced lie there until the next writer too: that is how every night ends.
        leavings = [] if is_locked(store.root) else store.drafts()
        if leavings:
            what = counted(len(leavings), "folder|folders")
            paths = listed(path.relative_to(home.root) for path in leavings)
            yield Finding(
                f"A run that was killed has left {what} behind: {paths}. Nobody reads them.",
                "The next run that writes there removes them; `bellwether doctor --repair` does it now.",
                is_remark=True,
            )

    return look


def _on(name: str, mend: Callable[[Home, ManifestStore, datetime], object]) -> Callable[[Home, datetime], object]:
    def mend_store(home: Home, now: datetime) -> None:
        store = home.stores.named(name)
        if not store.is_lost():  # that only a person can mend
            mend(home, store, now)

    return mend_store


def _sweep(_: Home, store: ManifestStore, __: datetime) -> None:
    with store.writer():
        pass  # a writer begins by removing what no manifest lists


def _mend_rollup_files(home: Home, store: ManifestStore, _: datetime) -> None:
    _remove(damaged_files(store))
    roll_up(home)


def _mend_metric_files(home: Home, store: ManifestStore, _: datetime) -> None:
    _remove(damaged_files(store))
    count_metrics(home)


def _mend_feature_files(home: Home, store: ManifestStore, now: datetime) -> None:
    damaged = damaged_files(store)
    _remove(damaged)
    roll_up(home)
    build(home, sorted({as_cutoff(path.parent.name.removeprefix("cutoff=")) for path in damaged}), now=now)


def _remove(paths: list[Path]) -> None:
    for path in paths:
        path.unlink(missing_ok=True)


def _look_at_locks(home: Home, _: datetime) -> Iterator[Finding]:
    locked = [name for name in _LOCKED if is_locked(home.root / name)]
    if locked:
        yield Finding(
            f"A process is writing to {listed(locked)}. The system frees a lock when its process ends, so it runs "
            "still.",
            "Wait for it to end, then look again; `fuser` on the store's .lock names the process.",
        )


def _look_at_rollups(home: Home, _: datetime) -> Iterator[Finding]:
    days = [day.removeprefix("day=") for day in outdated_days(home)]
    if days:
        what = counted(len(days), "event day is not counted as it is|event days are not counted as they are")
        yield Finding(
            f"{what} now: {listed(days)}. Features lack what came in since.",
            "`bellwether nightly`, or `bellwether features build`, counts them.",
            is_remark=True,
        )


def _look_at_features(home: Home, now: datetime) -> Iterator[Finding]:
    outdated = outdated_cutoffs(home)
    if is_of_earlier_version(home):
        yield Finding(
            "This home was counted and built by an earlier version: nothing can be trained or scored from it.",
            "Run `bellwether features build`.",
        )
    elif outdated:
        what = counted(len(outdated), "cutoff was|cutoffs were")
        yield Finding(
            f"{what} built under other settings or definitions: {listed(c.date() for c in reversed(outdated))}. "
            "Training and scoring leave them out.",
            "Run `bellwether features build` to build them again.",
            is_remark=True,
        )
    built = built_cutoffs(home)
    due = _newest_due(home, now)
    if built and due is not None and built[-1] < due:
        yield Finding(
            f"The newest cutoff built is {built[-1]:%Y-%m-%d}, and there are events for {due:%Y-%m-%d}.",
            "Run `bellwether nightly`.",
            is_remark=True,
        )


def _newest_due(home: Home, now: datetime) -> datetime | None:
    """The newest cutoff that ends a day of events and can be built by now."""
    days = [as_cutoff(day.removeprefix("day=")) + DAY for day in home.stores.events.manifest().partitions]
    newest = newest_cutoff(now, grace_hours=home.settings.grace_hours)
    return max((day for day in days if day <= newest), default=None)


def _build_again(home: Home, now: datetime) -> None:
    roll_up(home)
    outdated = outdated_cutoffs(home)
    if outdated:
        build(home, outdated, now=now)


FILE_CHECKS: tuple[Check, ...] = (
    Check("secret key", _look_at_key),
    Check("privacy", _look_at_privacy, lambda home, _: keep_private(home)),
    Check("engine", _look_at_engine),
    Check("locks", _look_at_locks),
    *(_store_check(name) for name in _STORES),
)
"""In the order in which a repair helps the next."""

DERIVED_CHECKS: tuple[Check, ...] = (
    Check("rollups", _look_at_rollups, lambda home, _: roll_up(home)),
    Check("features", _look_at_features, _build_again),
)
"""Of whole stores: whether they were made from what there is now."""
