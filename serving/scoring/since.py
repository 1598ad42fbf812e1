"""Adds to each finding of some accounts the day on which it began."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.analytics.daily_counts import STARTS_WITHIN_DAYS
from features.windows import DAY
from serving.scoring.onset import onset

__all__ = ["with_since"]

Floats = NDArray[np.float64]


class _Series(NamedTuple):
    """Which counts of a day are looked at, against which, and whether the finding is that they rise."""

    bad: str
    exposure: str | None
    rises: bool


_SERIES: Mapping[str, _Series] = {
    "auth": _Series("err_auth", "answered", True),
    "throttled": _Series("err_throttled", "answered", True),
    "client": _Series("err_client", "answered", True),
    "server": _Series("err_server", "answered", True),
    "slow": _Series("slow_calls", "timed_calls", True),
    "endpoints": _Series("given_up_calls", "calls", False),
    "calls": _Series("calls", None, False),
}


def with_since(named: pd.DataFrame, daily: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
    """The findings with the column ``since``: for a person the day after the last call, else the likeliest start.

    Parameters
    ----------
    named
        :func:`serving.scoring.diagnosis.named_findings`.
    daily
        :func:`features.analytics.daily_counts.daily_counts` of the accounts whose starts are looked for; findings of
        others get None.
    """
    since: dict[object, date] = {}
    accounts = set(daily.account_id)
    is_person = named.kind.isin(["user", "token"]) & named.account_id.isin(accounts)
    for place, age in named.last_age_days[is_person].items():
        since[place] = _day(cutoff, int(age) - 1)
    for kind, series in _SERIES.items():
        rows = named[(named.kind == kind) & named.account_id.isin(accounts)]
        if len(rows) == 0:
            continue
        counts = _by_day(daily, series.bad, rows.account_id)
        exposure = _usual_week(counts) if series.exposure is None else _by_day(daily, series.exposure, rows.account_id)
        ages = STARTS_WITHIN_DAYS - onset(counts, exposure, rises=series.rises)
        for place, age in zip(rows.index, ages.tolist(), strict=True):
            since[place] = _day(cutoff, age)
    return named.assign(since=pd.Series(since, index=named.index, dtype=object))


def _day(cutoff: datetime, age_days: int) -> date:
    """The day of this age; 1 is the day that ends at the cutoff."""
    return (cutoff - age_days * DAY).date()


def _by_day(daily: pd.DataFrame, name: str, accounts: pd.Series) -> Floats:
    """Accounts by days, the oldest first; 0 for a day without a call."""
    wide = daily[daily.account_id.isin(set(accounts))].pivot(index="account_id", columns="age_days", values=name)
    wide = wide.reindex(index=accounts, columns=range(STARTS_WITHIN_DAYS, 0, -1)).fillna(0.0)
    return wide.to_numpy(dtype=np.float64)


def _usual_week(counts: Floats) -> Floats:
    """How busy each day is by its place in the week, 1 on average, so that a weekend is no change."""
    weeks = counts.reshape(len(counts), -1, 7).mean(axis=1)
    mean = weeks.mean(axis=1, keepdims=True)
    share = np.divide(weeks, mean, out=np.ones_like(weeks), where=mean > 0)
    return np.tile(np.maximum(share, 0.05), counts.shape[1] // 7)
