"""The training frame of random small histories equals a plain-Python point-in-time oracle."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from features.build.build import build
from features.feature_store.store import open_store
from features.rollup.count import roll_up
from features.windows import utc
from tests.features.conftest import Log
from tests.training.point_in_time import DAY, Call, Change, Rules, departures, features, status, upgrades
from training.labels.dataset import load
from training.labels.targets import target

CUTOFFS = (utc(2026, 3, 2), utc(2026, 3, 9), utc(2026, 3, 16))
COMPLETE = CUTOFFS[1] + 9 * DAY
SETTINGS = {
    "horizon_days": 7,
    "lead_days": 2,
    "renewal_grace_days": 3,
    "reactivation_days": 3,
    "minimum_tenure_days": 5,
    "threads": 1,
    "source_late_days": 1000,  # of random calls the newest is often old, and silence is another test's claim
}
RULES = Rules(timedelta(hours=6), 7 * DAY, 2 * DAY, 3 * DAY, 3 * DAY, 5 * DAY)
CLOSED = {"churn": CUTOFFS[:1], "upsell": CUTOFFS[:2], "churn_inactivity": CUTOFFS[:2]}
RANDOM = [f"a{number:02d}" for number in range(16)]
NAMES = [*RANDOM, "leaves", "stays", "upgrades"]

OLD = CUTOFFS[0] - 60 * DAY
SURE: list[tuple[str, datetime, str, str, float]] = [
    ("leaves", OLD, "start", "s", 50.0),
    ("upgrades", OLD, "start", "xs", 5.0),  # below every plan that is drawn, whatever its median
    ("stays", OLD, "start", "l", 500.0),
    ("leaves", CUTOFFS[0] + 4 * DAY, "cancel", "s", 50.0),
    ("upgrades", CUTOFFS[0] + 4 * DAY, "upgrade", "xl", 5000.0),
]
"""Accounts of both outcomes, whatever is drawn beside them."""

# Few distinct moments, so that ties and boundaries are common; knowledge at once, at the end of the grace, or later.
moments = st.builds(lambda day, hour: CUTOFFS[0] + timedelta(days=day, hours=hour), st.integers(-20, 19), st.just(0))
recent = st.builds(lambda day, hour: CUTOFFS[0] + timedelta(days=day, hours=hour), st.integers(-9, 17), st.just(18))
delays = st.sampled_from([timedelta(0), timedelta(0), timedelta(hours=6), timedelta(hours=12), 3 * DAY])
kinds = st.sampled_from(["renew", "upgrade", "upgrade", "downgrade", "cancel_notice", "cancel", "reactivate", "start"])


@st.composite
def changes(draw: st.DrawFn, account: str) -> list[dict[str, Any]]:
    """Subscription events of one account, in the order of its file."""
    first = {"kind": "start", "occurred_at": CUTOFFS[0] - draw(st.integers(4, 30)) * DAY}
    later = draw(st.lists(st.fixed_dictionaries({"kind": kinds, "occurred_at": moments}), max_size=4))
    rows = []
    for row in [first, *later]:
        is_bare = row["kind"] == "cancel_notice" and draw(st.booleans())
        ends = row["occurred_at"] + draw(st.integers(5, 30)) * DAY if draw(st.integers(0, 2)) == 0 else None
        stated = {
            "plan": draw(st.sampled_from(["s", "s", "m", "l"])),
            "mrr": float(draw(st.sampled_from([50, 54, 55, 100]))),
            "term_end": ends,
        }
        known = row["occurred_at"] + draw(delays)
        rows.append({"account_id": account, **row, "known_at": known, **({} if is_bare else stated)})
    return rows


@st.composite
def calls(draw: st.DrawFn, account: str) -> list[dict[str, Any]]:
    """Calls of one account."""
    times = draw(st.lists(st.one_of(moments, recent), max_size=6))
    return [
        {
            "account_id": account,
            "event_time": time,
            "ingested_at": time + draw(delays),
            "status": draw(st.sampled_from([200, 200, 404, 500])),
        }
        for time in times
    ]


@dataclass(frozen=True, repr=False)
class History:
    """Rows of both tables: those drawn, then the sure ones."""

    subscriptions: list[dict[str, Any]]
    events: list[dict[str, Any]]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """A company."""
    subscriptions = [row for name in RANDOM for row in draw(changes(name))]
    events = [row for name in RANDOM for row in draw(calls(name))]
    for account, at, kind, plan, mrr in SURE:
        subscriptions.append(
            {"account_id": account, "occurred_at": at, "known_at": at, "kind": kind, "plan": plan, "mrr": mrr}
        )
    newest = (CUTOFFS[-1] - CUTOFFS[0]).days - 1  # no cutoff lies so long after the log that all look silent
    for account, day in (("leaves", -1), ("upgrades", -1), ("upgrades", 4), ("stays", -1), ("stays", newest)):
        at = CUTOFFS[0] + day * DAY
        events.append({"account_id": account, "event_time": at, "ingested_at": at, "status": 200})
    return History([row | {"source_order": order} for order, row in enumerate(subscriptions)], events)


def expected(name: str, subscriptions: list[Change], log: list[Call]) -> list[dict[str, Any]]:
    """The rows of the target's frame, by the oracle."""
    rows = []
    for c in CLOSED[name]:
        begin, end = c + RULES.lead, c + RULES.lead + RULES.horizon
        for account in NAMES:
            mine = [row for row in subscriptions if row.account == account]
            heard = [call for call in log if call.account == account]
            found = features(heard, mine, c, RULES)
            if name == "churn_inactivity":
                is_in = found["calls_28d"] > 0
                is_silent = not any(begin <= call.time < end for call in heard)
                last = max((call.time for call in heard if call.time < begin), default=None)
                lead, window = None, last if is_silent else None
            else:
                left = departures(mine, COMPLETE, RULES)
                is_gone = any(time < c and (back is None or not back < c) for time, back in left)
                is_upsell = name == "upsell"
                is_in = status(mine, subscriptions, c, RULES, upsell=is_upsell) == "ok" and not is_gone
                times = (
                    list(upgrades(mine, subscriptions, c, COMPLETE, RULES)) if is_upsell else [time for time, _ in left]
                )
                lead = min((time for time in times if c <= time < begin), default=None)
                window = min((time for time in times if begin <= time < end), default=None)
            if is_in:
                outcome = {"label": int(window is not None), "in_lead": lead is not None, "event_time": lead or window}
                rows.append({"account_id": account, "cutoff": c, **outcome, **found})
    return rows


