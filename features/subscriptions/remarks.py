"""Says which accounts have several subscriptions that their rows do not tell apart, and what was made of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from features.exceptions import counted, listed
from features.schema import SubscriptionKind
from features.subscriptions.corrections import corrected
from features.subscriptions.told_apart import in_order, told_apart

__all__ = ["Remark", "id_column", "remarks_on"]

_NAMES = ("subscription", "subscription_id", "subscriptionid", "sub_id", "subid", "sub", "contract_id", "contract")


@dataclass(frozen=True)
class Remark:
    """What was made of the rows of some accounts, and what to do where it is wrong."""

    what: str
    remedy: str


def remarks_on(
    subscriptions: pd.DataFrame, *, reactivation_days: int, other_columns: Sequence[str] = ()
) -> list[Remark]:
    """What to say of subscription events without an id; ``other_columns`` are those of the files that nothing reads."""
    rows = in_order(subscriptions)
    owner, accounts = pd.factorize(rows["account_id"])
    apart = told_apart(rows.assign(owner=owner.astype(np.int64)), reactivation_days=reactivation_days)
    name = id_column(other_columns) if rows["subscription_id"].isna().all() else None
    mapping = "" if name is None else f': [sources.subscriptions.columns] subscription_id = {{ from = "{name}" }}'
    remedy = f"Give the rows a subscription_id{mapping}, or one row per account and change."
    remarks = []
    if name is not None and not apart.with_second and not apart.kept_alive:
        what = f'Nothing reads the column "{name}"; all rows of an account are taken for one subscription.'
        remarks.append(Remark(what, f"If it tells several apart, map it{mapping}."))
    if moved := _with_another_plan(rows.assign(owner=owner.astype(np.int64))):
        have = counted(len(moved), "account has|accounts have")
        remarks.append(
            Remark(
                f"{have} a start of which another plan became known later: {listed(moved)}. It counts as a correction: "
                "from then on the later plan takes the place of the earlier.",
                f"Where both run, deliver them in one file. {remedy}",
            )
        )
    if unbegun := _with_unbegun(rows):
        have = counted(len(unbegun), "account has|accounts have")
        remarks.append(
            Remark(
                f"{have} a cancellation of a subscription_id that nothing began, beside others: {listed(unbegun)}. "
                "It ends nothing.",
                "Write each id alike in all rows: upper and lower case tell ids apart.",
            )
        )
    if apart.with_second:
        ids = [accounts[number] for number in apart.with_second]
        have = counted(len(ids), "account has|accounts have")
        remarks.append(
            Remark(
                f"{have} a start of another plan while one runs: {listed(ids)}. It counts as a second "
                "subscription: the MRR is their sum, and each ends by itself.",
                remedy,
            )
        )
    if apart.kept_alive:
        ids = [accounts[number] for number in apart.kept_alive]
        remarks.append(
            Remark(
                f"A cancellation ended one of two subscriptions, or what was before a plan change, and "
                f"{counted(len(ids), 'account lives|accounts live')} on: {listed(ids)}.",
                f"If they left, a second cancellation says so. {remedy}",
            )
        )
    return remarks


def _with_another_plan(rows: pd.DataFrame) -> list[str]:
    """Accounts with a start without an id whose plan a later known one of the same moment took the place of."""
    key = ["account_id", "occurred_at", "plan"]
    starts = rows[(rows["kind"] == SubscriptionKind.START) & rows["subscription_id"].isna()]
    left = starts[key].merge(corrected(starts)[key].drop_duplicates(), on=key, how="left", indicator="stands")
    return sorted(left.loc[left["stands"] == "left_only", "account_id"].unique())


def _with_unbegun(rows: pd.DataFrame) -> list[str]:
    """Accounts, all of whose rows have an id, with a cancelled subscription of which there is no other row."""
    key = ["account_id", "subscription_id"]
    has_id = rows["subscription_id"].notna()
    named = rows[has_id & ~rows["account_id"].isin(rows.loc[~has_id, "account_id"])]
    is_ending = named["kind"].isin([SubscriptionKind.CANCEL, SubscriptionKind.CANCEL_NOTICE])
    begun = named.loc[~is_ending, key].drop_duplicates()
    ended = named.loc[named["kind"] == SubscriptionKind.CANCEL, key].drop_duplicates()
    ended = ended.merge(begun, on=key, how="left", indicator="found")
    unbegun = ended.loc[(ended["found"] == "left_only") & ended["account_id"].isin(begun["account_id"]), "account_id"]
    return sorted(unbegun.unique())


def id_column(columns: Sequence[str]) -> str | None:
    """The column that by its name tells subscriptions apart.

    >>> id_column(["note", "Sub-Id"])
    'Sub-Id'
    """
    known = {name.replace("_", "") for name in _NAMES}
    return next((name for name in columns if "".join(filter(str.isalnum, name)).lower() in known), None)
