"""Rebuilds feature rows from what was known at their cutoffs, and says which stored ones hold anything else."""

import math
import random
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.audit.differences import differing
from features.audit.findings import ROW, PairDifference, StoreAudit
from features.audit.online import audit_online
from features.audit.past import Past, copy_of_now
from features.built import built_cutoffs, feature_store, left_out
from features.catalog import CATALOG, SERVICES, spec
from features.damage import damage_named
from features.exceptions import InputError
from features.feature_files import JOIN_KEY, TIMESTAMP, rows_at
from features.manifest import exclusive_lock
from features.progress import Progress, silent
from features.raw import events_store, raw_store
from features.settings import Settings

if TYPE_CHECKING:
    from features.store import Store

__all__ = ["audit_store"]

_FEW_CUTOFFS, _PAIRS_PER_CUTOFF = 5, 25
_STILL = ("events", "raw", "features", "feast")  # stores nobody may write to while they are read
_THERE, _MISSING = "there", "missing"
_REMEDIES = {
    events_store: "Restore them from a backup, or load all files into a new home.",
    raw_store: "Restore them from a backup, or load all files into a new home.",
    feature_store: "Remove what is left of them and run `bellwether features build` again.",
}


@dataclass(frozen=True)
class _Rows:
    """The rows of the drawn accounts at a cutoff, ordered by account, and who else has one."""

    drawn: pa.Table
    everybody: frozenset[str]

    @property
    def accounts(self) -> list[str]:
        names: list[str] = self.drawn[JOIN_KEY].to_pylist()
        return names


