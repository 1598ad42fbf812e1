"""What a group says of rows in memory it says of the same rows in files, by the way everybody goes."""

from datetime import timedelta

import pytest

from features.definitions.catalog import GROUPS, features_of_group
from features.windows import DAY, utc
from tests.features.conftest import Log

C = utc(2026, 6, 29)
HOUR = timedelta(hours=1)
VALUE_ENDPOINTS = ("/v1/pay",)
CUTOFFS = (C - 28 * DAY, C)


def fill(log: Log) -> Log:
    """Two accounts with something of everything: late calls, calls over months and of a year ago, and records."""
    for account, ages in (("a", (400, 380, 120, 95, 60, 40, 40, 20, 9, 3, 1, 1)), ("b", (392, 91, 29, 28, 2))):
        created_at = C - ages[0] * DAY
        log.add("accounts", {"account_id": account, "created_at": created_at, "known_at": created_at})
        for number, age in enumerate(ages):
            call = {
                "account_id": account,
                "event_time": C - age * DAY + number * HOUR,
                "ingested_at": C - age * DAY + number * HOUR + (number % 4) * DAY,
                "endpoint": ("/v1/orders", "/v1/pay", "/v1/orders")[number % 3],
                "method": ("GET", "POST")[number % 2],
                "status": (200, 200, 503, 429, 401)[number % 5],
                "latency_ms": 10.0 + 700 * (number % 3),
                "token": f"t{number % 2}",
                "user_id": f"u{number % 3}",
                "sdk": "go",
                "sdk_version": ("1.9", "1.10")[number % 2],
            }
            log.add("events", *[call | {"event_time": call["event_time"] + turn * HOUR / 60} for turn in range(6)])
        state = {
            "account_id": account,
            "plan": "pro",
            "mrr": 90.0,
            "quota_calls_per_month": 4,
            "term_end": C + 40 * DAY,
        }
        log.add("subscriptions", state | {"kind": "start", "occurred_at": C - 200 * DAY, "source_order": 0})
        log.add(
            "subscriptions", state | {"kind": "upgrade", "occurred_at": C - 30 * DAY, "mrr": 99.0, "source_order": 1}
        )
        for kind, value in (("ticket_opened", None), ("login", None), ("nps", 7.0), ("csat", 3.0)):
            for age in (90, 9):
                log.add(
                    "touchpoints", {"account_id": account, "kind": kind, "value": value, "occurred_at": C - age * DAY}
                )
    return log


@pytest.fixture(scope="module")
def by_files(tmp_path_factory):
    """Every feature of these rows, by the way of files."""
    home = tmp_path_factory.mktemp("files") / "home"
    return fill(Log(home, value_endpoints=VALUE_ENDPOINTS)).table(*CUTOFFS)


@pytest.mark.parametrize("group", GROUPS)
def test_files_say_what_the_rows_in_memory_say(group, new_counted_log, by_files):
    in_memory = fill(new_counted_log(builds=[group], value_endpoints=VALUE_ENDPOINTS)).table(*CUTOFFS)
    names = [feature.name for feature in features_of_group(group)]
    assert {key: {name: row[name] for name in names} for key, row in in_memory.items()} == {
        key: {name: row[name] for name in names} for key, row in by_files.items()
    }
    assert len(by_files) == 4
    known = [name for name in names if any(row[name] is not None for row in by_files.values())]
    assert len(known) >= len(names) / 2
