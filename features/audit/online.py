"""Whether the online store serves what the feature files hold of the same cutoff."""

import random
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from features.audit.differences import differing
from features.audit.drawn import described_services
from features.audit.findings import ROW, OnlineAudit, OnlineDifference
from features.definitions.catalog import Catalog
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs
from features.offline.files import ARROW_TYPES, JOIN_KEY, rows_at
from features.windows import cutoff_day, cutoff_of_day

if TYPE_CHECKING:
    from features.feature_store.store import Store

__all__ = ["audit_online"]


def audit_online(home: Home, store: "Store", *, sample: int, dice: random.Random) -> OnlineAudit:
    """Compare at most ``sample`` accounts of the cutoff the online store holds.

    Raises
    ------
    DependencyError
        When the store is away.
    """
    cutoff = store.materialized_cutoff()
    if cutoff is None or cutoff not in built_cutoffs(home):
        return OnlineAudit(cutoff, 0, ())
    catalog = home.catalog
    offline = rows_at(home.stores.features, cutoff, catalog)
    offline = offline.take(sorted(dice.sample(range(offline.num_rows), min(sample, offline.num_rows))))
    return OnlineAudit(cutoff, offline.num_rows, tuple(_differences(store, offline, cutoff, catalog)))


def _differences(store: "Store", offline: pa.Table, cutoff: datetime, catalog: Catalog) -> Iterator[OnlineDifference]:
    accounts = offline[JOIN_KEY].to_pylist()
    columns: dict[str, pa.Array] = {}
    views: dict[str, dict[str, str]] = {}
    for service in described_services(catalog):
        if set(catalog.services[service]) <= columns.keys():
            continue
        rows = store.online(accounts, service=service)
        columns |= {name: pa.array(values, from_pandas=True) for name, values in rows.values.items()}
        for view, days in rows.cutoff_days.items():
            for place in np.flatnonzero(days != cutoff_day(cutoff)):
                views.setdefault(accounts[place], {})[view] = _which(days[place])
    for account, days_by_view in views.items():
        yield OnlineDifference(
            account, ROW, f"{cutoff.date()}", ", ".join(f"{v} {day}" for v, day in days_by_view.items())
        )
    kinds = {feature.name: ARROW_TYPES[feature.kind] for feature in catalog.features}
    online = pa.table({name: values.cast(kinds[name], safe=False) for name, values in columns.items()})
    for row, feature in differing([offline, online], catalog.features):
        if accounts[row] not in views:
            yield OnlineDifference(accounts[row], feature, offline[feature][row].as_py(), online[feature][row].as_py())


def _which(day: float) -> str:
    return "missing" if np.isnan(day) else f"{cutoff_of_day(int(day)).date()}"
