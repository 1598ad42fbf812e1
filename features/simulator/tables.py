"""The CRM's side of the simulated company: accounts, subscription events and touchpoints as Arrow tables."""

from datetime import datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from features.schema import ACCOUNTS, SUBSCRIPTIONS, TOUCHPOINTS, SubscriptionKind
from features.simulator.causes import CAUSES
from features.simulator.company import NEVER, OWNERS, PLANS, REGIONS, SEGMENTS, Company
from features.simulator.journal import KINDS, SubscriptionRows
from features.simulator.lives import Lives
from features.simulator.names import account_names

__all__ = ["SUBSCRIPTION_FILE", "account_table", "microseconds", "subscription_table", "touchpoint_table"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

HOUR = 3_600_000_000
DAY = 24 * HOUR
YEAR = 365
PRICE_RISE = 1.03  # at each renewal of an annual contract
ANNUAL_DISCOUNT = 0.85
LATE_RENEWAL_SHARE = 0.15  # renewed a few days after the term ended
TICKETS_IN_TROUBLE = 0.7  # a day, of an account in full trouble that has not lost patience yet
CSAT_SHARE = 0.4  # of closed tickets
SUBSCRIPTION_FILE = pa.schema(
    [field for field in SUBSCRIPTIONS.schema if field.name not in ("source_order", "subscription_id")]
)
_MOMENT = ACCOUNTS.schema.field("created_at").type
_FIRST = (
    "Amber",
    "Blue",
    "Cedar",
    "Delta",
    "Ember",
    "Fjord",
    "Granite",
    "Harbor",
    "Iris",
    "Juniper",
    "Kestrel",
    "Lumen",
)
_SECOND = ("Analytics", "Freight", "Health", "Labs", "Logistics", "Media", "Payments", "Retail", "Systems", "Travel")


def microseconds(moment: datetime) -> int:
    """Microseconds from 1970 to a moment in UTC."""
    return round(moment.timestamp()) * 1_000_000


def _sign_up(company: Company, start: int) -> Ints:
    return start + company.created_day * DAY + (company.created_hour * HOUR).astype(np.int64)


def account_table(company: Company, start: int) -> pa.Table:
    """One row per account; ``start`` is the first midnight of the log in microseconds since 1970."""
    numbers = range(company.accounts)
    created = pa.array(_sign_up(company, start), _MOMENT)
    columns = {
        "account_id": account_names(company.accounts),
        "name": [f"{_FIRST[n % len(_FIRST)]} {_SECOND[n // len(_FIRST) % len(_SECOND)]} {n}" for n in numbers],
        "created_at": created,
        "segment": [SEGMENTS[code] for code in company.segment],
        "region": [REGIONS[code][0] for code in company.region],
        "owner": [OWNERS[code] for code in company.owner],
        "known_at": created,
    }
    return pa.table(columns, ACCOUNTS.schema)


def subscription_table(
    company: Company, lives: Lives, start: int, end: int, *, calls_per_unit: float, rng: np.random.Generator
) -> pa.Table:
    """All subscription events, oldest first, those from before the log among them.

    ``calls_per_unit`` is how many calls a day one unit of relative volume is; quotas scale with it.
    """
    rows = _with_history(company, lives)
    count = len(rows.day)
    kind = rows.kind
    is_start = kind == KINDS.index(SubscriptionKind.START)
    is_renewal = kind == KINDS.index(SubscriptionKind.RENEW)
    office = rng.uniform(8, 18, count)
    late = np.where(is_renewal & (rng.random(count) < LATE_RENEWAL_SHARE), rng.integers(1, 7, count), 0)
    occurred = start + (rows.day + late) * DAY + (office * HOUR).astype(np.int64)
    occurred = np.where(is_start, _sign_up(company, start)[rows.account], occurred)
    hours = np.where(rng.random(count) < 0.05, rng.uniform(6, 60, count), rng.exponential(0.5, count))
    known = np.where(is_start, occurred, occurred + (hours * HOUR).astype(np.int64))
    price = np.array([plan.monthly_price for plan in PLANS])[rows.plan] * company.price_factor[rows.account]
    price = price * np.where(rows.term_end_day < NEVER, ANNUAL_DISCOUNT, 1.0) * PRICE_RISE**rows.price_rises
    quota = np.array([_rounded((p.quota_share or 0.0) * calls_per_unit * 30.4375) for p in PLANS])[rows.plan]
    is_unlimited = np.array([plan.quota_share is None for plan in PLANS])[rows.plan]
    is_rolling = rows.term_end_day >= NEVER
    table = pa.table(
        {
            "account_id": account_names(company.accounts).take(pa.array(rows.account)),
            "occurred_at": pa.array(occurred, _MOMENT),
            "known_at": pa.array(known, _MOMENT),
            "kind": pa.array([KINDS[code].value for code in kind], pa.string()),
            "plan": pa.array([PLANS[code].name for code in rows.plan], pa.string()),
            "mrr": pa.array(np.round(price, 2), pa.float64()),
            "quota_calls_per_month": pa.array(quota, pa.int64(), mask=is_unlimited),
            "term_end": pa.array(start + np.where(is_rolling, 0, rows.term_end_day) * DAY, _MOMENT, mask=is_rolling),
        },
        SUBSCRIPTION_FILE,
    )
    table = table.filter(pa.array(occurred < end))
    return table.sort_by([("occurred_at", "ascending"), ("account_id", "ascending")])


def _rounded(quota: float) -> int:
    """Two significant digits, as price lists have them, and at least 10."""
    return max(10, int(float(f"{quota:.2g}")))


def _with_history(company: Company, lives: Lives) -> SubscriptionRows:
    """Add the starts and renewals from before the log to what happened during it."""
    old = np.flatnonzero(company.created_day < 0)
    plan = lives.plan[0].astype(np.int64)
    rows = lives.subscriptions
    before: list[tuple[Ints, ...]] = []
    ages = -company.created_day[old]
    for year in range(int(ages.max(initial=0)) // YEAR + 1):
        day = company.created_day[old] + year * YEAR
        is_due = (day < 0) & (company.is_annual[old] | (year == 0))
        who = old[is_due]
        kind = KINDS.index(SubscriptionKind.RENEW if year else SubscriptionKind.START)
        term_end = np.where(company.is_annual[who], day[is_due] + YEAR, NEVER)
        before.append((day[is_due], who, np.full(len(who), kind), plan[who], term_end, np.full(len(who), year)))
    years_before = np.zeros(company.accounts, np.int64)
    years_before[old] = np.where(company.is_annual[old], (ages - 1) // YEAR, 0)
    rises = rows.price_rises + years_before[rows.account]
    now = (rows.day, rows.account, rows.kind, rows.plan, rows.term_end_day, rises)
    return SubscriptionRows(*(np.concatenate(column) for column in zip(*before, now, strict=True)))


def touchpoint_table(company: Company, lives: Lives, start: int, end: int, rng: np.random.Generator) -> pa.Table:
    """Tickets, surveys, logins and failed payments, drawn from the same latent state as the calls.

    Who meets trouble asks for help, and stops asking as the burden grows: a spike of tickets, then silence.
    """
    parts: dict[str, list[NDArray[np.generic]]] = {name: [] for name in ("account", "at", "kind", "value")}
    kinds = ("ticket_opened", "ticket_closed", "nps", "csat", "login", "payment_failed")
    names = ("", *(cause.name for cause in CAUSES))
    trouble_code, fading = names.index("integration_trouble"), names.index("fading_need")

    def add(account: Ints, at: Ints, kind: str, value: Floats | None = None) -> None:
        parts["account"].append(account)
        parts["at"].append(at)
        parts["kind"].append(np.full(len(account), kinds.index(kind)))
        parts["value"].append(np.full(len(account), np.nan) if value is None else value)

    for day in range(len(lives.failing)):
        row = day + 1
        subscribed = lives.is_subscribed[row]
        severity, cause = lives.severity[row], lives.cause[row]
        trouble = np.where(cause == trouble_code, severity, 0.0) + lives.pain[row]
        patience = (1.0 - lives.burden[row]) ** 2
        people = 1.0 - np.where(cause != trouble_code, 0.8, 0.2) * severity
        rates = {
            "ticket_opened": 0.008 + TICKETS_IN_TROUBLE * trouble * patience,
            "nps": np.full(company.accounts, 1 / 120),
            "login": 0.12 * people * np.where(cause == fading, 0.7, 1.0),
            "payment_failed": np.where(lives.plan[row] > 0, 0.0004 + 0.001 * lives.burden[row], 0.0),
        }
        for kind, rate in rates.items():
            who = np.flatnonzero(subscribed & (rng.random(company.accounts) < rate))
            at = start + day * DAY + (rng.uniform(7, 19, len(who)) * HOUR).astype(np.int64)
            score = None
            if kind == "nps":
                score = np.clip(np.rint(8.5 - 5.0 * lives.burden[row][who] + rng.normal(0, 1.5, len(who))), 0, 10)
            add(who, at, kind, score)
            if kind == "ticket_opened":
                closed = at + (rng.exponential(2.5, len(who)) * DAY).astype(np.int64)
                add(who, closed, "ticket_closed")
                answers = rng.random(len(who)) < CSAT_SHARE
                satisfied = np.clip(np.rint(4.4 - 2.5 * lives.burden[row][who] + rng.normal(0, 0.8, len(who))), 1, 5)
                add(who[answers], closed[answers] + 2 * HOUR, "csat", satisfied[answers])
    account, at, kind_code, value = (np.concatenate(column) for column in parts.values())
    is_within = at < end
    order = np.lexsort((kind_code, account, at))
    order = order[is_within[order]]
    moment = pa.array(at[order], _MOMENT)
    return pa.table(
        {
            "account_id": account_names(company.accounts).take(pa.array(account[order])),
            "occurred_at": moment,
            "known_at": moment,
            "kind": pa.array(kinds).take(pa.array(kind_code[order])),
            "value": pa.array(value[order], pa.float64(), mask=np.isnan(value[order])),
        },
        TOUCHPOINTS.schema,
    )
