"""Whatever is added at or after the cutoff, or known after it, changes no feature at the cutoff."""

import random
from datetime import timedelta

import pytest

from features.definitions.catalog import CATALOG
from features.windows import DAY, utc
from tests.features.conftest import Log

C = utc(2026, 6, 29)
MICROSECOND = timedelta(microseconds=1)
KNOWN_TOO_LATE = C + timedelta(hours=6)
BUSY_DAYS = [*range(8), *range(8, 100, 5)]


def random_call(dice, moment, **row):
    return {
        "account_id": dice.choice("abc"),
        "event_time": moment,
        "endpoint": dice.choice(["/a", "/b", "/c", None]),
        "method": dice.choice(["GET", "POST", None]),
        "status": dice.choice([200, 200, 404, 401, 429, 500, None]),
        "latency_ms": dice.choice([0.0, 12.0, 1500.0, None]),
        "user_id": dice.choice(["u1", "u2", None]),
        "token": dice.choice(["t1", None]),
        "sdk": dice.choice(["go", "java", None]),
        "sdk_version": dice.choice(["1.0", "1.1", None]),
        **row,
    }


def touchpoint(dice, kind, moment, **row):
    return {"account_id": dice.choice("ab"), "kind": kind, "occurred_at": moment, "value": dice.uniform(0, 10), **row}


VALUE_ENDPOINTS = ("POST /a",)


@pytest.fixture
def log(new_counted_log):
    """A history in which every feature has a value for somebody."""
    return some_history(new_counted_log(value_endpoints=VALUE_ENDPOINTS))


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """The features of that history alone, by the way of files."""
    home = tmp_path_factory.mktemp("before") / "home"
    return some_history(Log(home, value_endpoints=VALUE_ENDPOINTS)).table(C)


def some_history(log):
    dice = random.Random(1)
    log.add(
        "events", *[random_call(dice, C - (dice.choice(BUSY_DAYS) + dice.uniform(0.001, 1)) * DAY) for _ in range(300)]
    )
    log.add("events", *[{"account_id": account, "event_time": C - 400 * DAY} for account in "abc"])
    log.add("accounts", *[{"account_id": name, "created_at": C - 99 * DAY, "known_at": C - 99 * DAY} for name in "abd"])
    log.add(
        "subscriptions",
        {"kind": "start", "occurred_at": C - 90 * DAY, "plan": "basic", "mrr": 10.0, "quota_calls_per_month": 50},
        {"account_id": "b", "kind": "start", "occurred_at": C - 9 * DAY, "plan": "pro", "mrr": 99.0},
        {"account_id": "c", "kind": "start", "occurred_at": C - 99 * DAY, "plan": "basic", "mrr": 10.0,
         "quota_calls_per_month": 3, "term_end": C + DAY},
        {"account_id": "c", "kind": "cancel_notice", "occurred_at": C - 9 * DAY},
    )  # fmt: skip
    log.add("accounts", {"account_id": "d", "created_at": C - 50 * DAY, "known_at": C - 50 * DAY})
    log.add("events", {"account_id": "d", "event_time": C - 40 * DAY, "endpoint": "/a", "method": "POST"})
    kinds = ["ticket_opened", "ticket_opened", "ticket_closed", "login", "nps", "csat", "payment_failed"]
    for _ in range(60):
        log.add("touchpoints", touchpoint(dice, dice.choice(kinds), C - dice.uniform(0.001, 100) * DAY))
    return log


def later_calls(log):
    dice = random.Random(2)
    log.add("events", *[random_call(dice, C + share * DAY, sdk="x") for share in (0, 0.1, 1, 30)])


def calls_of_the_past_that_arrive_too_late(log):
    dice = random.Random(3)
    moments = [C - days * DAY for days in (0.000001, 3, 8, 20, 40, 90, 300, 370)]
    log.add("events", *[random_call(dice, moment, ingested_at=KNOWN_TOO_LATE) for moment in moments])
    bad_day = {"endpoint": "/late", "method": "PUT", "status": 500, "token": "late", "user_id": "late"}
    for account in "abc":
        row = {"account_id": account, "event_time": C - DAY, "ingested_at": KNOWN_TOO_LATE}
        log.add("events", *[bad_day | row] * 40, *[bad_day | row | {"event_time": C - 370 * DAY}] * 3)


def calls_of_others_that_arrive_too_late(log):
    for endpoint in ("/a", "/b", "/c", "/new"):
        for method in ("GET", "POST", None):
            row = {"account_id": "d", "event_time": C - 3 * DAY, "ingested_at": KNOWN_TOO_LATE, "latency_ms": 9e6}
            log.add("events", {**row, "endpoint": endpoint, "method": method})


