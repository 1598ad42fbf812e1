"""Checks of the feature store: its registry, and whether the online rows are those that were built."""

import contextlib
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from features.definitions.catalog import cutoff_day_field
from features.doctor.clock import mended_after, remedy
from features.examination import Check, Finding
from features.exceptions import BellwetherError, listed
from features.feature_store.sqlite_files import (
    accounts_stamped,
    forget_newer,
    is_damaged,
    is_registry_lost,
    lacks_journal,
    newest_stamp,
    protect_online,
    read_ahead_journal,
    remove_database,
    restore_snapshot,
    unprotected,
)
from features.feature_store.store import Store, online_table, open_store
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs
from features.offline.files import accounts_built
from features.storage.lock import exclusive_lock

__all__ = ["STORE_CHECKS"]


_AGAIN = "`bellwether doctor --repair`, or `bellwether features materialize`, fills it again."


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
        yield Finding(f"The feature registry {registry} is empty, though features were applied before.", remedy)


def _mend_registry(home: Home, _: datetime) -> None:
    with exclusive_lock(home.feast):
        restore_snapshot(_registry(home))
        read_ahead_journal(_registry(home))


def _look_at_online(home: Home, _: datetime) -> Iterator[Finding]:
    if _is_there(home) and is_damaged(_online(home)):
        yield Finding(
            f"The online store {_online(home)} is damaged: the service cannot answer, or not for every account.",
            "`bellwether doctor --repair` makes it anew from the feature files; restart the service after it.",
        )


def _mend_online(home: Home, now: datetime) -> None:
    store = open_store(home)
    registered = [state.group for state in store.views() if state.is_registered]
    with exclusive_lock(home.feast):
        remove_database(_online(home))
    store.renew(registered)
    _fill(home, store, now)


def _look_at_views(home: Home, _: datetime) -> Iterator[Finding]:
    if not _is_there(home):
        if built_cutoffs(home):
            yield Finding(
                "Features are built and there is no online store: the service cannot answer.",
                "Run `bellwether features apply`, then `bellwether features materialize`.",
            )
        return
    states = open_store(home).views()
    if unknown := [state.group for state in states if not state.is_registered]:
        yield Finding(f"The registry does not know {listed(unknown)}.", "Run `bellwether features apply`.")
    if filling := [state.group for state in states if state.is_filling]:
        yield Finding(
            f"{listed(filling)} is being filled, or a run that filled it was killed: other Feast clients refuse it.",
            _AGAIN,
        )


def _look_at_guards(home: Home, _: datetime) -> Iterator[Finding]:
    if not _is_there(home):
        return
    for path in (_registry(home), _online(home)):
        if lacks_journal(path):
            yield Finding(f"{path} has no write-ahead journal: readers fail while a writer writes.", _AGAIN)
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


def _mend_future(home: Home, now: datetime) -> str:
    told = mended_after(home, now)
    store = open_store(home)
    store.renew([state.group for state in store.views() if state.until is not None and state.until > now])
    with exclusive_lock(home.feast):
        forget_newer(_online(home), _tables(home), now)
    _fill(home, store, now)
    return told


def _look_at_counts(home: Home, _: datetime) -> Iterator[Finding]:
    if not _is_there(home):
        return
    cutoff = open_store(home).materialized_cutoff()
    if cutoff is None:
        if built_cutoffs(home):
            yield Finding("Not every view is filled: answers are stale or missing.", _AGAIN)
        return
    # A cutoff that is gone or damaged offline says nothing about the online rows.
    with contextlib.suppress(BellwetherError, OSError, ValueError):
        catalog = home.catalog
        offline = len(accounts_built(home.stores.features, cutoff, catalog))
        for group in catalog.groups:
            online = accounts_stamped(
                _online(home), online_table(home, group), field=cutoff_day_field(group), cutoff=cutoff
            )
            if online != offline:
                yield Finding(
                    f"View {group} has {online:,} accounts of {cutoff:%Y-%m-%d} online and {offline:,} offline.", _AGAIN
                )


def _fill_again(home: Home, now: datetime) -> None:
    store = open_store(home)
    store.apply()
    _fill(home, store, now)


def _fill(home: Home, store: Store, now: datetime) -> None:
    built = [cutoff for cutoff in built_cutoffs(home) if cutoff <= now]
    if built:
        store.materialize(max(built))


def _is_there(home: Home) -> bool:
    return _registry(home).exists() and _online(home).exists()


STORE_CHECKS: tuple[Check, ...] = (
    Check("feature registry", _look_at_registry, _mend_registry),
    Check("online store", _look_at_online, _mend_online),
    Check("online guards", _look_at_guards, _mend_guards),
    Check("online rows of the future", _look_at_future, _mend_future),
    Check("feature views", _look_at_views, _fill_again),
    Check("online accounts", _look_at_counts, _fill_again),
)
"""In the order in which a repair helps the next."""
