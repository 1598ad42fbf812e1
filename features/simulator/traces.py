"""How the hidden state of an account shows in its calls of a day: how many, how wide, by whom, how many fail."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.simulator.causes import CAUSES
from features.simulator.company import Company
from features.simulator.lives import Lives

__all__ = ["Traces", "relative_volume", "traces"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

AFTERGLOW_DAYS = 14  # after leaving, a forgotten job or two still knocks
AFTERGLOW_SHARE = 0.01
ONBOARDING_DAYS = 8.0
PAIN_ON_ACTIVITY = 1.7
BROKEN_FROM = 0.1  # severity of the integration trouble
_ON_ACTIVITY = np.array((0.0, 2.3, 1.7, 1.8, 1.8))  # by cause, 0 is well: log share of calls lost at full severity
_NAMES = ("", *(cause.name for cause in CAUSES))


@dataclass(frozen=True)
class Traces:
    """One day's parameters of the calls, one entry per account.

    Rates are probabilities per call; ``endpoints`` and ``users`` are how many of the account's own are still in
    use, ``champion_gone`` whether its busiest user is no longer among them, ``on_broken_release`` whether it runs a
    release of its SDK that does not work well.
    """

    volume: Floats
    endpoints: Ints
    users: Ints
    champion_gone: NDArray[np.bool_]
    auth_error_rate: Floats
    client_error_rate: Floats
    throttled_rate: Floats
    on_broken_release: NDArray[np.bool_]
    is_gone: NDArray[np.bool_]


def _by_cause(lives: Lives, day: int, name: str) -> Floats:
    row = day + 1
    return np.where(lives.cause[row] == _NAMES.index(name), lives.severity[row], 0.0).astype(np.float64)


def relative_volume(company: Company, lives: Lives, day: int, weekday: int) -> Floats:
    """Expected calls of the day relative to the mean account's usual day; 0 before a sign-up and for silent ones."""
    row = day + 1
    lost = _ON_ACTIVITY[lives.cause[row]] * lives.severity[row] + PAIN_ON_ACTIVITY * lives.pain[row]
    age = day - lives.began_day[row] + 1.0 - company.first_call_delay
    is_new = lives.began_day[row] >= 0
    onboarding = np.where(is_new, 1.0 - np.exp(-np.maximum(age, 0.0) / ONBOARDING_DAYS), 1.0)
    weekend = company.weekend_factor if weekday >= 5 else 1.0
    lingering = (day - lives.left_day[row] < AFTERGLOW_DAYS) * AFTERGLOW_SHARE
    present = np.where(lives.is_subscribed[row], 1.0, lingering)
    volume: Floats = np.where(
        company.is_silent, 0.0, present * onboarding * weekend * lives.volume[row] * np.exp(-lost)
    )
    return volume


def traces(company: Company, lives: Lives, day: int, *, volume: Floats) -> Traces:
    """Parameters of the calls of ``day``, given how many each account is expected to make."""
    row = day + 1
    narrowing = _by_cause(lives, day, "narrowing_use")
    trouble = _by_cause(lives, day, "integration_trouble")
    champion = _by_cause(lives, day, "champion_left")
    fading = _by_cause(lives, day, "fading_need")
    is_gone = ~lives.is_subscribed[row]
    onboarding = np.where(lives.began_day[row] >= 0, np.exp(-(day - lives.began_day[row]) / 10.0), 0.0)
    users = np.ceil(company.users * (1.0 - 0.75 * champion - 0.3 * fading))
    endpoints = np.ceil(company.breadth * (1.0 - 0.85 * narrowing - 0.2 * fading))
    return Traces(
        volume=volume,
        endpoints=np.maximum(endpoints, 1).astype(np.int64),
        users=np.maximum(users, 1).astype(np.int64),
        champion_gone=champion > 0.3,
        auth_error_rate=np.where(is_gone, 1.0, 0.004 * company.error_factor + 0.10 * trouble),
        client_error_rate=0.02 * company.error_factor + 0.18 * trouble + 0.10 * onboarding,
        throttled_rate=0.12 * np.clip((lives.quota_used[row] - 0.85) / 0.5, 0.0, 1.0),
        on_broken_release=trouble > BROKEN_FROM,
        is_gone=is_gone,
    )
