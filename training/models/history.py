"""Which features a log is old enough for: those whose null means "too young" enter a model once most rows have them."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from features.definitions.feature import FeatureSpec
from features.shares import percent
from features.windows import days_later

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["LEAST_OF_ALL", "LEAST_OF_NEWEST", "dated", "entries_told", "entry_dates", "too_young"]


LEAST_OF_NEWEST = 0.8
"""Share of the rows of the newest fitting cutoff that must have a value."""

LEAST_OF_ALL = 0.3
"""Share of all fitting rows that must have one: else its null is a date in disguise."""

_MOST_WEEKS = 520
_FROM = "; models trained from "


def too_young(frame: "pd.DataFrame", feature: FeatureSpec) -> str | None:
    """Why the fitting rows have too little history for a feature, in words; None where they have enough.

    ``frame`` has the feature and, if the feature needs any history, ``cutoff``.
    """
    if not feature.history_days:
        return None
    is_known = frame[feature.name].notna()
    of_newest, of_all = is_known[frame["cutoff"] == frame["cutoff"].max()].mean(), is_known.mean()
    if of_newest >= LEAST_OF_NEWEST and of_all >= LEAST_OF_ALL:
        return None
    return (
        f"needs {feature.history_days} days of history: known in {percent(of_newest)} of the rows of the newest "
        f"fitting cutoff ({percent(LEAST_OF_NEWEST)} needed) and in {percent(of_all)} of all "
        f"({percent(LEAST_OF_ALL)} needed)"
    )


def entry_dates(
    features: Iterable[FeatureSpec], cutoffs: Sequence[datetime], *, log_start: datetime | None, closing_days: int
) -> Mapping[str, date]:
    """The day from which training will read each feature that the log itself is too young for.

    A label is final ``closing_days`` after its cutoff. Closed cutoffs go on weekly after the last of ``cutoffs``, with
    as many rows each, of accounts that are old enough. A feature that the log is old enough for has no day: where it
    is left out, the accounts are young.
    """
    if log_start is None or not cutoffs:
        return {}
    return {
        feature.name: days_later(entry, closing_days).date()
        for feature in features
        if feature.history_days
        and (entry := _entry(sorted(set(cutoffs)), days_later(log_start, feature.history_days))) is not None
    }


def dated(left_out: Mapping[str, str], entries: Mapping[str, date]) -> dict[str, str]:
    """Why features are left out, by name, with the day from which each that has one will be read."""
    return {
        name: f"{reason}{_FROM}{entries[name]} on will read it" if name in entries else reason
        for name, reason in left_out.items()
    }


def entries_told(left_out: Mapping[str, str]) -> dict[str, str]:
    """Of the features that are left out those whose reason says from which day they will be read."""
    return {name: reason for name, reason in left_out.items() if _FROM in reason}


def _entry(cutoffs: Sequence[datetime], first_known: datetime) -> datetime | None:
    """The first later cutoff up to which enough have a value; None where those that are there do, or never."""
    known, count, newest = sum(cutoff >= first_known for cutoff in cutoffs), len(cutoffs), cutoffs[-1]
    for week in range(_MOST_WEEKS):
        if newest >= first_known and known >= LEAST_OF_ALL * count:
            return newest if week else None
        newest = days_later(newest, 7)
        known, count = known + (newest >= first_known), count + 1
    return None
