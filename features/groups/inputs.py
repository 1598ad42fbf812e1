"""What the feature groups read: the rollups, as tables."""

from collections.abc import Mapping
from dataclasses import dataclass

import ibis.expr.types as ir

from features.definitions.recency import REMEMBERED_DAYS

__all__ = ["ACTIVITY", "REACH", "REMEMBERED", "WHOLE", "YEAR_AGO", "Inputs", "Rollups"]

YEAR_AGO = range(365, 393)
"""Ages of the days of ``[c - 392, c - 364)``: the weekdays of the last 28 days, 52 weeks before."""

REACH: Mapping[str, tuple[range, ...]] = {
    "usage": (range(1, 92), YEAR_AGO),
    "endpoint": (range(1, 92),),
    "latency": (range(1, 36),),
    "token": (range(1, 29),),
    "user": (range(1, 29),),
    "service": (range(1, 29),),
    "sdk": (range(1, 57),),
}
"""Ages in days that any group looks at in a rollup; 1 is the day that ends at the cutoff. Other files are not read."""

REMEMBERED = range(1, REMEMBERED_DAYS + 1)
"""Ages in days of the usage rollup's rows that ``activity`` holds."""

ACTIVITY = ("account_id", "event_day", "visible_from", "calls", "active_days")
"""Columns of the usage rollup that are read that far back, in place of all: once for each batch of cutoffs."""

WHOLE = ("release",)
"""Rollups that are read over the whole history, once for many cutoffs."""


@dataclass(frozen=True)
class Rollups:
    """The rollups of ``features.rollup.count``, at least the days the widest window reaches.

    ``activity`` is the usage rollup's few columns over a longer time. The others are what several features, or many
    cutoffs, ask of a rollup, counted once for all of them.
    """

    usage: ir.Table
    activity: ir.Table
    endpoint: ir.Table
    latency: ir.Table
    token: ir.Table
    user: ir.Table
    service: ir.Table
    sdk: ir.Table
    daily: ir.Table
    endpoint_windows: ir.Table
    sdk_windows: ir.Table
    releases: ir.Table
    settled: ir.Table


@dataclass(frozen=True)
class Inputs:
    """What a group makes its rows from, at some cutoffs.

    Attributes
    ----------
    population
        One row per account and cutoff; see :mod:`features.groups.population`.
    cutoffs
        The column ``cutoff``.
    account_states
        What each account has subscribed to, as each cutoff knows it; see :mod:`features.subscriptions.known`.
    has_value_endpoints
        Whether the setting ``value_endpoints`` names any.
    """

    rollups: Rollups
    population: ir.Table
    cutoffs: ir.Table
    account_states: ir.Table
    touchpoints: ir.Table
    grace_hours: float
    has_value_endpoints: bool