def audit_store(settings: Settings, *, sample: int, seed: int, progress: Progress | None = None) -> StoreAudit:
    """Compare random (account, cutoff) pairs with what they are when made from their past alone.

    The pairs are spread over at most five cutoffs, or as many as hold the sample: each cutoff is built twice, and the
    log is counted twice. Which accounts have a row is compared for all of them. The home may be written to as soon as
    its rows and links to its raw files are taken, which is a matter of seconds.

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
    notes = left_out(settings)
    if not built_cutoffs(settings):
        why = notes or ["Run `bellwether features build` first."]
        raise InputError(" ".join(["No features are built, so there is nothing to audit.", *why]))
    from features.store import open_store

    report, dice = progress or silent, random.Random(seed)  # noqa: S311 - a sample, no secret
    with _damage_named(settings), _scratch(settings.home / "audit") as scratch:
        with _held(settings):
            report("read what is stored", 0, 3)
            stored, store = _drawn(settings, sample, dice), open_store(settings)
            given = _historical(store, stored)
            report("read what is stored", 1, 3)
            online = audit_online(settings, store, sample=sample, dice=dice)
            report("read what is stored", 2, 3)
            now = copy_of_now(settings, scratch / "now")
            report("read what is stored", 3, 3)
        past = Past(now, scratch / "past", seed=seed)
        rebuilt, exchanged, exchanged_rows = {}, {}, {}
        for done, cutoff in enumerate(stored, start=1):
            past.truncate(cutoff)
            rebuilt[cutoff] = _of(past.rows(cutoff), stored[cutoff].accounts)
            report("rebuild from the past alone", done, len(stored))
        for done, cutoff in enumerate(reversed(stored), start=1):
            exchanged_rows[cutoff] = past.exchange_future(cutoff)
            exchanged[cutoff] = _of(past.rows(cutoff), stored[cutoff].accounts)
            report("rebuild with another future", done, len(stored))
    return StoreAudit(
        seed=seed,
        features=len(CATALOG),
        accounts={cutoff: len(rows.accounts) for cutoff, rows in stored.items()},
        exchanged_rows={cutoff: exchanged_rows[cutoff] for cutoff in stored},
        differences=tuple(
            difference
            for cutoff in stored
            for difference in _compared(cutoff, stored[cutoff], rebuilt[cutoff], exchanged[cutoff], given[cutoff])
        ),
        online=online,
        notes=tuple(notes),
    )


# ---- what is stored ------------------------------------------------------------------------------


def _drawn(settings: Settings, sample: int, dice: random.Random) -> dict[datetime, _Rows]:
    """Random accounts at random cutoffs, ascending."""
    built = built_cutoffs(settings)
    few = min(_FEW_CUTOFFS, math.ceil(sample / _PAIRS_PER_CUTOFF))
    found: dict[datetime, pa.Table] = {}
    for cutoff in dice.sample(built, len(built)):
        if len(found) >= few and sum(rows.num_rows for rows in found.values()) >= sample:
            break
        found[cutoff] = rows_at(settings.home / "features", cutoff)
    drawn: dict[datetime, _Rows] = {}
    left = sample
    # The smallest cutoff first: what it cannot give falls to the others.
    for place, cutoff in enumerate(sorted(found, key=lambda one: found[one].num_rows)):
        rows = found[cutoff]
        size = min(rows.num_rows, math.ceil(left / (len(found) - place)))
        left -= size
        names = rows[JOIN_KEY].to_pylist()
        drawn[cutoff] = _of(rows, dice.sample(names, size))
    return {cutoff: drawn[cutoff] for cutoff in sorted(drawn)}


def _of(rows: pa.Table, accounts: Sequence[str]) -> _Rows:
    chosen = pc.is_in(rows[JOIN_KEY], value_set=pa.array(accounts, pa.string()))
    return _Rows(rows.filter(chosen), frozenset(rows[JOIN_KEY].to_pylist()))


def _historical(store: "Store", stored: Mapping[datetime, _Rows]) -> dict[datetime, pa.Table]:
    """The same pairs in the same order, as training reads them."""
    pairs = [(account, cutoff) for cutoff, rows in stored.items() for account in rows.accounts]
    entities = pd.DataFrame(pairs, columns=[JOIN_KEY, TIMESTAMP])
    columns: dict[str, pa.Array] = {}
    for service in SERVICES:
        if not set(SERVICES[service]) <= columns.keys():
            frame = store.historical(entities, service=service)
            # Numbers are doubles there, integers among them.
            columns |= {
                name: pa.array(frame[name], pa.string() if spec(name).kind == "category" else None, from_pandas=True)
                for name in SERVICES[service]
            }
    table, start = pa.table(columns), 0
    given: dict[datetime, pa.Table] = {}
    for cutoff, rows in stored.items():
        given[cutoff] = table.slice(start, rows.drawn.num_rows)
        start += rows.drawn.num_rows
    return given


# ---- side by side --------------------------------------------------------------------------------


def _compared(
    cutoff: datetime, stored: _Rows, rebuilt: _Rows, exchanged: _Rows, given: pa.Table
) -> Iterator[PairDifference]:
    everywhere = stored.everybody & rebuilt.everybody & exchanged.everybody
    for account in sorted((stored.everybody | rebuilt.everybody | exchanged.everybody) - everywhere):
        here = [_THERE if account in rows.everybody else _MISSING for rows in (stored, rebuilt, exchanged)]
        asked = _THERE if account in stored.accounts else None
        yield PairDifference(account, cutoff, ROW, here[0], here[1], here[2], asked)
    common = pa.array([account in everywhere for account in stored.accounts], pa.bool_())
    alone, moved = (_of(rows.drawn, list(everywhere)).drawn for rows in (rebuilt, exchanged))
    versions = [stored.drawn.filter(common), alone, moved, given.filter(common)]
    accounts = versions[0][JOIN_KEY].to_pylist()
    for place, feature in differing(versions, CATALOG):
        a, b, c, d = (one[feature][place].as_py() if feature in one.column_names else None for one in versions)
        yield PairDifference(accounts[place], cutoff, feature, a, b, c, d)


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
def _held(settings: Settings) -> Iterator[None]:
    with ExitStack() as locks:
        for name in _STILL:
            if (settings.home / name).is_dir():
                locks.enter_context(exclusive_lock(settings.home / name))
        yield


@contextmanager
def _damage_named(settings: Settings) -> Iterator[None]:
    with ExitStack() as stores:
        for store, remedy in _REMEDIES.items():
            stores.enter_context(damage_named(store(settings), remedy=remedy))
        yield
