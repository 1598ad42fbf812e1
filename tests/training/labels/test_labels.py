"""What became of an account after a cutoff: counted by hand, by an oracle, and with the future added."""

from datetime import datetime

import numpy as np
import pandas as pd
import pytest

from features.exceptions import WorkFailedError
from features.home.home import Home
from features.settings.fields import Settings
from features.windows import days_later, utc
from tests.training.conftest import subscriptions
from training.labels.eligibility import status_at
from training.labels.labels import is_closed, label
from training.labels.targets import target

C = utc(2026, 3, 2)
TICK = 1 / 86_400_000_000
COMPLETE = days_later(C, 7 + 30 + 14)


def at(days: float) -> datetime:
    return days_later(C, days)


def found(settings: Settings, rows: pd.DataFrame, **options) -> pd.DataFrame:
    labels = label(
        target("churn", Home(settings)), rows, [C], **{"complete_until": COMPLETE, "settings": settings} | options
    )
    return labels.frame.set_index("account_id")


@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        ([("cancel", 7)], (1, False)),
        ([("cancel", 7 - TICK)], (0, True)),
        ([("cancel", 0)], (0, True)),
        ([("cancel", 37 - TICK)], (1, False)),
        ([("cancel", 37)], (0, False)),
        ([("cancel_notice", 10)], (0, False)),
        ([("cancel", 10), ("reactivate", 24 - TICK)], (0, False)),
        ([("cancel", 10), ("reactivate", 24)], (1, False)),  # taken back too late
        ([("cancel", 3), ("start", 5), ("cancel", 30)], (1, False)),
    ],
)
def test_cancellations_at_each_boundary(plain: Settings, rows, outcome):
    table = subscriptions(("a", at(-99), "start"), *(("a", at(days), kind) for kind, days in rows))
    assert tuple(found(plain, table).loc["a", ["label", "in_lead"]]) == outcome


@pytest.mark.parametrize(
    ("end", "rows", "outcome"),
    [
        (7, [], (1, False)),
        (7 - TICK, [], (0, True)),
        (37, [], (0, False)),
        (20, [("renew", 34 - TICK)], (0, False)),
        (20, [("renew", 34)], (1, False)),
        (20, [("upgrade", 20)], (0, False)),
        (20, [("downgrade", 20)], (1, False)),  # without a later term it renews nothing
        (20, [("cancel_notice", 1), ("cancel", 20)], (1, False)),
        (20, [("renew", 5)], (0, False)),  # renewed before its end, without a term
        (20, [("cancel_notice", 1)], (1, False)),  # the notice says nothing of the term, which runs on
        (20, [("cancel_notice", -1), ("cancel_notice", 1)], (1, False)),
        (20, [("cancel_notice", 1), ("renew", 34 - TICK)], (0, False)),
        (20, [("renew", 5), ("cancel_notice", 6)], (0, False)),  # no term was left to keep
    ],
)
def test_expiry_at_each_boundary(plain: Settings, end, rows, outcome):
    first = ("a", at(-99), "start", None, at(end))
    table = subscriptions(first, *(("a", at(days), kind) for kind, days in rows))
    assert tuple(found(plain, table).loc["a", ["label", "in_lead"]]) == outcome


def test_a_term_and_its_cancellation_are_one_departure(plain: Settings):
    table = subscriptions(("a", at(-99), "start", None, at(10)), ("a", at(12), "cancel"))
    assert found(plain, table).loc["a", "event_time"] == at(10)


def test_a_downgrade_with_a_later_term_renews(plain: Settings):
    table = subscriptions(("a", at(-99), "start", None, at(20)), ("a", at(20), "downgrade", None, at(400)))
    assert found(plain, table).loc["a", "label"] == 0


def several(*rows: tuple) -> pd.DataFrame:
    """Events of account ``a`` from (days after C, kind, plan, id[, term_end in days])."""
    full = [(*row, None)[:5] for row in rows]
    table = subscriptions(
        *(("a", at(days), kind, None, None if end is None else at(end)) for days, kind, _, _, end in full)
    )
    return table.assign(plan=[row[2] for row in full], subscription_id=[row[3] for row in full])


