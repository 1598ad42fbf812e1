"""What a diagnosis compares, counted by hand."""

from datetime import timedelta

import pytest

from features.analytics.diagnosis_counts import daily_counts_of, diagnosis_counts
from features.rollup.count import roll_up
from features.windows import DAY, utc

C = utc(2026, 9, 1)
HOUR = timedelta(hours=1)


def calls(count, *, age_days, **given):
    at = C - age_days * DAY
    return [{"event_time": at + n * timedelta(seconds=1), "endpoint": "/a", **given} for n in range(count)]


@pytest.fixture
def counts(log):
    log.add(
        "events",
        *calls(8, age_days=1, status=200),
        *calls(2, age_days=28, status=401),
        *calls(1, age_days=28, status=None),
        *calls(5, age_days=29, status=200),  # before the 28 days
        *calls(3, age_days=119, endpoint="/old"),
        *calls(7, age_days=120, endpoint="/older"),
        *calls(4, age_days=0),  # at the cutoff
        *calls(9, age_days=2, ingested_at=C + 7 * HOUR),  # not known yet
        *calls(100, age_days=3, account_id="b", status=200),
        *calls(100, age_days=3, account_id="b", status=401),
    )
    log.store()
    roll_up(log.home)
    return diagnosis_counts(log.home, C)


def test_calls_are_of_28_days_and_earlier_ones_of_the_91_before_as_known(counts):
    of_a = counts.endpoints[counts.endpoints.account_id == "a"]
    columns = ["endpoint", "calls", "answered", "err_auth", "ok_28d", "ok_7d", "earlier_ok"]
    assert of_a[columns].to_numpy().tolist() == [["/a", 11, 10, 2, 9, 8, 5], ["/old", 0, 0, 0, 0, 0, 3]]


def test_expected_failures_are_those_of_others_on_the_endpoint(counts):
    (a,) = counts.endpoints[(counts.endpoints.account_id == "a") & (counts.endpoints.endpoint == "/a")].to_dict(
        "records"
    )
    everybody = 102 / 210
    assert a["expected_err_auth"] == pytest.approx(10 * (100 + 50 * everybody) / (200 + 50))
    assert a["expected_err_server"] == 0


def test_weeks_are_counted_back_from_the_cutoff(counts):
    of_a = counts.weeks[counts.weeks.account_id == "a"]
    assert of_a[["weeks_before", "calls", "active_days"]].to_numpy().tolist() == [
        [0, 8, 1],
        [3, 3, 1],
        [4, 5, 1],
        [16, 3, 1],
    ]


def test_a_person_is_lost_after_seven_days_of_silence_while_others_go_on(log):
    log.add(
        "events",
        *calls(20, age_days=8, user_id="gone"),
        *calls(20, age_days=35, user_id="gone"),
        *calls(5, age_days=36, user_id="gone"),  # outside the 28 days up to the last call
        *calls(40, age_days=20, user_id="stays"),
        *calls(30, age_days=1, user_id="stays"),
        *calls(20, age_days=7, user_id="back"),  # six days silent
    )
    log.store()
    roll_up(log.home)
    people = diagnosis_counts(log.home, C).people["user"]
    assert people[["calls", "calls_of_all", "calls_since", "last_age_days"]].to_numpy().tolist() == [[40, 80, 50, 8]]


def test_days_of_some_accounts_hold_slow_failed_and_given_up_calls(log):
    log.add("events", *calls(200, age_days=60, latency_ms=10.0), *calls(4, age_days=2, latency_ms=99.0, status=500))
    log.add("events", *calls(6, age_days=50, endpoint="/b"), *calls(5, age_days=2, account_id="b"))
    log.store()
    roll_up(log.home)
    days = daily_counts_of(log.home, C, ["a"], given_up=[("a", "GET", "/b")])
    columns = ["account_id", "age_days", "calls", "err_server", "timed_calls", "slow_calls", "given_up_calls"]
    assert days[columns].to_numpy().tolist() == [["a", 2, 4, 4, 4, 4, 0], ["a", 50, 6, 0, 0, 0, 6]]


def test_a_home_without_endpoints_latency_or_people_gives_empty_counts(log):
    log.add("events", *calls(3, age_days=1, endpoint=None, method=None, user_id=None, token=None, latency_ms=None))
    log.store()
    roll_up(log.home)
    counts = diagnosis_counts(log.home, C)
    assert (len(counts.slow), len(counts.people["user"]), len(counts.people["token"])) == (0, 0, 0)
    assert counts.endpoints.endpoint.tolist() == [""]


def test_an_sdk_version_is_measured_by_its_other_accounts(log):
    go, ruby = {"sdk": "go", "sdk_version": "1"}, {"sdk": "ruby", "sdk_version": "1"}
    log.add(
        "events",
        *calls(2, age_days=40, **go),
        *calls(1, age_days=40, **ruby),  # not its main one
        *calls(1, age_days=29, account_id="b", **go),  # silent since
        *calls(1, age_days=56, account_id="c", **go),
        *calls(1, age_days=28, account_id="c"),  # still calls, without an SDK
        *calls(1, age_days=40, account_id="d", **ruby),
        *calls(1, age_days=57, account_id="e", **go),  # too long ago
        *calls(1, age_days=2, account_id="f", **go),  # too new
        *calls(1, age_days=1, **ruby),
    )
    log.store()
    roll_up(log.home)
    sdk = diagnosis_counts(log.home, C).sdk
    assert sdk.to_numpy().tolist() == [
        ["a", "go", "1", 2, 1, 1, 1],
        ["b", "go", "1", 2, 0, 1, 1],
        ["c", "go", "1", 2, 1, 1, 1],
        ["d", "ruby", "1", 0, 0, 3, 1],
    ]
