"""Features of fading use: days that count half after their half-life, on logs small enough to count."""

import math
import random
from datetime import timedelta

import pytest

from features.definitions.catalog import features_of_group
from features.windows import DAY, utc

BUILDS = ("recency",)
C = utc(2026, 6, 29)
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)
HALF_LIVES = (2, 4, 7, 14, 28, 56, 112)
NOON_OF_THE_LAST_DAY = 0.5


def call(event_time, **row):
    return {"event_time": event_time, **row}


def half(age_days, half_life):
    return 0.5 ** (age_days / half_life)


def values(row):
    return {feature.name: row[feature.name] for feature in features_of_group("recency")}


@pytest.mark.parametrize("half_life", HALF_LIVES)
def test_a_day_counts_half_as_much_after_its_half_life(log, half_life):
    log.add("events", *[call(C - DAY)] * 3, *[call(C - (half_life + 1) * DAY, account_id="b")] * 6)
    table = log.table(C)
    a, b = table["a", C], table["b", C]
    now = half(NOON_OF_THE_LAST_DAY, half_life)
    assert a[f"calls_ewma_{half_life}d"] == pytest.approx(math.log(1 + 3 * now), abs=1e-11)
    assert b[f"calls_ewma_{half_life}d"] == pytest.approx(math.log(1 + 6 * now / 2), abs=1e-11)
    assert a[f"active_days_ewma_{half_life}d"] == pytest.approx(math.log(1 + now), abs=1e-11)
    assert b[f"active_days_ewma_{half_life}d"] == pytest.approx(math.log(1 + now / 2), abs=1e-11)


def test_the_hour_of_a_call_within_its_day_says_nothing(log):
    log.add(
        "events",
        call(C - DAY),
        call(C - MICROSECOND, account_id="b"),
        call(C - 12 * timedelta(hours=1), account_id="c"),
    )
    table = log.table(C)
    assert values(table["a", C]) == values(table["b", C]) == values(table["c", C])


def test_days_of_the_last_364_are_remembered_as_known_at_the_cutoff(log):
    start = C - 364 * DAY
    log.add(
        "events",
        call(start - MICROSECOND),
        call(start),
        call(C - 60 * DAY, ingested_at=C + GRACE - MICROSECOND),
        call(C - 30 * DAY, ingested_at=C + GRACE),
        call(C - 20 * DAY, synthetic=True),
        call(C),
    )
    row = log.at(C)
    expected = math.log(1 + half(363.5, 112) + half(59.5, 112))
    assert row["calls_ewma_112d"] == pytest.approx(expected, abs=1e-11)
    assert row["active_days_ewma_112d"] == pytest.approx(expected, abs=1e-11)


def test_a_call_that_failed_is_a_call(log):
    log.add("events", call(C - DAY, status=500))
    assert log.at(C)["calls_ewma_2d"] == pytest.approx(math.log(1 + half(0.5, 2)), abs=1e-11)


def test_an_active_day_counts_once_however_late_its_calls_arrive(log):
    log.add(
        "events", call(C - 9 * DAY), call(C - 9 * DAY, ingested_at=C - 5 * DAY), call(C - 9 * DAY, ingested_at=C - DAY)
    )
    row = log.at(C)
    assert row["active_days_ewma_7d"] == pytest.approx(math.log(1 + half(8.5, 7)), abs=1e-11)
    assert row["calls_ewma_7d"] == pytest.approx(math.log(1 + 3 * half(8.5, 7)), abs=1e-11)


def test_late_calls_count_from_the_cutoff_that_knew_them(log):
    log.add("events", call(C - 30 * DAY), call(C - 9 * DAY, ingested_at=C - 3 * DAY))
    table = log.table(C - 7 * DAY, C)
    at_first, later = (table["a", cutoff]["calls_ewma_28d"] for cutoff in (C - 7 * DAY, C))
    assert at_first == pytest.approx(math.log(1 + half(22.5, 28)), abs=1e-11)
    assert later == pytest.approx(math.log(1 + half(29.5, 28) + half(8.5, 28)), abs=1e-11)


def test_a_fade_is_the_short_memory_of_active_days_minus_the_long_one(log):
    log.add("events", *[call(C - days * DAY) for days in (1, 2, 40, 41, 42, 43)])
    row = log.at(C)
    ages = [0.5, 1.5, 39.5, 40.5, 41.5, 42.5]
    for short, long in ((4, 28), (7, 56), (14, 112)):
        memory = {life: math.log(1 + sum(half(age, life) for age in ages)) for life in (short, long)}
        assert row[f"active_days_fade_{short}d_{long}d"] == pytest.approx(memory[short] - memory[long], abs=1e-11)


def test_an_account_without_calls_has_0_of_everything(log):
    log.add("accounts", {"created_at": C - 100 * DAY, "known_at": C - 100 * DAY})
    log.add("events", call(C - 365 * DAY, account_id="b"))
    table = log.table(C)
    assert set(values(table["a", C]).values()) == set(values(table["b", C]).values()) == {0.0}


def test_what_is_said_of_a_cutoff_does_not_hang_on_what_is_built_beside_it(log):
    log.add("events", *some_calls(random.Random(4), accounts="ab"))
    together = log.table(C - 8 * DAY, C - DAY, C)
    assert all(log.table(cutoff)["a", cutoff] == together["a", cutoff] for cutoff in (C - 8 * DAY, C - DAY, C))


@pytest.mark.parametrize("seed", range(3))
def test_every_value_is_that_of_a_sum_over_the_calls_themselves(log, seed):
    calls = some_calls(random.Random(seed), accounts="abc")
    log.add("events", *calls)
    cutoffs = [C - 200 * DAY, C - 8 * DAY, C]
    for (account, cutoff), row in log.table(*cutoffs).items():
        assert values(row) == pytest.approx(by_hand(calls, account, cutoff), abs=1e-9)


def some_calls(dice, *, accounts):
    calls = []
    for _ in range(300):
        moment = C - dice.choice([3, 30, 400]) * dice.random() * DAY
        late = dice.choice([0, 0, 0, dice.uniform(0, 3), dice.uniform(0, 60)])
        row = {
            "account_id": dice.choice(accounts),
            "ingested_at": moment + late * DAY,
            "synthetic": dice.random() < 0.05,
        }
        calls.append(call(moment, **row))
    return calls


def by_hand(calls, account, cutoff):
    """The group's features of one account by plain sums over its calls."""
    known = [
        row["event_time"]
        for row in calls
        if row["account_id"] == account
        and not row["synthetic"]
        and cutoff - 364 * DAY <= row["event_time"] < cutoff
        and row["ingested_at"] < cutoff + GRACE
    ]
    noons = [moment.replace(hour=12, minute=0, second=0, microsecond=0) for moment in known]
    features = {}
    for half_life in HALF_LIVES:
        for name, days in (("calls", noons), ("active_days", set(noons))):
            total = sum(half((cutoff - noon) / DAY, half_life) for noon in days)
            features[f"{name}_ewma_{half_life}d"] = math.log1p(total)
    for short, long in ((4, 28), (7, 56), (14, 112)):
        features[f"active_days_fade_{short}d_{long}d"] = (
            features[f"active_days_ewma_{short}d"] - features[f"active_days_ewma_{long}d"]
        )
    return features