PRO = (-99, "start", "pro", "x")
ADDON = (-60, "start", "addon", "y")


@pytest.mark.parametrize("has_ids", [True, False])
@pytest.mark.parametrize(
    ("rows", "outcome"),
    [
        ([PRO, ADDON, (10, "cancel", "addon", "y")], 0),  # an add-on ends, the plan goes on
        ([PRO, ADDON, (10, "cancel", "pro", "x")], 0),
        ([PRO, ADDON, (10, "cancel", "pro", "x"), (37 - TICK, "cancel", "addon", "y")], 1),  # the last one ends
        ([PRO, ADDON, (10, "cancel", "pro", "x"), (37, "cancel", "addon", "y")], 0),
        ([PRO, (10, "start", "new", "y"), (10 + TICK, "cancel", "pro", "x")], 0),  # moved: the new one first
        ([PRO, (10, "cancel", "pro", "x"), (10 + TICK, "start", "new", "y")], 0),  # the old one first
        ([PRO, (10, "cancel", "pro", "x"), (24 - TICK, "start", "new", "y")], 0),
        ([PRO, (10, "cancel", "pro", "x"), (24, "start", "new", "y")], 1),  # too late
        ([PRO, (10, "start", "new", "y"), (10, "cancel", "pro", "x")], 0),  # at one time, the start first in the file
        ([PRO, (10, "start", "new", "y"), (11, "cancel", "pro", "x"), (20, "cancel", "new", "y")], 1),
        ([(-99, "start", "pro", "x", 20), ADDON], 0),  # a term runs out beside a subscription that goes on
        ([(-99, "start", "pro", "x", 20), (-60, "start", "addon", "y", 10)], 1),
        ([(-99, "start", "pro", "x", 20), (34 - TICK, "start", "new", "y")], 0),  # renewed as another plan
        ([(-99, "start", "pro", "x", 20), (34, "start", "new", "y")], 1),
        ([(-99, "start", "pro", "x"), (12, "cancel", "pro", "x")], 1),
    ],
)
def test_an_account_leaves_when_its_last_subscription_ends(plain: Settings, rows, outcome, has_ids):
    table = several(*rows)
    table = table if has_ids else table.drop(columns="subscription_id")
    assert found(plain, table).loc["a", "label"] == outcome


def test_the_day_the_last_one_ended_is_the_day_the_account_left(plain: Settings):
    table = several((-99, "start", "pro", "x", 12), (-60, "start", "addon", "y"), (20, "cancel", "addon", "y"))
    assert found(plain, table).loc["a", "event_time"] == at(20)


def test_who_started_on_the_1st_and_cancelled_on_the_10th_has_left(plain: Settings):
    table = several((-29, "start", "pro", None), (-20, "cancel", "pro", None))
    assert status_at(target("churn", Home(plain)), table, C, plain)["a"] == "cancelled"


def test_gone_but_not_yet_known_gone_is_left_out_and_counted(plain: Settings):
    table = subscriptions(("a", at(-99), "start"), ("a", at(-2), "cancel", at(3)), ("b", at(-99), "start"))
    labels = label(target("churn", Home(plain)), table, [C], complete_until=COMPLETE, settings=plain)
    assert list(labels.frame["account_id"]) == ["b"]
    assert labels.left_out["already_gone"] == 1


@pytest.mark.parametrize(("days", "closed"), [(0, True), (-TICK, False)])
def test_a_cutoff_closes_when_nothing_can_be_undone(plain: Settings, days, closed):
    assert is_closed(target("churn", Home(plain)), C, complete_until=days_later(COMPLETE, days)) is closed


def test_open_cutoffs_are_listed(plain: Settings):
    labels = label(
        target("churn", Home(plain)),
        subscriptions(("a", at(-99), "start")),
        [C, at(7)],
        complete_until=COMPLETE,
        settings=plain,
    )
    assert labels.open_cutoffs == (at(7),)


