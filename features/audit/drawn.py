"""Draws random (account, cutoff) pairs: their stored rows, and the rows that training is given for them."""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from features.definitions.catalog import Catalog
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs
from features.offline.files import JOIN_KEY, TIMESTAMP, rows_at

if TYPE_CHECKING:
    from features.feature_store.store import Store

__all__ = ["Rows", "described_services", "draw", "historical", "rows_of"]

_FEW_CUTOFFS, _PAIRS_PER_CUTOFF = 5, 25


@dataclass(frozen=True)
class Rows:
    """The rows of the drawn accounts at a cutoff, ordered by account, and who else has one."""

    drawn: pa.Table
    everybody: frozenset[str]

    @property
    def accounts(self) -> list[str]:
        """The drawn accounts that have a row, in the order of the rows."""
        names: list[str] = self.drawn[JOIN_KEY].to_pylist()
        return names


def draw(home: Home, sample: int, dice: random.Random) -> dict[datetime, Rows]:
    """Stored rows of random accounts at random cutoffs, ascending; fewer than ``sample`` where there are not so many.

    Few cutoffs with many accounts each, since it is a cutoff that costs.
    """
    built = built_cutoffs(home)
    few = min(_FEW_CUTOFFS, math.ceil(sample / _PAIRS_PER_CUTOFF))
    rows_by_cutoff: dict[datetime, pa.Table] = {}
    for cutoff in dice.sample(built, len(built)):
        if len(rows_by_cutoff) >= few and sum(rows.num_rows for rows in rows_by_cutoff.values()) >= sample:
            break
        rows_by_cutoff[cutoff] = rows_at(home.stores.features, cutoff, home.catalog)
    drawn: dict[datetime, Rows] = {}
    left = sample
    # The smallest cutoff first: what it cannot give falls to the others.
    for place, cutoff in enumerate(sorted(rows_by_cutoff, key=lambda moment: rows_by_cutoff[moment].num_rows)):
        rows = rows_by_cutoff[cutoff]
        size = min(rows.num_rows, math.ceil(left / (len(rows_by_cutoff) - place)))
        left -= size
        names = rows[JOIN_KEY].to_pylist()
        drawn[cutoff] = rows_of(rows, dice.sample(names, size))
    return {cutoff: drawn[cutoff] for cutoff in sorted(drawn)}


def rows_of(rows: pa.Table, accounts: Sequence[str]) -> Rows:
    """Of a whole cutoff, the rows of these accounts."""
    is_asked = pc.is_in(rows[JOIN_KEY], value_set=pa.array(accounts, pa.string()))
    return Rows(rows.filter(is_asked), frozenset(rows[JOIN_KEY].to_pylist()))


def described_services(catalog: Catalog) -> list[str]:
    """The feature services that hold no other features than those the catalogue describes today."""
    older = {view for view in catalog.views if view not in catalog.described_groups}
    return [service for service in catalog.services if catalog.custom.get(service) not in older]


def historical(store: "Store", stored: Mapping[datetime, Rows], catalog: Catalog) -> dict[datetime, pa.Table]:
    """The same pairs in the same order, as training reads them."""
    pairs = [(account, cutoff) for cutoff, rows in stored.items() for account in rows.accounts]
    entities = pd.DataFrame(pairs, columns=[JOIN_KEY, TIMESTAMP])
    columns: dict[str, pa.Array] = {}
    for service in described_services(catalog):
        if not set(catalog.services[service]) <= columns.keys():
            frame = store.historical(entities, service=service)
            # Numbers are doubles there, integers among them.
            columns |= {
                feature.name: pa.array(
                    frame[feature.name], pa.string() if feature.kind == "category" else None, from_pandas=True
                )
                for feature in catalog.features_of_service(service)
            }
    table, start = pa.table(columns), 0
    given: dict[datetime, pa.Table] = {}
    for cutoff, rows in stored.items():
        given[cutoff] = table.slice(start, rows.drawn.num_rows)
        start += rows.drawn.num_rows
    return given
