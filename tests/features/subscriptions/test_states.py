"""What an account has subscribed to equals the plain-Python oracle, at every cutoff, whenever rows became known."""

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pandas as pd
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from features.schema import SUBSCRIPTIONS
from features.subscriptions.known import known_states, state_known_at, states_at, states_of
from features.windows import DAY, utc
from tests.subscription_oracle import Days, Row, as_known, departures, upgrades
from training.labels.departures import churn_events
from training.labels.upgrades import plan_states, upgrades_after

C = utc(2026, 3, 2)
SEEDS = st.integers(0, 2**32)
CUTOFFS = [C + day * DAY for day in (0, 3, 8, 15, 29)]
GRACE = timedelta(hours=6)
SETTINGS = {"renewal_grace_days": 5, "reactivation_days": 4}
DAYS = Days(5 * DAY, 4 * DAY)
KINDS = ["start", "start", "start", "renew", "upgrade", "downgrade", "cancel_notice", "cancel", "cancel", "reactivate"]


def frame(rows: list[Row]) -> pd.DataFrame:
    """The rows as they lie in the raw store."""
    table = pd.DataFrame(
        [
            {
                "account_id": row.account,
                "subscription_id": row.id,
                "occurred_at": row.occurred,
                "known_at": row.known,
                "kind": row.kind,
                "plan": row.plan,
                "mrr": row.mrr,
                "quota_calls_per_month": row.quota,
                "term_end": row.ends,
                "source_order": row.order,
            }
            for row in rows
        ],
        columns=SUBSCRIPTIONS.schema.names,
    )
    for name in ("occurred_at", "known_at", "term_end"):
        table[name] = pd.to_datetime(table[name], utc=True).astype("datetime64[us, UTC]")
    return table.astype({"mrr": "float64", "quota_calls_per_month": "float64"})


def history(dice: random.Random, account: str, ids: Sequence[str | None]) -> list[Row]:
    """The rows of one account: few days and plans, so that ties, boundaries and two running at once are common."""
    rows = []
    for order in range(dice.randint(1, 8)):
        at = C + timedelta(days=dice.randint(-12, 28), microseconds=dice.choice([0, 0, 0, 1, -1]))
        known = at + dice.choice([0, 0, 0, 0, 1, 6, 11]) * DAY
        price, quota = dice.choice([0.0, 10.0, 10.0, 25.5]), dice.choice([None, 5.0, 100.0])
        stated = (None, None, None) if dice.random() < 0.25 else (dice.choice("sml"), price, quota)
        ends = dice.choice([None, None, at + 3 * DAY, at + 9 * DAY, at - DAY])
        rows.append(Row(account, at, known, dice.choice(KINDS), *stated, ends, order, dice.choice(ids)))
        if dice.random() < 0.3:  # the CRM says later what it should have said
            rows.append(again(dice, dice.choice(rows), order))
    return rows


def again(dice: random.Random, row: Row, order: int) -> Row:
    """A row of the same moment: another plan or price, known at the same time, a day, or a month later."""
    known = row.known + dice.choice([0, 1, 1, 20]) * DAY
    ends = dice.choice([row.ends, row.occurred + 9 * DAY])
    stated = {"plan": dice.choice([row.plan, "s", "m", None]), "mrr": dice.choice([row.mrr, 7.0]), "ends": ends}
    return replace(row, known=known, order=order + dice.choice([-3, 0, 20]), **stated)


def company_of(seed: int) -> list[list[Row]]:
    """Accounts whose rows have no id, one each, and some of both: many at once, since a table costs its overhead."""
    dice = random.Random(seed)
    ids = [(None,), (None,), ("x", "y", "z"), (None, None, "x", "y")]
    return [history(dice, f"a{number:02d}", ids[number % 4]) for number in range(60)]


def plain(value: Any) -> Any:
    return None if value is None or pd.isna(value) else value


def told(state: pd.Series) -> dict[str, Any]:
    names = {"quota": "quota_calls_per_month", "since": "customer_since"}
    every = ("is_subscribed", "is_cancelled", "mrr", "quota", "plan", "term_end", "since")
    return {name: plain(state[names.get(name, name)]) for name in every}


@settings(max_examples=4, deadline=None, phases=[Phase.generate], derandomize=True)
@given(SEEDS)
def test_states_as_known_at_a_cutoff_equal_the_oracle(seed):
    company = company_of(seed)
    table = frame([row for rows in company for row in rows])
    every = known_states(table, grace_hours=6, **SETTINGS)
    for cutoff in CUTOFFS:
        seen = states_at(every, cutoff)
        wanted = {rows[0].account: as_known(rows, cutoff, GRACE, DAYS) for rows in company}
        wanted = {account: state for account, state in wanted.items() if state is not None}
        assert list(seen.index) == list(wanted)
        made = {account: told(state) for account, state in seen.iterrows()}
        assert made == {account: {name: state[name] for name in made[account]} for account, state in wanted.items()}
        # One cutoff by itself says the same.
        alone = state_known_at(table, cutoff, grace_hours=6, **SETTINGS)
        assert {account: told(state) for account, state in alone.iterrows()} == made
        in_sight = every[(every["known_from"] <= cutoff) & ~(every["known_until"] <= cutoff)]
        changes = in_sight.groupby("account_id")["is_plan_change"].sum().to_dict()
        assert changes == {account: state["plan_changes"] for account, state in wanted.items()}


@settings(max_examples=4, deadline=None, phases=[Phase.generate], derandomize=True)
@given(SEEDS)
def test_departures_and_upgrades_equal_the_oracle(seed):
    company = company_of(seed)
    table, until = frame([row for rows in company for row in rows]), C + 60 * DAY
    left = churn_events(table, complete_until=until, **SETTINGS)
    made = [(row.account_id, row.event_time, plain(row.return_time)) for row in left.itertuples()]
    assert made == [(rows[0].account, *end) for rows in company for end in departures(rows, until, DAYS)]
    ranks = {"s": 0, "m": 1, "l": 2}
    states = plan_states(states_of(table, **SETTINGS), ranks)
    for cutoff in CUTOFFS[1:3]:
        later = upgrades_after(states, cutoff)
        made = list(later[["account_id", "event_time"]].itertuples(index=False, name=None))
        wanted = [(rows[0].account, at) for rows in company for at in upgrades(rows, ranks, cutoff, until, DAYS)]
        assert made == wanted


@settings(max_examples=3, deadline=None, phases=[Phase.generate], derandomize=True)
@given(SEEDS)
def test_what_is_known_later_or_happens_later_changes_nothing(seed):
    company, other = company_of(seed), company_of(seed + 1)
    cutoff = CUTOFFS[2]
    known = [row for rows in company for row in rows if row.known < cutoff + GRACE and row.occurred < cutoff]
    later = [replace(row, known=max(row.known, cutoff + GRACE)) for rows in other for row in rows]
    later += [replace(row, occurred=max(row.occurred, cutoff)) for rows in other for row in rows]
    before, after = (
        states_at(known_states(frame(rows), grace_hours=6, **SETTINGS), cutoff) for rows in (known, [*later, *known])
    )
    assert [told(state) for _, state in before.iterrows()] == [told(state) for _, state in after.iterrows()]
