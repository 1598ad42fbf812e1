"""What makes an account's need decline: own episodes with a cause, provider incidents, and how both become burden."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.simulator.company import ENDPOINTS, Company, slot_share

__all__ = ["CAUSES", "INCIDENT", "WELL", "Cause", "Condition", "advance", "incident_pain", "incidents", "well"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ONSET_PER_DAY = 1 / 500
INCIDENT_LAG_DAYS = 8.0
TOLERATED_SHARE, PAIN_GAIN = 0.12, 6.0  # a failing endpoint hurts beyond this share of the calls, and then much
WELL = 0
INCIDENT = "slow_endpoints"


@dataclass(frozen=True)
class Cause:
    """One way an account's own need declines: how often, how fast, and how late departures follow the traces."""

    name: str
    weight: float
    rise_days: float
    hold_days: float
    recovery_days: float
    lag_days: float


CAUSES = (
    Cause("fading_need", 0.36, 50.0, 60.0, 30.0, 5.0),
    Cause("integration_trouble", 0.22, 30.0, 65.0, 25.0, 8.0),
    Cause("narrowing_use", 0.20, 45.0, 60.0, 30.0, 6.0),
    Cause("champion_left", 0.22, 16.0, 70.0, 30.0, 10.0),
)


@dataclass
class Condition:
    """Latent state of every account today; each array has one entry per account.

    ``cause`` is 0 for well, else 1 + index into :data:`CAUSES`. ``severity`` is what the traces show;
    ``burden`` follows it with the cause's lag and is what the hazard sees, as is ``incident_burden``.
    """

    cause: Ints
    is_recovering: NDArray[np.bool_]
    severity: Floats
    peak: Floats
    pace: Floats
    burden: Floats
    pain: Floats
    incident_burden: Floats

    def reset(self, accounts: NDArray[np.bool_]) -> None:
        """Make these accounts well, as newcomers are."""
        self.cause[accounts] = WELL
        self.is_recovering[accounts] = False
        for values in (self.severity, self.burden, self.incident_burden):
            values[accounts] = 0.0

    @property
    def total_burden(self) -> Floats:
        """Own and incident burden together, in [0, 1); health is what is left of 1."""
        return 1.0 - (1.0 - self.burden) * (1.0 - self.incident_burden)


def well(accounts: int) -> Condition:
    """The condition of accounts of which none declines."""
    zeros = [np.zeros(accounts) for _ in range(6)]
    return Condition(np.zeros(accounts, np.int64), np.zeros(accounts, np.bool_), *zeros)


def incidents(first_day: int, last_day: int, rng: np.random.Generator) -> Floats:
    """How badly each endpoint fails, 0 to 1, by day (rows, from ``first_day``) and endpoint.

    A long incident of 35 to 60 days starts about every 26 days; short ones of 1 to 4 days are noise.
    """
    days = np.arange(first_day, last_day)
    level = np.zeros((len(days), len(ENDPOINTS)))
    for every, shortest, longest in ((26, 35, 60), (12, 1, 4)):
        for start in range(first_day - 60, last_day, every):
            begin = start + rng.integers(0, every)
            length = rng.integers(shortest, longest + 1)
            endpoint = rng.integers(0, len(ENDPOINTS))
            strength = rng.uniform(0.7, 1.0)
            shape = np.clip((days - begin + 1) / 3.0, 0, 1) * np.clip((begin + length - days) / 3.0, 0, 1)
            level[:, endpoint] = np.maximum(level[:, endpoint], strength * shape)
    return level


def incident_pain(company: Company, failing: Floats) -> Floats:
    """How much of an account's usual calls meets failing endpoints today, beyond what it tolerates, in [0, 1].

    One value per account; ``failing`` is one row of :func:`incidents`.
    """
    slots = np.arange(company.endpoints.shape[1])[None, :]
    share = slot_share(slots, company.breadth[:, None])
    hit = (share * failing[company.endpoints]).sum(axis=1)
    pain: Floats = np.clip(PAIN_GAIN * (hit - TOLERATED_SHARE), 0.0, 1.0)
    return pain


def advance(now: Condition, pain: Floats, rng: np.random.Generator) -> None:
    """Move every account one day on, in place: onsets, ramps, turns, recoveries, and the lagging burdens."""
    accounts = len(now.cause)
    draws = rng.random((2, accounts))
    begins = (now.cause == WELL) & (draws[0] < ONSET_PER_DAY)
    if begins.any():
        count = int(begins.sum())
        weights = np.array([cause.weight for cause in CAUSES])
        now.cause[begins] = 1 + rng.choice(len(CAUSES), count, p=weights / weights.sum())
        now.peak[begins] = rng.uniform(0.6, 1.0, count)
        now.pace[begins] = rng.lognormal(0.0, 0.2, count)
        now.is_recovering[begins] = False
    rise, hold, recovery, lag = _paces(now.cause)
    at_peak = now.severity >= now.peak - 1e-9
    now.is_recovering |= (now.cause != WELL) & at_peak & (draws[1] < 1.0 / hold)
    step = np.where(now.is_recovering, -1.0 / recovery, 1.0 / rise) * now.pace
    now.severity = np.where(now.cause == WELL, 0.0, np.clip(now.severity + step, 0.0, now.peak))
    recovered = now.is_recovering & (now.severity <= 0.0)
    now.cause = np.where(recovered & (now.burden < 0.02), WELL, now.cause)
    now.is_recovering &= now.cause != WELL
    now.burden = now.burden + (now.severity - now.burden) / lag
    now.pain = pain
    now.incident_burden = now.incident_burden + (pain - now.incident_burden) / INCIDENT_LAG_DAYS


def _paces(cause: Ints) -> tuple[Floats, Floats, Floats, Floats]:
    table = np.array([(1.0, 1.0, 1.0, 6.0)] + [(c.rise_days, c.hold_days, c.recovery_days, c.lag_days) for c in CAUSES])
    rise, hold, recovery, lag = table[cause].T
    return rise, hold, recovery, lag
