"""Signs that are read from an account's features: silence, a quota about to be passed, a first value never reached."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.exceptions import counted
from features.shares import percent
from serving.scoring.diagnosis import LARGEST_TAIL, LEAST_EFFECT
from serving.scoring.tails import fewer_than_expected, least_shortfall
from serving.scoring.wording import days, hours

__all__ = ["signs"]

Floats = NDArray[np.float64]
Columns = Mapping[str, NDArray[Any]]

_YEAR_RATIO = 1 / LEAST_EFFECT
_TERM_DAYS, _QUOTA_DAYS = 60, 14
_TENURE_DAYS = 28
_PEERS = 20
_OVERDISPERSION = 3.0  # variance over mean of an account's four weeks, where its own spread is not at hand


def signs(account_ids: Sequence[str], columns: Columns) -> pd.DataFrame:
    """One row per account and sign: ``account_id, family, kind, tail, effect, text``.

    ``tail`` is null for what needs no test, as a date; features that are null or absent give no sign.

    Parameters
    ----------
    columns
        Feature to its values, one per account.
    """
    rows = [
        {"account_id": account_ids[place], "family": family, "kind": kind, **values}
        for (family, kind), sign in _SIGNS.items()
        for place, values in sign(_Features(columns, len(account_ids)))
    ]
    return pd.DataFrame(rows, columns=["account_id", "family", "kind", "tail", "effect", "text"])


class _Features:
    """Feature values as numbers; nan for what is null or absent."""

    def __init__(self, columns: Columns, rows: int) -> None:
        self._columns, self._rows = columns, rows

    def __getitem__(self, name: str) -> Floats:
        column = self._columns.get(name)
        return np.full(self._rows, np.nan) if column is None else np.asarray(column, dtype=np.float64)


_Sign = tuple[int, dict[str, Any]]


def _said(places: NDArray[np.bool_], tail: Floats | None, effect: Floats, text: Callable[[int], str]) -> list[_Sign]:
    """A sign for each place that holds."""
    return [
        (
            int(place),
            {
                "tail": math.nan if tail is None else float(tail[place]),
                "effect": float(effect[place]),
                "text": text(int(place)),
            },
        )
        for place in np.flatnonzero(places)
    ]


def _silence(features: _Features) -> list[_Sign]:
    """No call for longer than the account's own rhythm explains."""
    silent, active = features["days_since_last_call"], features["active_days_91d"]
    rate = np.clip(active / np.maximum(91 - np.floor(silent), 1.0), 0.0, 1.0)
    missed = np.floor(silent)
    with np.errstate(divide="ignore", invalid="ignore"):
        tail = np.exp(missed * np.log1p(-np.minimum(rate, 1 - 1e-9)))
        effect = least_shortfall(np.zeros_like(rate), rate * missed)
    return _said(
        (tail <= LARGEST_TAIL) & (effect >= LEAST_EFFECT) & (active >= 3),
        tail,
        effect,
        lambda place: f"No call for {days(silent[place])}; before, {percent(rate[place])} of its days had one.",
    )


def _year(features: _Features) -> list[_Sign]:
    """Four weeks against the same four of last year."""
    ratio, calls = features["calls_28d_vs_year_ago"], features["calls_28d"]
    with np.errstate(divide="ignore", invalid="ignore"):
        before, effect = calls / ratio, 1 / ratio
    tail = fewer_than_expected(
        np.nan_to_num(calls), np.nan_to_num(before, posinf=0.0), 3 * np.nan_to_num(before, posinf=0.0)
    )
    return _said(
        (ratio <= _YEAR_RATIO) & (tail <= LARGEST_TAIL),
        tail,
        effect,
        lambda place: (
            f"{counted(round(calls[place]), 'call|calls')} in the last 28 days, "
            f"{percent(1 - ratio[place])} fewer than in the same weeks of last year ({before[place]:,.0f})."
        ),
    )


def _narrow(features: _Features) -> list[_Sign]:
    """Only one or two endpoints in use, where accounts of as many calls use more."""
    used, calls = features["endpoints_used_28d"], features["calls_28d"]
    peers = (calls >= _PEERS) & (used > 0)
    if peers.sum() < _PEERS:
        return []
    usual = float(np.median(used[peers]))
    narrower = np.array([(used[peers] <= value).sum() for value in (1, 2)], dtype=np.float64)
    tail = np.where(used <= 1, narrower[0], narrower[1]) / peers.sum()
    return _said(
        peers & (used <= 2) & (tail <= LARGEST_TAIL) & (usual / np.maximum(used, 1) >= LEAST_EFFECT),
        tail,
        usual / np.maximum(used, 1),
        lambda place: (
            f"Only {counted(int(used[place]), 'endpoint|endpoints')} in use in the last 28 days; half of all accounts "
            f"use {usual:.0f} or more."
        ),
    )


