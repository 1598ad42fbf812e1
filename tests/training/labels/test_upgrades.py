"""What counts as an upgrade, counted by hand, at each boundary, and by an oracle."""

import numpy as np
import pandas as pd
import pytest

from features.home.home import Home
from features.settings.fields import Settings
from features.windows import days_later, utc
from tests.training.conftest import subscriptions
from training.labels.eligibility import status_at
from training.labels.labels import label
from training.labels.targets import plan_ranks, target

C = utc(2026, 3, 2)
COMPLETE = days_later(C, 7 + 30)
TICK = 1 / 86_400_000_000
PRICES = {"s": 50.0, "m": 100.0, "l": 300.0}


def at(days: float):
    return days_later(C, days)


def events(*rows: tuple) -> pd.DataFrame:
    """Subscription events of account ``a`` from (days after C, kind, plan, mrr[, days until known])."""
    table = subscriptions(*(("a", at(row[0]), row[1], at(row[0] + (row[4] if len(row) > 4 else 0))) for row in rows))
    table = table.assign(plan=[row[2] for row in rows], mrr=[row[3] for row in rows])
    # Others, so that three plans and their prices are known.
    others = subscriptions(*((name, at(-200), "start") for name in PRICES)).assign(
        plan=list(PRICES), mrr=list(PRICES.values())
    )
    return pd.concat([others, table], ignore_index=True).assign(source_order=range(len(table) + 3))


def found(settings: Settings, table: pd.DataFrame) -> pd.DataFrame:
    labels = label(target("upsell", Home(settings)), table, [C], complete_until=COMPLETE, settings=settings)
    return labels.frame.set_index("account_id")


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        ([(7, "upgrade", "m", 100.0)], (1, False)),
        ([(7 - TICK, "upgrade", "m", 100.0)], (0, True)),
        ([(0, "upgrade", "m", 100.0)], (0, True)),
        ([(37 - TICK, "upgrade", "m", 100.0)], (1, False)),
        ([(37, "upgrade", "m", 100.0)], (0, False)),
        ([(10, "renew", "m", 100.0)], (1, False)),  # a higher plan, whatever the event is called
        ([(10, "renew", "s", 200.0)], (0, False)),  # a price that rises is none
        ([(10, "upgrade", "s", 55.0)], (1, False)),  # within the plan, from a tenth more on
        ([(10, "upgrade", "s", 54.99)], (0, False)),
        ([(10, "upgrade", None, 60.0)], (1, False)),
        ([(10, "downgrade", "m", 20.0)], (1, False)),  # the plan ranks higher
        ([(10, "cancel_notice", "l", 300.0)], (0, False)),
        ([(5, "upgrade", "m", 100.0), (10, "renew", "m", 100.0)], (0, True)),  # still the same rise
        ([(20, "upgrade", "m", 100.0, 18)], (0, False)),  # known after the labels are complete
        ([(-40, "renew", None, None), (10, "upgrade", None, 80.0)], (1, False)),  # a blank price is the one there was
        ([(2, "cancel", None, None), (25, "start", "m", 100.0)], (0, False)),  # won back, though dearer
    ],
)
def test_upgrades_at_each_boundary(plain: Settings, rows, outcome):
    table = events((-99, "start", "s", 50.0), *rows)
    assert tuple(found(plain, table).loc["a", ["label", "in_lead"]]) == outcome


def test_two_unchanged_subscriptions_that_renew_are_no_upgrade(plain: Settings):
    renewals = [(7 + 10 * number, "renew", *what) for number in range(3) for what in (("s", 50.0), ("m", 100.0))]
    table = events((-99, "start", "m", 100.0), (-60, "start", "s", 50.0), *renewals)
    for ids in (None, table["plan"]):
        assert tuple(found(plain, table.assign(subscription_id=ids)).loc["a", ["label", "in_lead"]]) == (0, False)


