"""Where the bands of a model begin, and what became of those whose scores lay in each."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import ConfigDict, with_config

from features.shares import percent

__all__ = ["BANDS", "BandRate", "band_of", "bands_in_words", "bands_of", "in_words", "rates_of", "wilson"]


BANDS = ("high", "medium", "low")
"""From the most probable down; ``low`` is what lies in no other."""

_STARTS: Mapping[str, tuple[float, float]] = {"high": (0.95, 3.0), "medium": (0.80, 1.5)}  # quantile, times base rate
_Z = 1.959964  # 95 % of a normal distribution
_MANY = 0.4  # from here on "4 in 10" says more than "1 in 3"
_NEARLY = 0.95

Floats = npt.NDArray[np.float64]


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class BandRate:
    """Share of a band's rows in which the target came true, with its 95 % interval.

    Attributes
    ----------
    rows, accounts
        Out-of-fold rows in the band, and the accounts they are of.
    """

    rows: int
    accounts: int
    rate: float
    low: float
    high: float


def bands_of(probability: Floats, *, base_rate: float) -> dict[str, float]:
    """Smallest probability of each band that exists, from out-of-fold ``probability``.

    ``high`` begins at the larger of the 95th percentile and three times the base rate, ``medium`` at the larger of the
    80th and one and a half times. A band in which no row lies does not exist.
    """
    starts = {
        band: max(float(np.quantile(probability, quantile)), times * base_rate)
        for band, (quantile, times) in _STARTS.items()
    }
    reached = set(band_of(probability, starts).tolist())
    return {band: start for band, start in starts.items() if band in reached}


def band_of(probability: Floats, bands: Mapping[str, Any]) -> npt.NDArray[np.str_]:
    """The band of each probability; ``bands`` holds the smallest probability of each but ``low``."""
    return np.select(
        [probability >= bands.get(band, np.inf) for band in BANDS[:-1]], BANDS[:-1], default=BANDS[-1]
    ).astype(str)


def rates_of(band: npt.NDArray[np.str_], label: Floats, account: npt.NDArray[Any]) -> dict[str, BandRate]:
    """What was observed in each band; one value per row.

    Rows of one account repeat each other, so the interval is that of as many independent rows as would be as uncertain
    (Kish, 1965, Survey Sampling, 8.2): the variance between accounts, and where all rows agree, one row per account.
    """
    rates = {}
    for name in BANDS:
        is_in = band == name
        if is_in.any():
            _, number = np.unique(account[is_in], return_inverse=True)
            rows, events = np.bincount(number), np.bincount(number, weights=label[is_in])
            rate = float(label[is_in].mean())
            variance = float(((events - rate * rows) ** 2).sum()) / rows.sum() ** 2
            size = min(rate * (1.0 - rate) / variance, float(rows.sum())) if variance > 0 else float(len(rows))
            rates[name] = BandRate(int(rows.sum()), len(rows), rate, *wilson(rate, size))
    return rates


def wilson(rate: float, size: float) -> tuple[float, float]:
    """95 % score interval of a share observed in ``size`` independent rows (Wilson, 1927, JASA 22, 209-212)."""
    weight = _Z**2 / size
    middle = (rate + weight / 2) / (1 + weight)
    half = _Z * np.sqrt(rate * (1 - rate) / size + weight / (4 * size)) / (1 + weight)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def in_words(rate: BandRate, *, happened: str) -> str:
    """What was observed, as it is said to people; ``happened`` is what they did, in the past tense."""
    low, high = (percent(end).removesuffix(" %") for end in (rate.low, rate.high))
    return f"{_share(rate.rate)} of these {happened}, [{low}, {high}] in 100"


def bands_in_words(bands: Mapping[str, Any], rates: Mapping[str, BandRate], *, happened: str) -> dict[str, str]:
    """Each band with where it begins and what was observed of it; one that does not exist with why.

    A bundle without rates has those bands alone whose beginning it knows.

    >>> rates = {"high": BandRate(264, 90, 1 / 6, 0.124, 0.214), "low": BandRate(4000, 900, 0.02, 0.015, 0.026)}
    >>> for band, words in bands_in_words({"high": 0.12}, rates, happened="left").items():
    ...     print(band, words)
    high from 12 %: about 1 in 6 of these left, [12, 21] in 100
    medium does not exist: no score lies between
    low below that: about 1 in 50 of these left, [1.5, 2.6] in 100
    """
    words = {}
    for band in BANDS:
        start = f"from {percent(bands[band])}" if band in bands else "below that" if bands else "for everybody"
        if band in rates:
            words[band] = f"{start}: {in_words(rates[band], happened=happened)}"
        elif band in bands:
            words[band] = start
        elif rates:
            is_between = "high" in bands
            words[band] = f"does not exist: no score lies {'between' if is_between else 'so far above the base rate'}"
    return words


def _share(rate: float) -> str:
    if rate in {0.0, 1.0}:
        return "all" if rate else "none"
    if rate < _MANY:
        return f"about 1 in {round(1 / rate):,}"
    return "nearly all" if rate >= _NEARLY else f"about {int(10 * rate + 0.5)} in 10"
