"""Upgrades: when an account came to pay for more than it had at a cutoff."""

from collections.abc import Mapping
from datetime import datetime

import numpy as np
import pandas as pd

from features.schema import SubscriptionKind
from features.subscriptions.states import LAPSE
from features.windows import as_cutoff

__all__ = ["LEAST_INCREASE", "plan_states", "upgrades_after"]


LEAST_INCREASE = 1.1
"""An upgrade within a plan counts from this multiple of the MRR at the cutoff on."""

_CENT = 1e-6  # far below any price, far above what adding doubles loses
_ENDING = (SubscriptionKind.CANCEL, LAPSE)


def plan_states(states: pd.DataFrame, ranks: Mapping[str, int]) -> pd.DataFrame:
    """What each subscription event left an account with while it had a subscription, in order of time.

    Columns ``account_id``, ``occurred_at``, ``mrr``, ``rank`` (of the plan; null without one), ``rank_before``,
    ``is_upgrade`` (the event calls itself one), ``is_return`` (the account had left: winning a customer back, on
    whatever plan, is no upgrade) and ``is_event`` (a cancellation and a term that ran out change what an account has,
    and are no upgrades). A cancellation notice is no state.

    Parameters
    ----------
    states
        :func:`features.subscriptions.states.account_states` with ``account_id``.
    """
    stating = states[states["kind"] != SubscriptionKind.CANCEL_NOTICE]
    moment = [stating["account_id"], stating["occurred_at"]]
    flags = pd.DataFrame(
        {
            "is_upgrade": stating["kind"] == SubscriptionKind.UPGRADE,
            "is_return": stating["is_return"],
            "is_event": ~stating["kind"].isin(_ENDING),
        }
    )
    # What happens at one moment is one event, after which the last state holds.
    flags = flags.groupby(moment).transform("any")
    is_state = ~stating.duplicated(["account_id", "occurred_at"], keep="last") & stating["is_subscribed"]
    rows, flags = stating[is_state], flags[is_state]
    rank = rows["plan"].map(ranks).astype("float64")
    return pd.DataFrame(
        {
            "account_id": rows["account_id"],
            "occurred_at": rows["occurred_at"],
            "mrr": rows["mrr"],
            "rank": rank,
            "rank_before": rank.groupby(rows["account_id"]).shift(1),
            **flags,
        }
    ).reset_index(drop=True)


def upgrades_after(states: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
    """Upgrades at or after the cutoff: one row per account and upgrade, with ``account_id`` and ``event_time``.

    An upgrade is an event after which the plan ranks higher than just before it and than at the cutoff, or one of kind
    ``upgrade`` to at least :data:`LEAST_INCREASE` times the MRR at the cutoff. A price that rises at a renewal is none.
    """
    is_past = states["occurred_at"] < as_cutoff(cutoff)
    at_cutoff = states[is_past].drop_duplicates("account_id", keep="last").set_index("account_id")[["mrr", "rank"]]
    later = states[~is_past & states["is_event"]]
    before = at_cutoff.reindex(later["account_id"]).to_numpy(dtype=np.float64)
    mrr, rank = later["mrr"].to_numpy(dtype=np.float64), later["rank"].to_numpy(dtype=np.float64)
    is_larger = (rank > before[:, 1]) & (rank > later["rank_before"].to_numpy(dtype=np.float64))
    is_larger &= ~later["is_return"].to_numpy(dtype=bool)
    is_dearer = (mrr > before[:, 0]) & (mrr >= LEAST_INCREASE * before[:, 0] - _CENT)
    upgrades = later[is_larger | (later["is_upgrade"].to_numpy() & is_dearer)]
    return upgrades[["account_id", "occurred_at"]].rename(columns={"occurred_at": "event_time"}).reset_index(drop=True)
