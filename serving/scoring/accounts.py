"""What is known about accounts beside their features: whether a target applies, name, owner, segment."""

from collections.abc import Mapping
from datetime import datetime
from typing import Literal, NamedTuple

import pandas as pd
import pyarrow.parquet as pq

from features.home.home import Home
from features.home.raw_tables import read_records
from features.schema import RAW_TABLES
from features.windows import known_before
from training.labels.eligibility import status_at
from training.labels.targets import target

__all__ = ["Attributes", "applicability", "attributes", "built_accounts", "records_version"]


class Attributes(NamedTuple):
    """Who an account is, as known at a cutoff."""

    name: str | None = None
    owner: str | None = None
    segment: str | None = None


def applicability(home: Home, target_name: str, cutoff: datetime) -> Mapping[str, str]:
    """Account to ``ok`` or the reason why the target does not apply, as known at the cutoff.

    An account that is not among them has no subscription (:func:`training.labels.eligibility.status_at`);
    a target whose population is made from calls names nobody here.
    """
    asked = target(target_name, home)
    if asked.kind == "inactivity":
        return {}
    status = status_at(asked, _records(home, "subscriptions"), cutoff, home.settings)
    return {str(account): str(value) for account, value in status.items()}


def attributes(home: Home, cutoff: datetime) -> Mapping[str, Attributes]:
    """Account to its newest name, owner and segment known at the cutoff."""
    records = _records(home, "accounts")
    known = records[records["known_at"] < known_before(cutoff, grace_hours=home.settings.grace_hours)]
    newest = known.sort_values("known_at", kind="stable").drop_duplicates("account_id", keep="last")
    plain = newest[["account_id", *Attributes._fields]].astype(object)
    rows = plain.where(plain.notna(), None).itertuples(index=False)
    return {account: Attributes(*who) for account, *who in rows}


def records_version(home: Home) -> tuple[int, ...]:
    """Numbers that change when a record table does, or how far one is complete: cheap to ask for."""
    return home.stores.raw.version()


def built_accounts(home: Home, cutoff: datetime) -> list[str]:
    """Accounts that have features at the cutoff, ascending; every group holds the same ones."""
    store = home.stores.features
    files = store.files(f"usage/cutoff={cutoff:%Y-%m-%d}", "usage")
    return sorted(
        account
        for file in files
        for account in pq.read_table(file, columns=["account_id"], partitioning=None)["account_id"].to_pylist()
    )


def _records(home: Home, name: Literal["accounts", "subscriptions"]) -> pd.DataFrame:
    records: pd.DataFrame = read_records(home, RAW_TABLES[name]).to_pandas()
    return records
