"""Checks of the feature store: its registry, and whether the online rows are those that were built."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from features.doctor.clock import remedy, require_clock
from features.doctor.online_rows import AGAIN, counts_told, values_told
from features.examination import Check, Finding
from features.exceptions import counted, listed
from features.feature_store.copied import copied, forget_copied
from features.feature_store.opened import online_table
from features.feature_store.sqlite_files import (
    forget_newer,
    is_damaged,
    is_emptied,
    is_registry_lost,
    lacks_journal,
    newest_stamp,
    protect_online,
    read_ahead_journal,
    remove_database,
    restore_snapshot,
    unprotected,
)
from features.feature_store.store import Store, open_store
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs
from features.storage.lock import exclusive_lock

__all__ = ["STORE_CHECKS"]

_ANEW = "`bellwether doctor --repair` makes it anew from the feature files; restart the service after it."


def _registry(home: Home) -> Path:
    return home.feast_registry


def _online(home: Home) -> Path:
    return home.feast_online


def _tables(home: Home) -> list[str]:
    return [online_table(home, group) for group in home.catalog.groups]


def _look_at_registry(home: Home, _: datetime) -> Iterator[Finding]:
    registry = _registry(home)
    remedy = "`bellwether doctor --repair` puts back the snapshot made at the last apply."
    if registry.exists() and is_damaged(registry):
        yield Finding(f"The feature registry {registry} is damaged: nothing can be read through it.", remedy)
    elif is_registry_lost(registry, _online(home)):
        what = "empty" if registry.exists() else "missing"
        yield Finding(f"The feature registry {registry} is {what}, though features were applied before.", remedy)


def _mend_registry(home: Home, _: datetime) -> None:
    with exclusive_lock(home.feast):
        restore_snapshot(_registry(home))
        read_ahead_journal(_registry(home))


def _look_at_online(home: Home, _: datetime) -> Iterator[Finding]:
    online = _online(home)
    if not online.exists():
        if _registry(home).exists():
            yield Finding(f"The online store {online} is missing: the service cannot answer.", _ANEW)
    elif is_damaged(online):
        yield Finding(
            f"The online store {online} is damaged: the service cannot answer, or not for every account.", _ANEW
        )
    elif (copy := copied(home)) is not None and is_emptied(online, _tables(home)):
        yield Finding(
            f"The online store {online} is empty, and {copy.accounts:,} accounts of {copy.cutoff[:10]} were copied "
            "into it: the service knows nobody.",
            _ANEW,
        )


def _mend_online(home: Home, now: datetime) -> None:
    store = open_store(home)
    _online(home).touch(mode=0o600)  # what the registry says can be read then
    registered = [state.group for state in store.views() if state.is_registered]
    with exclusive_lock(home.feast):
        remove_database(_online(home))
    store.renew(registered)
    _fill(home, store, now)


def _look_at_views(home: Home, _: datetime) -> Iterator[Finding]:
    if not _is_there(home):
        if built_cutoffs(home) and not _registry(home).exists():
            yield Finding(
                f"Features are built and there is no feature store in {home.feast}: the service cannot answer.",
                "Run `bellwether features apply`, then `bellwether features materialize`.",
                is_remark=not _is_trained(home),
            )
        return
    states, filled = open_store(home).views(), _filled(home)
    if unknown := [state.group for state in states if not state.is_registered]:
        yield Finding(
            f"The registry {_registry(home)} does not know {listed(unknown)}: no model can read it.",
            "Run `bellwether features apply`, then `bellwether features materialize`.",
            is_remark=filled.isdisjoint(unknown),
        )
    if filling := [state.group for state in states if state.is_filling]:
        yield Finding(
            f"{listed(filling)} is being filled, or a run that filled it was killed: other Feast clients refuse it.",
            AGAIN,
        )
    if unfilled := [state.group for state in states if state.is_registered and state.until is None]:
        yield Finding(
            f"{counted(len(unfilled), 'view is|views are')} not filled: {listed(unfilled)}. Answers are stale or "
            "missing until then.",
            AGAIN,
            is_remark=filled.isdisjoint(unfilled),
        )


def _look_at_guards(home: Home, _: datetime) -> Iterator[Finding]:
    if not _is_there(home):
        return
    for path in (_registry(home), _online(home)):
        if path.stat().st_size and lacks_journal(path):  # of an empty file more is to say than that
            yield Finding(
                f"{path} has no write-ahead journal: readers fail while a writer writes.",
                "`bellwether doctor --repair` sets it.",
            )
    open_tables = unprotected(_online(home), _tables(home))
    if open_tables:
        yield Finding(
            f"{listed(open_tables)}: nothing keeps an older row from replacing a newer one online.",
            "`bellwether doctor --repair` sets the guards again.",
        )


def _mend_guards(home: Home, _: datetime) -> None:
    with exclusive_lock(home.feast):
        read_ahead_journal(_registry(home))
        protect_online(_online(home), _tables(home))


def _look_at_future(home: Home, now: datetime) -> Iterator[Finding]:
    if not _is_there(home):
        return
    newest = newest_stamp(_online(home), _tables(home))
    if newest is not None and newest > now:
        yield Finding(
            f"Online rows are of {newest:%Y-%m-%d}, and it is {now:%Y-%m-%d %H:%M} UTC: they would keep every true row "
            "out until then.",
            remedy(home, now),
        )
    ahead = [state.group for state in open_store(home).views() if state.until is not None and state.until > now]
    if ahead:
        yield Finding(
            f"The registry says of {listed(ahead)} that it is filled to a time that has not come.", remedy(home, now)
        )


def _mend_future(home: Home, now: datetime) -> None:
    require_clock(home, now)
    store = open_store(home)
    store.renew([state.group for state in store.views() if state.until is not None and state.until > now])
    with exclusive_lock(home.feast):
        forget_newer(_online(home), _tables(home), now)
        forget_copied(home)
    _fill(home, store, now)


def _look_at_rows(home: Home, _: datetime) -> Iterator[Finding]:
    if not _is_there(home) or (copied(home) is not None and is_emptied(_online(home), _tables(home))):
        return  # the checks above say so
    cutoff = open_store(home).materialized_cutoff()
    if cutoff is not None:
        yield from (*counts_told(home, cutoff), *values_told(home, cutoff))


def _filled(home: Home) -> set[str]:
    """The views that were filled before."""
    copy = copied(home)
    return set() if copy is None else set(copy.files)


def _fill_again(home: Home, now: datetime) -> None:
    store = open_store(home)
    store.apply()
    _fill(home, store, now)


def _fill(home: Home, store: Store, now: datetime) -> None:
    built = [cutoff for cutoff in built_cutoffs(home) if cutoff <= now]
    if built:
        store.materialize(max(built))


def _is_trained(home: Home) -> bool:
    """Whether a model was ever registered, which nobody does without a feature store."""
    return home.bundles.is_dir() and any(home.bundles.iterdir())


def _is_there(home: Home) -> bool:
    return _registry(home).exists() and _online(home).exists()


STORE_CHECKS: tuple[Check, ...] = (
    Check("feature registry", _look_at_registry, _mend_registry),
    Check("online store", _look_at_online, _mend_online),
    Check("online guards", _look_at_guards, _mend_guards),
    Check("online rows of the future", _look_at_future, _mend_future),
    Check("feature views", _look_at_views, _fill_again),
    Check("online rows", _look_at_rows, _fill_again),
)
"""In the order in which a repair helps the next."""
