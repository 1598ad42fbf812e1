"""Whether the online store holds the rows that were built: how many, and every value of them."""

import contextlib
from collections.abc import Iterator
from datetime import datetime

import pyarrow as pa

from features.definitions.catalog import cutoff_day_field
from features.examination import Finding
from features.exceptions import BellwetherError, counted, listed
from features.feature_store.copied import Copied, accounts_online, copied
from features.feature_store.keys import entity_keys, stored_values
from features.feature_store.opened import online_table
from features.feature_store.sqlite_files import values_stamped
from features.home.home import Home
from features.offline.files import JOIN_KEY, TIMESTAMP, accounts_built, group_at

__all__ = ["AGAIN", "counts_told", "values_told"]


AGAIN = "`bellwether doctor --repair`, or `bellwether features materialize`, copies the rows again."
_KINDS = {pa.float64(): "float", pa.int64(): "int", pa.string(): "category"}


def counts_told(home: Home, cutoff: datetime) -> Iterator[Finding]:
    """A finding where views hold another number of accounts than were copied into them."""
    copy = _copy_of(home, cutoff)
    expected = _accounts_offline(home, cutoff) if copy is None else copy.accounts
    if expected is None:
        return
    online = {group: accounts_online(home, group, cutoff) for group in home.catalog.groups}
    differing = {group: count for group, count in online.items() if count != expected}
    if differing:
        what = counted(len(differing), "view has|views have")
        yield Finding(
            f"{what} not the {expected:,} accounts of {cutoff:%Y-%m-%d} that were built: "
            f"{listed(f'{group} {count:,}' for group, count in differing.items())}. The service takes the others for "
            f"stale or unknown ({home.feast_online}).",
            AGAIN,
        )


def values_told(home: Home, cutoff: datetime) -> Iterator[Finding]:
    """A finding where online values are not those of the feature files they were copied from, exactly."""
    copy = _copy_of(home, cutoff)
    if copy is not None and not copy.is_of(home, cutoff):
        yield Finding(
            f"{cutoff:%Y-%m-%d} was built again since its rows were copied online: the service answers from the "
            "earlier ones.",
            "`bellwether features materialize` copies them.",
            is_remark=True,
        )
        return
    # A cutoff that is gone or damaged offline says nothing about the online rows.
    offline: dict[str, pa.Table] = {}
    with contextlib.suppress(BellwetherError, OSError, ValueError):
        offline = {group: group_at(home.stores.features, group, cutoff, home.catalog) for group in home.catalog.groups}
    values = [value for group, rows in offline.items() for value in _differing(home, group, rows, cutoff)]
    if values:
        accounts = {account for _, account in values}
        where = f"{counted(len(values), 'value|values')} of {counted(len(accounts), 'account|accounts')}"
        which = listed(f"{feature} of {account}" for feature, account in values)
        yield Finding(
            f"{home.feast_online} differs from what was built of {cutoff:%Y-%m-%d} in {where}: {which}. The service "
            "scores from other values than the batch does.",
            AGAIN,
        )


def _differing(home: Home, group: str, offline: pa.Table, cutoff: datetime) -> Iterator[tuple[str, str]]:
    """Feature and account of each online value of a view that is another than offline, or missing.

    Accounts that have no row of the cutoff at all are told by their number.
    """
    online = values_stamped(home.feast_online, online_table(home, group), cutoff=cutoff)
    accounts = offline[JOIN_KEY].to_pylist()
    rows = online.get(cutoff_day_field(group), {})
    places = [(key, account) for key, account in zip(entity_keys(accounts), accounts, strict=True)]
    for field in offline.schema:
        if field.name in {JOIN_KEY, TIMESTAMP}:
            continue
        values = online.get(field.name, {})
        built = stored_values(offline[field.name].to_pylist(), _KINDS[field.type])
        for (key, account), value in zip(places, built, strict=True):
            if key in rows and values.get(key) != value:
                yield field.name, account


def _copy_of(home: Home, cutoff: datetime) -> Copied | None:
    copy = copied(home)
    return copy if copy is not None and copy.cutoff == cutoff.isoformat() else None


def _accounts_offline(home: Home, cutoff: datetime) -> int | None:
    with contextlib.suppress(BellwetherError, OSError, ValueError):
        return len(accounts_built(home.stores.features, cutoff, home.catalog))
    return None