def a_new_account_that_calls_later(log):
    log.add("events", {"account_id": "new", "event_time": C, "user_id": "u", "token": "t"})
    log.add("events", {"account_id": "late", "event_time": C - 50 * DAY, "ingested_at": KNOWN_TOO_LATE})


def subscription_events_from_the_cutoff_on(log):
    log.add("subscriptions", {"kind": "cancel", "occurred_at": C, "known_at": C - DAY, "plan": "x", "mrr": 1.0})


def subscription_events_known_too_late(log):
    for account in ("a", "b", "never seen"):
        row = {"account_id": account, "kind": "upgrade", "occurred_at": C - 200 * DAY, "known_at": KNOWN_TOO_LATE}
        log.add("subscriptions", {**row, "plan": "x", "mrr": 5.0}, {**row, "kind": "start", "plan": "y"})


def notices_known_too_late(log):
    for account in ("a", "b", "c"):
        row = {"account_id": account, "kind": "cancel_notice", "occurred_at": C - DAY, "plan": "x", "mrr": 7.0}
        log.add("subscriptions", {**row, "known_at": KNOWN_TOO_LATE, "quota_calls_per_month": 1})


def account_rows_known_too_late(log):
    for account in ("a", "c", "never seen"):
        log.add("accounts", {"account_id": account, "created_at": C - 999 * DAY, "known_at": KNOWN_TOO_LATE})


def accounts_created_from_the_cutoff_on(log):
    log.add("accounts", {"account_id": "new", "created_at": C, "known_at": C})
    log.add("accounts", {"account_id": "a", "created_at": C + DAY, "known_at": C - DAY})


def a_release_seen_later(log):
    newer = {"sdk": "go", "sdk_version": "9.0"}
    log.add("events", {"account_id": "d", "event_time": C, **newer})
    log.add("events", {"account_id": "d", "event_time": C - 60 * DAY, "ingested_at": KNOWN_TOO_LATE, **newer})


def touchpoints_from_the_cutoff_on(log):
    dice = random.Random(5)
    for kind in ("ticket_opened", "ticket_closed", "login", "nps", "csat", "payment_failed"):
        log.add("touchpoints", *[touchpoint(dice, kind, C + days * DAY, known_at=C - DAY) for days in (0, 1)])


def touchpoints_known_too_late(log):
    dice = random.Random(6)
    for kind in ("ticket_opened", "ticket_closed", "login", "nps", "csat", "payment_failed"):
        for days in (0.000001, 3, 10, 40, 70, 90, 300):
            log.add("touchpoints", *[touchpoint(dice, kind, C - days * DAY, known_at=KNOWN_TOO_LATE)] * 3)


def synthetic_traffic(log):
    dice = random.Random(4)
    log.add("events", *[random_call(dice, C - days * DAY, synthetic=True, account_id="a") for days in (1, 5, 50)])


BEYOND = (
    later_calls,
    calls_of_the_past_that_arrive_too_late,
    calls_of_others_that_arrive_too_late,
    a_new_account_that_calls_later,
    subscription_events_from_the_cutoff_on,
    subscription_events_known_too_late,
    notices_known_too_late,
    account_rows_known_too_late,
    accounts_created_from_the_cutoff_on,
    a_release_seen_later,
    touchpoints_from_the_cutoff_on,
    touchpoints_known_too_late,
    synthetic_traffic,
)


@pytest.mark.parametrize("add", BEYOND, ids=lambda add: add.__name__)
@pytest.mark.slow
def test_nothing_from_beyond_the_cutoff_changes_any_feature(log, before, add):
    add(log)
    assert log.table(C) == before


@pytest.mark.slow
def test_nor_does_all_of_it_together_by_the_way_of_files(new_log, before):
    log = some_history(new_log(value_endpoints=VALUE_ENDPOINTS))
    for add in BEYOND:
        add(log)
    assert log.table(C) == before


@pytest.mark.slow
def test_every_feature_has_a_value_that_could_change(before):
    rows = before.values()
    null = {feature.name for feature in CATALOG if all(row[feature.name] is None for row in rows)}
    assert null <= {"calls_28d_vs_year_ago", "days_since_last_error_burst", "worst_daily_error_rate_28d"}


@pytest.mark.slow
def test_the_first_user_and_status_of_the_log_change_nothing_before_they_are_known(new_log):
    plain = {"event_time": C - DAY, "status": None}
    before = new_log().add("events", plain).table(C)
    log = new_log().add("events", plain, {"event_time": C, "status": 500, "user_id": "u", "token": "t"})
    assert log.table(C) == before
