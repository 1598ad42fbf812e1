"""Daily probabilities of departure and upgrade in the simulated company: for the draws, and for the true risk."""

import numpy as np
from numpy.typing import NDArray

from features.simulator.company import PLANS

__all__ = ["departure_hazard", "departure_risk", "upgrade_hazard", "upgrade_risk"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HAZARD_WITHOUT_TRACE = 0.00011  # per day, of an account in full health on a plan of factor 1
HAZARD_AT_FULL_BURDEN = 0.015
BURDEN_POWER = 2.5
MID_TERM_SHARE = 0.5  # an annual contract holds most of those who would leave
TERM_END_DAYS = 90  # deciding on a renewal weighs as much as this many monthly days

UPGRADE_AT_REST = 0.00025
UPGRADE_AT_QUOTA = 0.025
QUOTA_SOFTNESS = 0.07

_DEPARTURE_FACTOR = np.array([plan.departure_factor for plan in PLANS])
_HAS_QUOTA = np.array([plan.quota_share is not None for plan in PLANS])


def departure_hazard(burden: Floats, plan: Ints, is_annual: Bools, is_term_end: Bools) -> Floats:
    """Probability that an account leaves on a day, given that it is there.

    Parameters
    ----------
    burden
        Latent burden in [0, 1]; 0 is full health.
    plan
        Index into the plans.
    is_annual, is_term_end
        Whether the account has an annual term, and whether that term ends at the start of this day.
        The end of a term is a deterministic calendar; leaving then is an expiry, else a cancellation.
    """
    monthly = _DEPARTURE_FACTOR[plan] * (HAZARD_WITHOUT_TRACE + HAZARD_AT_FULL_BURDEN * burden**BURDEN_POWER)
    at_term_end = 1.0 - (1.0 - monthly) ** TERM_END_DAYS
    return np.where(is_annual, np.where(is_term_end, at_term_end, MID_TERM_SHARE * monthly), monthly)


def departure_risk(
    burden: Floats, plan: Ints, is_annual: Bools, term_end_day: Ints, *, cutoff: int, lead_days: int, horizon_days: int
) -> Floats:
    """True risk: ``1 - product(1 - hazard)`` over ``[cutoff + lead, cutoff + lead + horizon)``, state frozen.

    Days are indices of the log; only the calendar of term ends moves on.
    """
    begin = cutoff + lead_days
    ends_inside = (term_end_day >= begin) & (term_end_day < begin + horizon_days)
    never = np.zeros_like(is_annual)
    usual = departure_hazard(burden, plan, is_annual, never)
    at_end = departure_hazard(burden, plan, is_annual, ~never)
    stays = np.where(
        is_annual & ends_inside,
        (1.0 - usual) ** (horizon_days - 1) * (1.0 - at_end),
        (1.0 - usual) ** horizon_days,
    )
    risk: Floats = 1.0 - stays
    return risk


def upgrade_hazard(quota_used: Floats, plan: Ints, burden: Floats) -> Floats:
    """Probability of an upgrade on a day: rare at rest, likely as use nears and passes the quota."""
    pressure = 1.0 / (1.0 + np.exp(-np.clip((quota_used - 1.0) / QUOTA_SOFTNESS, -50.0, 50.0)))
    hazard = (UPGRADE_AT_REST + UPGRADE_AT_QUOTA * pressure) * (1.0 - burden)
    return np.where(_HAS_QUOTA[plan], hazard, 0.0)


def upgrade_risk(quota_used: Floats, plan: Ints, burden: Floats, *, horizon_days: int) -> Floats:
    """Probability of an upgrade within the label window with the state frozen, departures left aside."""
    risk: Floats = 1.0 - (1.0 - upgrade_hazard(quota_used, plan, burden)) ** horizon_days
    return risk