@pytest.mark.slow
@settings(
    max_examples=3,
    derandomize=True,
    phases=[Phase.generate],  # each try takes seconds; shrinking would take minutes
    suppress_health_check=list(HealthCheck),
)
@given(history=histories())
def test_the_frame_equals_the_oracle(history: History) -> None:
    subscriptions, events = history.subscriptions, history.events
    with TemporaryDirectory() as folder:
        log = Log(Path(folder) / "home", **SETTINGS).add("subscriptions", *subscriptions).add("events", *events)
        log.store()
        with log.home.stores.raw.writer() as writer:
            writer.notes["complete_until"] = dict.fromkeys(("events", "subscriptions"), COMPLETE.isoformat())
        roll_up(log.home)
        build(log.home, CUTOFFS, now=CUTOFFS[-1] + DAY)
        open_store(log.home).apply()
        found = {name: load(log.home, target(name, log.home)) for name in CLOSED}
    changed = [
        Change(
            *(row.get(key) for key in ("account_id", "occurred_at", "known_at", "kind", "plan", "mrr", "term_end")),
            order=row["source_order"],
        )
        for row in subscriptions
    ]
    called = [Call(row["account_id"], row["event_time"], row["ingested_at"], row["status"]) for row in events]
    for name, dataset in found.items():
        wanted = pd.DataFrame(expected(name, changed, called))
        wanted = wanted.astype(dict.fromkeys(("cutoff", "event_time"), "datetime64[us, UTC]"))
        got = dataset.frame[list(wanted.columns)]
        pd.testing.assert_frame_equal(got, wanted, check_dtype=False, check_exact=False, rtol=1e-9)
        assert set(wanted["label"]) == {0, 1}
        assert dataset.log_start == min(row["event_time"] for row in events).replace(hour=0)
        assert dataset.open_cutoffs == tuple(c for c in CUTOFFS if c not in CLOSED[name])
