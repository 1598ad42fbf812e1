"""Rebuilds feature rows from what was known at their cutoffs, and says which stored ones hold anything else."""

import random
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path

import pyarrow as pa

from features.audit.differences import differing
from features.audit.drawn import Rows, draw, historical, rows_of
from features.audit.findings import ROW, PairDifference, StoreAudit
from features.audit.online import audit_online
from features.audit.past import Past, copy_of_now
from features.definitions.feature import FeatureSpec
from features.exceptions import InputError
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs, left_out
from features.offline.files import JOIN_KEY
from features.progress import Progress, silent
from features.storage.damage import damage_named
from features.storage.lock import exclusive_lock

__all__ = ["audit_store"]

_THERE, _MISSING = "there", "missing"


def audit_store(home: Home, *, sample: int, seed: int, progress: Progress | None = None) -> StoreAudit:
    """Compare stored feature rows of random accounts and cutoffs with the same rows rebuilt from their past alone.

    The pairs are spread over at most five cutoffs, or as many as hold the sample: each cutoff is built twice, and the
    log is counted twice. Which accounts have a row, and what another future changes, is compared for all accounts.
    The home may be written to as soon as its rows and links to its raw files are taken, which is a matter of seconds.

    Raises
    ------
    InputError
        When the sample is empty, or no features are built.
    LockHeldError
        When another process writes to the home, or audits it.
    DependencyError
        When Feast's registry is away.
    WorkFailedError
        When files are damaged or missing, or Feast has no row of a pair.
    """
    if sample < 1:
        raise InputError(f"A sample has at least one (account, cutoff) pair, not {sample}. Raise --sample.")
    notes = left_out(home)
    if not built_cutoffs(home):
        why = notes or ["Run `bellwether features build` first."]
        raise InputError(" ".join(["No features are built, so there is nothing to audit.", *why]))
    from features.feature_store.store import open_store

    features = home.catalog.features
    report, dice = progress or silent, random.Random(seed)  # noqa: S311 - a sample, no secret
    with _damage_named(home), _scratch(home.audit) as scratch:
        with _stores_locked(home):
            report("read what is stored", 0, 3)
            stored, store = draw(home, sample, dice), open_store(home)
            given = historical(store, stored, home.catalog)
            report("read what is stored", 1, 3)
            online = audit_online(home, store, sample=sample, dice=dice)
            report("read what is stored", 2, 3)
            now = copy_of_now(home, scratch / "now")
            report("read what is stored", 3, 3)
        past = Past(now, scratch / "past", seed=seed)
        alone, exchanged_rows, moving = {}, {}, Counter[str]()
        rebuilt: dict[datetime, Rows] = {}
        exchanged: dict[datetime, Rows] = {}
        for done, cutoff in enumerate(stored, start=1):
            past.truncate(cutoff)
            alone[cutoff] = past.rows(cutoff)
            report("rebuild from the past alone", done, len(stored))
        for done, cutoff in enumerate(reversed(stored), start=1):
            exchanged_rows[cutoff] = past.exchange_future(cutoff)
            rows = past.rows(cutoff)
            moving.update(_moving(alone[cutoff], rows, features))
            exchanged[cutoff] = rows_of(rows, stored[cutoff].accounts)
            rebuilt[cutoff] = rows_of(alone.pop(cutoff), stored[cutoff].accounts)
            report("rebuild with another future", done, len(stored))
    return StoreAudit(
        seed=seed,
        features=len(features),
        accounts={cutoff: len(rows.accounts) for cutoff, rows in stored.items()},
        exchanged_rows={cutoff: exchanged_rows[cutoff] for cutoff in stored},
        moving=dict(moving),
        differences=tuple(
            difference
            for cutoff in stored
            for difference in _compared(
                cutoff, stored[cutoff], rebuilt[cutoff], exchanged[cutoff], given[cutoff], features
            )
        ),
        online=online,
        notes=tuple(notes),
    )


# ---- side by side --------------------------------------------------------------------------------


def _compared(
    cutoff: datetime,
    stored: Rows,
    rebuilt: Rows,
    exchanged: Rows,
    given: pa.Table,
    features: Sequence[FeatureSpec],
) -> Iterator[PairDifference]:
    everywhere = stored.everybody & rebuilt.everybody & exchanged.everybody
    for account in sorted((stored.everybody | rebuilt.everybody | exchanged.everybody) - everywhere):
        here = [_THERE if account in rows.everybody else _MISSING for rows in (stored, rebuilt, exchanged)]
        asked = _THERE if account in stored.accounts else None
        yield PairDifference(account, cutoff, ROW, here[0], here[1], here[2], asked)
    common = pa.array([account in everywhere for account in stored.accounts], pa.bool_())
    alone, moved = (rows_of(rows.drawn, list(everywhere)).drawn for rows in (rebuilt, exchanged))
    versions = [stored.drawn.filter(common), alone, moved, given.filter(common)]
    accounts = versions[0][JOIN_KEY].to_pylist()
    for place, feature in differing(versions, features):
        a, b, c, d = (
            version[feature][place].as_py() if feature in version.column_names else None for version in versions
        )
        yield PairDifference(accounts[place], cutoff, feature, a, b, c, d)


def _moving(alone: pa.Table, exchanged: pa.Table, features: Sequence[FeatureSpec]) -> Iterator[str]:
    """The feature of every value that another future changes, of any account."""
    accounts = [frozenset(rows[JOIN_KEY].to_pylist()) for rows in (alone, exchanged)]
    yield from (ROW for _ in accounts[0] ^ accounts[1])
    common = list(accounts[0] & accounts[1])
    for _, feature in differing([rows_of(rows, common).drawn for rows in (alone, exchanged)], features):
        yield feature


# ---- the home ------------------------------------------------------------------------------------


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """A folder for one audit; what a killed one left there is removed."""
    with exclusive_lock(folder):
        scratch = folder / "scratch"
        shutil.rmtree(scratch, ignore_errors=True)
        try:
            yield scratch
        finally:
            shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def _stores_locked(home: Home) -> Iterator[None]:
    with ExitStack() as locks:
        stores = home.stores
        for folder in (
            *(store.root for store in (stores.events, stores.raw, stores.tables, stores.features)),
            home.feast,
        ):
            if folder.is_dir():
                locks.enter_context(exclusive_lock(folder))
        yield


@contextmanager
def _damage_named(home: Home) -> Iterator[None]:
    with ExitStack() as stores:
        for store in (home.stores.events, home.stores.raw, home.stores.tables):
            stores.enter_context(damage_named(store))
        stores.enter_context(damage_named(home.stores.features))
        yield