@pytest.mark.parametrize(
    ("rows", "label"),
    [
        ([(10, "start", "m", 100.0)], 1),  # the plan of the account ranks higher
        ([(10, "start", "xs", 5.0)], 0),  # an add-on
        ([(10, "upgrade", "xs", 4.0)], 0),
        ([(10, "start", "m", 100.0), (10 + TICK, "cancel", "s", 50.0)], 1),  # moved to a larger plan
        ([(10, "cancel", "s", 50.0), (10 + TICK, "start", "m", 100.0)], 1),  # the same, the old one ended first
    ],
)
def test_upgrades_compare_what_the_account_has(plain: Settings, rows, label):
    table = events((-99, "start", "s", 50.0), *rows)
    assert found(plain, table).loc["a", "label"] == label


def test_back_to_the_plan_of_the_cutoff_is_no_upgrade(plain: Settings):
    table = events((-99, "start", "m", 100.0), (3, "downgrade", "s", 50.0), (10, "upgrade", "m", 100.0))
    assert tuple(found(plain, table).loc["a", ["label", "in_lead"]]) == (0, False)


def test_an_upgrade_from_nothing_must_cost_something(plain: Settings):
    table = events((-99, "start", "s", 0.0), (10, "upgrade", "s", 0.0))
    assert found(plain, table).loc["a", "label"] == 0


def test_the_top_plan_is_left_out_and_counted(plain: Settings):
    table = events((-99, "start", "l", 300.0))
    labels = label(target("upsell", Home(plain)), table, [C], complete_until=COMPLETE, settings=plain)
    assert sorted(labels.frame["account_id"]) == ["m", "s"]
    assert labels.left_out["top_plan"] == 2


@pytest.mark.parametrize("seed", range(3))
def test_labels_equal_a_plain_python_oracle(plain: Settings, seed):
    generator = np.random.default_rng(seed)
    kinds = ["renew", "upgrade", "upgrade", "downgrade", "cancel_notice"]
    rows, plans, prices = [], [], []
    for number in range(60):
        moment = float(generator.integers(-120, -28))
        for step in range(generator.integers(2, 9)):
            kind = "start" if step == 0 else str(generator.choice(kinds))
            plan = str(generator.choice(["s", "m", "l"]))
            rows.append((f"a{number}", at(moment), kind, at(moment + generator.integers(0, 9))))
            plans.append(plan if generator.random() < 0.9 else None)
            prices.append(float(generator.choice([50.0, 52.0, 54.99, 55.0, 60.0, 100.0])))
            moment += float(generator.integers(0, 40))
    table = subscriptions(*rows).assign(plan=plans, mrr=prices)
    ranks = plan_ranks(table[table["known_at"] <= COMPLETE], plain)
    status = status_at(target("upsell", Home(plain)), table, C, plain)

    def oracle(account: str) -> tuple[int, bool]:
        mine = [r for r in table.itertuples() if r.account_id == account and r.known_at <= COMPLETE]
        mine = [r for r in mine if r.kind != "cancel_notice"]
        mine.sort(key=lambda r: (r.occurred_at, r.known_at, r.source_order))
        plan = before = mrr = None
        times = []
        for row in mine:
            before, plan = plan, row.plan if isinstance(row.plan, str) else plan
            if row.occurred_at < C:
                held, mrr = plan, row.mrr
                continue
            is_larger = None not in (plan, before, held) and ranks[plan] > max(ranks[before], ranks[held])
            is_dearer = row.kind == "upgrade" and round(row.mrr * 100) >= round(mrr * 110)
            if is_larger or is_dearer:
                times.append(row.occurred_at)
        return int(any(at(7) <= t < at(37) for t in times)), any(C <= t < at(7) for t in times)

    expected = {account: oracle(account) for account in status.index[status == "ok"]}
    frame = found(plain, table)
    assert {account: (row["label"], row["in_lead"]) for account, row in frame.iterrows()} == expected
    assert {outcome[0] for outcome in expected.values()} == {0, 1}