def test_without_subscriptions_nothing_is_learnt(plain: Settings):
    with pytest.raises(WorkFailedError, match=r"no subscription events.*ingest --subscriptions"):
        label(target("churn", Home(plain)), subscriptions(), [C], complete_until=None, settings=plain)


def random_history(seed: int, accounts: int = 40) -> pd.DataFrame:
    """Lives of every kind: terms, gaps, late knowledge, returns, double cancellations."""
    generator = np.random.default_rng(seed)
    kinds = ["renew", "upgrade", "downgrade", "cancel_notice", "cancel", "reactivate", "start"]
    rows = []
    for number in range(accounts):
        moment = generator.integers(-300, -40)
        for step in range(generator.integers(1, 8)):
            kind = "start" if step == 0 else str(generator.choice(kinds))
            ends = at(int(moment + generator.integers(5, 120))) if generator.random() < 0.6 else None
            known = at(int(moment + generator.integers(0, 12)))
            rows.append((f"a{number}", at(int(moment)), kind, known, ends))
            moment += generator.integers(0, 60)
    return subscriptions(*rows)


def oracle(settings: Settings, table: pd.DataFrame, account: str) -> tuple[int, bool, bool]:
    """Label, in lead, already gone: read one account's rows in order, in plain Python."""
    mine = table[(table["account_id"] == account) & (table["known_at"] <= COMPLETE)]
    rows = sorted(mine.itertuples(), key=lambda row: (row.occurred_at, row.known_at, row.source_order))
    renewing = {"start", "renew", "upgrade", "reactivate"}

    # A notice without a term leaves the last other row's.
    term = None
    for place, row in enumerate(rows):
        if row.kind != "cancel_notice":
            term = row.term_end
        elif pd.isna(row.term_end):
            rows[place] = row._replace(term_end=term)

    def renews(row):
        later_term = row.kind == "downgrade" and not pd.isna(row.term_end) and row.term_end > row.occurred_at
        return row.kind in renewing or later_term

    departures, away = [], False
    for place, row in enumerate(rows):
        rest = rows[place + 1 :]
        if renews(row):
            away = False
        found = []
        if row.kind == "cancel" and not any(
            r.kind in {"start", "reactivate"} and r.occurred_at < days_later(row.occurred_at, 14) for r in rest
        ):
            found.append(row.occurred_at)
        holds = row.kind != "cancel" and not pd.isna(row.term_end) and row.occurred_at < row.term_end
        if (
            holds
            and not any(r.occurred_at < row.term_end for r in rest)
            and not any(renews(r) and r.occurred_at < days_later(row.term_end, 14) for r in rest)
        ):
            found.append(row.term_end)
        if found and not away:
            back = next((r.occurred_at for r in rest if renews(r)), None)
            departures.append((min(found), back))
            away = True
    gone = any(left < C and (back is None or not back < C) for left, back in departures)
    in_lead = any(C <= left < at(7) for left, _ in departures)
    return int(any(at(7) <= left < at(37) for left, _ in departures)), in_lead, gone


@pytest.mark.parametrize("seed", range(5))
def test_labels_equal_a_plain_python_oracle(plain: Settings, seed):
    table = random_history(seed)
    status = status_at(target("churn", Home(plain)), table, C, plain)
    expected = {account: oracle(plain, table, account) for account in status.index[status == "ok"]}
    frame = found(plain, table)
    assert {account: (row["label"], row["in_lead"]) for account, row in frame.iterrows()} == {
        account: outcome[:2] for account, outcome in expected.items() if not outcome[2]
    }


def test_what_is_known_after_completeness_changes_nothing(plain: Settings):
    table = random_history(9)
    late = subscriptions(
        *((f"a{n}", at(10), kind, days_later(COMPLETE, TICK)) for n in range(40) for kind in ("cancel", "renew"))
    )
    together = pd.concat([table, late.assign(source_order=late["source_order"] + 999)], ignore_index=True)
    pd.testing.assert_frame_equal(found(plain, together), found(plain, table))
