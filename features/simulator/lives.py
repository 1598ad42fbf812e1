"""The lives of all accounts, day by day: sign-ups, declines, departures, returns and plan changes."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.schema import SubscriptionKind
from features.simulator.causes import advance, incident_pain, incidents, well
from features.simulator.company import NEVER, PLANS, Company
from features.simulator.hazard import departure_hazard, upgrade_hazard
from features.simulator.journal import Journal, SubscriptionRows

__all__ = ["Lives", "live"]

Floats = NDArray[np.float64]
Floats32 = NDArray[np.float32]
Ints = NDArray[np.int64]
Ints32 = NDArray[np.int32]
Bools = NDArray[np.bool_]

BURN_IN_DAYS = 360  # lived before the log, so that day 0 finds the company in its usual mixture of health
YEAR = 365
NOTICE_SHARE = 0.25  # of cancellations, said a few days ahead
NOTICE_DAYS = (2, 8)  # at most seven: a notice at a cutoff lies in the default lead, never in the label window
PAUSE_SHARE = 0.04  # cancellations taken back within two weeks, beside the real ones
PAUSE_DAYS = (2, 11)
RETURN_SHARE = 0.07  # of those who left
RETURN_DAYS = (20, 90)
SILENT_BURDEN = 0.35  # an account that never called has little to lose
VOLUME_NOISE, VOLUME_MEMORY_DAYS = 0.1, 30.0
QUOTA_MEMORY_DAYS = 20.0
DOWNGRADE_PER_DAY = 0.0012
_QUOTAS = np.array([np.inf if plan.quota_share is None else plan.quota_share for plan in PLANS])


@dataclass(frozen=True)
class Lives:
    """State of every account just before each midnight: row ``c`` is cutoff ``c``, column ``a`` is account ``a``.

    There are ``days + 1`` rows; row ``d + 1`` is therefore also the state that shaped the calls of day ``d``.
    ``is_subscribed`` says whether the account has a subscription at that midnight, ``is_leaving`` whether it has
    given notice, ``began_day`` when its present subscription began and ``left_day`` when its last one ended.
    ``failing`` is the incident level by day and endpoint.
    """

    is_subscribed: Bools
    is_leaving: Bools
    cause: Ints32
    severity: Floats32
    pain: Floats32
    burden: Floats32
    incident_burden: Floats32
    volume: Floats32
    quota_used: Floats32
    plan: Ints32
    term_end_day: Ints32
    began_day: Ints32
    left_day: Ints32
    failing: Floats
    subscriptions: SubscriptionRows
    departures: int
    returns: int


def live(company: Company, days: int, rng: np.random.Generator) -> Lives:
    """Live through the burn-in and the log.

    During the burn-in whoever would leave starts anew, in full health, under the same name: the company then
    enters the log in the mixture of health it keeps.
    """
    failing = incidents(-BURN_IN_DAYS, days, rng)
    walk = _Walk(company, rng)
    rows = []
    for day in range(-BURN_IN_DAYS, days):
        walk.arrive(day)
        walk.decline(day, failing[day + BURN_IN_DAYS])
        walk.depart(day)
        walk.change_plans(day)
        if day >= -1:
            rows.append(walk.record())
    states: dict[str, Any] = {name: np.stack([row[name] for row in rows]) for name in rows[0]}
    return Lives(
        failing=failing[BURN_IN_DAYS:],
        subscriptions=walk.journal.rows(),
        departures=walk.departures,
        returns=walk.returns,
        **states,
    )


class _Walk:
    """The state of all accounts on the day reached; one array entry per account."""

    def __init__(self, company: Company, rng: np.random.Generator) -> None:
        count = company.accounts
        self.company, self.rng, self.journal, self.condition = company, rng, Journal(), well(count)
        self.plan = company.plan.copy()
        self.subscribed = company.created_day < -BURN_IN_DAYS
        years = np.maximum(1, -((BURN_IN_DAYS + company.created_day) // YEAR))
        self.term_end = np.where(company.is_annual, company.created_day + YEAR * years, NEVER)
        self.began, self.left = company.created_day.copy(), np.full(count, -NEVER)
        self.leaves_on, self.returns_on = np.full(count, NEVER), np.full(count, NEVER)
        self.price_rises = np.zeros(count, np.int64)
        self.away = np.zeros(count, np.bool_)  # gone for more than a pause
        self.wobble = rng.normal(0.0, VOLUME_NOISE, count)
        self.volume = company.size.copy()
        self.quota_used = company.size / _QUOTAS[self.plan]
        self.departures = self.returns = 0

    @property
    def burden(self) -> Floats:
        return np.where(self.company.is_silent, SILENT_BURDEN, self.condition.total_burden)

    def note(self, day: int, who: Bools, kind: SubscriptionKind) -> None:
        self.journal.write(day, who, kind, plan=self.plan, term_end=self.term_end, rises=self.price_rises)

    def arrive(self, day: int) -> None:
        """Sign-ups and returns; both start in full health."""
        back, signs_up = self.returns_on == day, self.company.created_day == day
        comes = back | signs_up
        self.subscribed = self.subscribed | comes
        self.condition.reset(comes)
        self.began = np.where(comes, day, self.began)
        self.returns_on = np.where(comes, NEVER, self.returns_on)
        self.term_end = np.where(comes & self.company.is_annual, day + YEAR, self.term_end)
        self.returns += int((back & self.away).sum())
        self.note(day, signs_up, SubscriptionKind.START)
        self.note(day, back, SubscriptionKind.REACTIVATE)

    def decline(self, day: int, failing: Floats) -> None:
        """Move health, volume and use of the quota one day on."""
        advance(self.condition, incident_pain(self.company, failing), self.rng)
        noise = self.rng.normal(0.0, VOLUME_NOISE * np.sqrt(2.0 / VOLUME_MEMORY_DAYS), len(self.plan))
        self.wobble = self.wobble * (1.0 - 1.0 / VOLUME_MEMORY_DAYS) + noise
        self.volume = self.company.size * np.exp(self.company.growth_per_year * (day / YEAR) + self.wobble)
        used = self.volume * (1.0 - 0.7 * self.condition.severity) / _QUOTAS[self.plan]
        self.quota_used = self.quota_used + (used - self.quota_used) / QUOTA_MEMORY_DAYS

    def depart(self, day: int) -> None:
        """Draw departures from the hazard, and follow them up: notices, pauses, renewals, later returns."""
        draws = self.rng.random((5, len(self.plan)))
        is_free = self.subscribed & (self.leaves_on == NEVER)
        term_ends = self.company.is_annual & (self.term_end == day)
        hazard = departure_hazard(self.burden, self.plan, self.company.is_annual, term_ends)
        leaves = is_free & (draws[0] < hazard)
        if day < 0:
            self.condition.reset(leaves)
            self.term_end = np.where(term_ends, day + YEAR, self.term_end)
            return
        near_term_end = self.company.is_annual & (np.abs(self.term_end - day) <= 10)
        announces = leaves & ~near_term_end & (draws[1] < NOTICE_SHARE)
        pauses = is_free & ~leaves & ~self.company.is_annual & (draws[0] < (1.0 + PAUSE_SHARE) * hazard)
        self.leaves_on = np.where(announces, day + _between(NOTICE_DAYS, draws[2]), self.leaves_on)
        goes = (leaves & ~announces) | (self.subscribed & (self.leaves_on == day))
        renews = self.subscribed & term_ends & ~goes
        self.note(day, announces, SubscriptionKind.CANCEL_NOTICE)
        self.note(day, (goes & ~term_ends) | pauses, SubscriptionKind.CANCEL)  # an expiry leaves no row
        self.price_rises = self.price_rises + renews
        self.term_end = np.where(renews, day + YEAR, self.term_end)
        self.note(day, renews, SubscriptionKind.RENEW)
        returns = goes & (draws[3] < RETURN_SHARE)
        self.returns_on = np.where(returns, day + _between(RETURN_DAYS, draws[4]), self.returns_on)
        self.returns_on = np.where(pauses, day + _between(PAUSE_DAYS, draws[4]), self.returns_on)
        self.subscribed = self.subscribed & ~goes & ~pauses
        self.left = np.where(goes | pauses, day, self.left)
        self.leaves_on = np.where(goes, NEVER, self.leaves_on)
        self.departures += int(goes.sum())
        self.away = np.where(pauses, False, self.away | goes)

    def change_plans(self, day: int) -> None:
        """Draw upgrades from their hazard, and a few downgrades of accounts that use little."""
        draws = self.rng.random((2, len(self.plan)))
        stays = self.subscribed & (self.leaves_on == NEVER) & ~self.company.is_silent
        up = stays & (draws[0] < upgrade_hazard(self.quota_used, self.plan, self.burden))
        is_loose = (self.plan > 1) & (self.burden > 0.3) & (self.quota_used < 0.3)
        down = stays & ~up & is_loose & (draws[1] < DOWNGRADE_PER_DAY)
        self.plan = self.plan + up - down
        self.quota_used = np.where(up | down, self.volume / _QUOTAS[self.plan], self.quota_used)
        self.note(day, up, SubscriptionKind.UPGRADE)
        self.note(day, down, SubscriptionKind.DOWNGRADE)

    def record(self) -> dict[str, NDArray[np.generic]]:
        """Today's row of each state of :class:`Lives`."""
        condition = self.condition
        return {
            "is_subscribed": self.subscribed,
            "is_leaving": self.leaves_on < NEVER,
            "cause": condition.cause.astype(np.int32),
            "severity": condition.severity.astype(np.float32),
            "pain": condition.pain.astype(np.float32),
            "burden": self.burden.astype(np.float32),
            "incident_burden": condition.incident_burden.astype(np.float32),
            "volume": self.volume.astype(np.float32),
            "quota_used": self.quota_used.astype(np.float32),
            "plan": self.plan.astype(np.int32),
            "term_end_day": self.term_end.astype(np.int32),
            "began_day": self.began.astype(np.int32),
            "left_day": self.left.astype(np.int32),
        }


def _between(days: tuple[int, int], draw: Floats) -> Ints:
    first, last = days
    return first + np.floor(draw * (last - first)).astype(np.int64)