def _value_endpoint(features: _Features) -> list[_Sign]:
    """The main value endpoint never reached, though so many calls succeeded."""
    reached, calls = features["value_endpoint_reached"], features["successful_calls_28d"]
    share, age = features["value_endpoint_share_28d"], features["account_age_days"]
    users = share[(reached == 1) & (calls >= _PEERS)]
    if len(users) < _PEERS:
        return []
    usual = float(np.median(users))
    tail = np.exp(calls * math.log1p(-min(usual, 1 - 1e-9)))
    effect = least_shortfall(np.zeros_like(calls), usual * calls)
    return _said(
        (reached == 0) & (age >= _TENURE_DAYS) & (tail <= LARGEST_TAIL) & (effect >= LEAST_EFFECT),
        tail,
        effect,
        lambda place: (
            f"The main value endpoint was never reached: none of {counted(round(calls[place]), 'call|calls')} in the "
            f"last 28 days went there, where accounts that use it send {percent(usual)} of theirs."
        ),
    )


def _onboarding(features: _Features) -> list[_Sign]:
    """Longer on the way to a first working app than accounts that arrived."""
    stage, waited = features["onboarding_stage"], features["days_in_stage"]
    arrived = features["hours_to_first_success"]
    arrived = arrived[np.isfinite(arrived)] / 24
    if len(arrived) < _PEERS:
        return []
    usual = float(np.median(arrived))
    longer = len(arrived) - np.searchsorted(np.sort(arrived), np.nan_to_num(waited))
    tail = (longer + 1) / (len(arrived) + 1)
    effect = waited / max(usual, 1.0)
    steps = {0: "made no call yet", 1: "has had no call succeed yet"}
    return _said(
        np.isin(stage, list(steps)) & (tail <= LARGEST_TAIL) & (effect >= LEAST_EFFECT),
        tail,
        effect,
        lambda place: (
            f"Signed up and {steps[int(stage[place])]}, for {days(waited[place])}; "
            f"half of all accounts had a working call after {hours(24 * usual)}."
        ),
    )


def _quota(features: _Features) -> list[_Sign]:
    """The quota is passed within two weeks at the forecast rate."""
    until, share = features["days_to_quota"], features["quota_forecast_share_30d"]
    return _said(
        until <= _QUOTA_DAYS,
        None,
        share,
        lambda place: (
            f"The quota of this month is passed in {days(until[place])} at the present rate; "
            f"the next 30 days need {percent(share[place])} of it."
        ),
    )


def _contract(features: _Features) -> list[_Sign]:
    """A term that ends soon."""
    until = features["days_to_term_end"]
    return _said(
        (until >= 0) & (until <= _TERM_DAYS),
        None,
        np.full_like(until, math.nan),
        lambda place: f"The term ends in {days(until[place])}.",
    )


def _payments(features: _Features) -> list[_Sign]:
    """Payments that failed."""
    failed = features["payment_failures_91d"]
    return _said(
        failed >= 1,
        None,
        failed,
        lambda place: f"{counted(int(failed[place]), 'payment has|payments have')} failed in the last 91 days.",
    )


def _tickets(features: _Features) -> list[_Sign]:
    """More tickets in four weeks than accounts usually open."""
    opened = features["tickets_opened_28d"]
    usual = float(np.nanmean(opened)) if np.isfinite(opened).any() else math.nan
    if not usual > 0:
        return []
    tail = 1 - fewer_than_expected(
        np.nan_to_num(opened) - 1, np.full_like(opened, usual), np.full_like(opened, 2 * usual)
    )
    return _said(
        (opened >= 3) & (tail <= LARGEST_TAIL),
        tail,
        opened / usual,
        lambda place: (
            f"{counted(int(opened[place]), 'ticket|tickets')} opened in the last 28 days; "
            f"accounts open {usual:,.1f} on average."
        ),
    )


_SIGNS: Mapping[tuple[str, str], Callable[[_Features], list[_Sign]]] = {
    ("silence", "silence"): _silence,
    ("usage_trend", "year"): _year,
    ("breadth", "narrow"): _narrow,
    ("value_endpoint", "value"): _value_endpoint,
    ("onboarding", "onboarding"): _onboarding,
    ("quota", "quota"): _quota,
    ("contract", "term"): _contract,
    ("support", "payments"): _payments,
    ("support", "tickets"): _tickets,
}
