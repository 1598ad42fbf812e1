"""Names the accounts of external tables that are in no raw table: their rows become no feature."""

from collections.abc import Iterator
from datetime import date, datetime

import pyarrow.parquet as pq

from features.definitions.declared import ExternalTable
from features.exceptions import listed
from features.external.rows import table_files, table_key
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs
from features.offline.files import JOIN_KEY, accounts_built
from features.storage.damage import damage_named

__all__ = ["strange_accounts"]


def strange_accounts(home: Home) -> list[str]:
    """A sentence about each table of the settings with accounts that have no features at the newest cutoff built.

    Only rows this cutoff may see are looked at.

    Raises
    ------
    WorkFailedError
        When a file of the features or of a table is damaged or missing.
    """
    built = built_cutoffs(home) if home.settings.tables else []
    if not built:
        return []
    store, features = home.stores.tables, home.stores.features
    with (
        damage_named(features),
        damage_named(store),
    ):
        ours = set(accounts_built(features, built[-1], home.catalog))
        return [
            sentence
            for name, table in home.settings.tables.items()
            for sentence in _sentences(home, name, table, built[-1], ours)
        ]


def _sentences(home: Home, name: str, table: ExternalTable, cutoff: datetime, ours: set[str]) -> Iterator[str]:
    store = home.stores.tables
    files = table_files(store, store.manifest(), table_key(table), first=date.min, last=cutoff.date())
    columns = [pq.read_table(file, columns=[JOIN_KEY], partitioning=None)[JOIN_KEY].unique() for file in files]
    theirs = {account for column in columns for account in column.to_pylist()}
    strange = sorted(theirs - ours)
    if not strange:
        return
    if len(strange) == len(theirs):
        so = "so its features are null everywhere"
        what = f"its only account is not known to us on {cutoff.date()}, {so}"
        if len(theirs) > 1:
            what = f"none of its {len(theirs):,} accounts is known to us on {cutoff.date()}, {so}"
    else:
        are = "is" if len(strange) == 1 else "are"
        what = f"{len(strange):,} of its {len(theirs):,} accounts {are} not known to us on {cutoff.date()}"
    names = listed(map(repr, strange))  # quoted, for blanks can be the reason
    yield f"Table {name}: {what}: {names}. Compare its account_id with yours: capitals, blanks, another key."
