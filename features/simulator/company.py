"""Who the accounts of the simulated API company are: everything about them that no day changes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "ENDPOINTS",
    "NEVER",
    "OWNERS",
    "PLANS",
    "REGIONS",
    "SDKS",
    "SEGMENTS",
    "Company",
    "Endpoint",
    "Plan",
    "found_company",
    "slot_share",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER = 1_000_000  # a day that does not come
ENDPOINT_SLOTS = 12  # most endpoints one account uses
SLOT_POWER = 1.6  # slot = floor(kept * u ** power): the first endpoints of an account are its busiest
SIZE_SIGMA = 0.75  # of the natural logarithm of calls a day
LONGEST_HISTORY = 900  # days before the log in which the first accounts signed up


@dataclass(frozen=True)
class Plan:
    """One plan: its price, its quota in mean account volumes a month, and how loosely it binds."""

    name: str
    monthly_price: float
    quota_share: float | None
    departure_factor: float


@dataclass(frozen=True)
class Endpoint:
    """One route template with its method, popularity and usual latency in milliseconds."""

    method: str
    route: str
    popularity: float
    latency_ms: float


PLANS = (
    Plan("free", 0.0, 0.45, 1.25),
    Plan("starter", 49.0, 1.2, 1.1),
    Plan("growth", 249.0, 3.5, 1.0),
    Plan("scale", 990.0, 12.0, 0.85),
    Plan("enterprise", 3900.0, None, 0.7),
)

_RESOURCES = (
    ("orders", 1.3, 90.0),
    ("customers", 1.2, 70.0),
    ("payments", 1.2, 160.0),
    ("invoices", 1.0, 120.0),
    ("products", 1.0, 55.0),
    ("shipments", 0.9, 130.0),
    ("webhooks", 0.9, 45.0),
    ("reports", 0.8, 300.0),
)

ENDPOINTS = tuple(
    Endpoint(method, route.format(name=name), popularity, factor * latency)
    for name, popularity, latency in _RESOURCES
    for method, route, factor in (
        ("GET", "/v1/{name}/{{id}}", 1.0),
        ("POST", "/v1/{name}", 1.6),
        ("GET", "/v1/{name}", 1.3),
        ("PATCH", "/v1/{name}/{{id}}", 1.4),
        ("DELETE", "/v1/{name}/{{id}}", 0.9),
    )
)

SEGMENTS = ("small_business", "mid_market", "enterprise")
REGIONS = (("eu", 1), ("us", -6), ("apac", 8))  # with hours east of UTC
OWNERS = ("amara", "bence", "chiara", "dmitri", "elif", "farid", "greta", "hiro")
SDKS = ("python", "node", "java", "go", "ruby", "none")


@dataclass(frozen=True)
class Company:
    """Static facts, one entry per account; days count from the first day of the log.

    Attributes
    ----------
    created_day
        Day of the sign-up; negative before the log.
    size
        Calls of a usual day, relative to the mean account.
    plan
        Index into :data:`PLANS` at the sign-up.
    endpoints
        Endpoint index by account and slot, busiest first; ``breadth`` says how many slots are used.
    is_silent
        Signs up and never calls.
    """

    created_day: Ints
    created_hour: Floats
    size: Floats
    growth_per_year: Floats
    segment: Ints
    region: Ints
    owner: Ints
    plan: Ints
    is_annual: NDArray[np.bool_]
    price_factor: Floats
    endpoints: Ints
    breadth: Ints
    users: Ints
    weekend_factor: Floats
    error_factor: Floats
    latency_factor: Floats
    sdk: Ints
    sdk_lag_days: Ints
    first_call_delay: Floats
    is_silent: NDArray[np.bool_]
    is_probed: NDArray[np.bool_]

    @property
    def accounts(self) -> int:
        """How many accounts there are."""
        return len(self.size)


def slot_share(slots: Ints, slots_in_use: Ints) -> Floats:
    """Share of calls that go to each endpoint slot when ``slots_in_use`` slots are in use; 0 beyond them.

    >>> slot_share(np.array([0, 1]), np.array([1])).tolist()
    [1.0, 0.0]
    """
    upper = np.minimum((slots + 1) / slots_in_use, 1.0) ** (1 / SLOT_POWER)
    return upper - np.minimum(slots / slots_in_use, 1.0) ** (1 / SLOT_POWER)


def found_company(accounts: int, days: int, rng: np.random.Generator) -> Company:
    """Draw the accounts: seven in ten are there when the log begins, the others sign up during it."""
    is_new = np.arange(accounts) >= round(0.7 * accounts)
    created_day = np.where(
        is_new, rng.integers(0, max(days - 1, 1), accounts), -rng.integers(30, LONGEST_HISTORY, accounts)
    )
    size = rng.lognormal(-0.5 * SIZE_SIGMA**2, SIZE_SIGMA, accounts)
    plan = _plan_for(size, rng)
    users = np.clip(np.rint(6.0 * size**0.25 * rng.lognormal(0.0, 0.2, accounts)), 4, 30).astype(np.int64)
    popularity = np.log([endpoint.popularity for endpoint in ENDPOINTS])
    favour = popularity + 0.8 * rng.gumbel(size=(accounts, len(ENDPOINTS)))
    segment = np.digitize(np.log(size) + rng.normal(0.0, 0.5, accounts), (0.0, 1.0))
    return Company(
        created_day=created_day,
        created_hour=rng.uniform(7, 19, accounts),
        size=size,
        growth_per_year=np.clip(rng.normal(0.12, 0.22, accounts), -0.4, 1.0),
        segment=segment,
        region=rng.choice(len(REGIONS), accounts, p=(0.45, 0.35, 0.2)),
        owner=rng.integers(0, len(OWNERS), accounts),
        plan=plan,
        is_annual=(plan > 0) & (rng.random(accounts) < np.array((0.2, 0.35, 0.6))[segment]),
        price_factor=rng.lognormal(0.0, 0.2, accounts),
        endpoints=np.argsort(-favour, axis=1)[:, :ENDPOINT_SLOTS],
        breadth=rng.integers(7, 11, accounts),
        users=users,
        weekend_factor=np.where(rng.random(accounts) < 0.6, 0.35, 0.85),
        error_factor=rng.lognormal(0.0, 0.25, accounts),
        latency_factor=rng.lognormal(0.0, 0.08, accounts),
        sdk=rng.choice(len(SDKS), accounts, p=(0.34, 0.28, 0.12, 0.1, 0.06, 0.1)),
        sdk_lag_days=rng.exponential(60.0, accounts).astype(np.int64),
        first_call_delay=np.minimum(rng.exponential(2.5, accounts), 20.0),
        is_silent=rng.random(accounts) < 0.015,
        is_probed=rng.random(accounts) < 0.05,
    )


def _plan_for(size: Floats, rng: np.random.Generator) -> Ints:
    """Index of the smallest plan whose quota leaves the account the room it asked for."""
    wanted = size * np.exp(rng.uniform(0.1, 0.8, len(size)))
    quotas = [plan.quota_share for plan in PLANS if plan.quota_share is not None]
    return np.searchsorted(np.array(quotas), wanted).astype(np.int64)
