"""Support features of touchpoints few enough to count."""

from datetime import timedelta

import pytest

from features.windows import DAY, utc

BUILDS = ("support",)
C = utc(2026, 6, 29)
MICROSECOND = timedelta(microseconds=1)
GRACE = timedelta(hours=6)


def touch(kind, occurred_at, account="a", value=None, known_at=None):
    return {"account_id": account, "kind": kind, "occurred_at": occurred_at, "value": value, "known_at": known_at}


def known(log, *accounts):
    """Accounts without a call, older than any window."""
    long_ago = C - 400 * DAY
    return log.add(
        "accounts", *[{"account_id": name, "created_at": long_ago, "known_at": long_ago} for name in accounts]
    )


def found(table, names, accounts):
    return {account: tuple(table[account, C][name] for name in names) for account in accounts}


def test_tickets_of_28_days_and_those_still_open(log):
    known(log, "a", "b").add(
        "touchpoints",
        touch("ticket_opened", C - 28 * DAY - MICROSECOND),
        touch("ticket_opened", C - 28 * DAY),
        touch("ticket_opened", C - MICROSECOND, known_at=C + GRACE - MICROSECOND),
        touch("ticket_opened", C - DAY, known_at=C + GRACE),
        touch("ticket_opened", C),
        touch("ticket_closed", C - MICROSECOND),
        touch("ticket_closed", C - DAY, known_at=C + GRACE),
        touch("ticket_closed", C - DAY, "b"),  # of a ticket from before the export
    )
    rows = found(log.table(C), ("tickets_opened_28d", "tickets_open"), "ab")
    assert rows == {"a": (2, 2), "b": (0, 0)}


def test_of_one_moment_and_kind_what_became_known_last_counts(log):
    first, names = C - 20 * DAY, ("tickets_opened_28d", "tickets_open", "nps_last", "logins_28d")
    known(log, "a", "b").add(
        "touchpoints",
        touch("ticket_opened", first, value=1.0, known_at=first),
        touch("ticket_opened", first, value=2.0, known_at=first),  # two that came together
        touch("ticket_opened", first, value=3.0, known_at=C - 8 * DAY + GRACE),  # was one, as known since then
        touch("ticket_closed", first, value=3.0, known_at=first),
        touch("nps", first, value=9.0, known_at=first),
        touch("nps", first, value=2.0, known_at=C + GRACE - MICROSECOND),
        touch("nps", first, value=7.0, known_at=C + GRACE),
        touch("login", first, "b", value=1.0, known_at=first),
        touch("login", first + MICROSECOND, "b", known_at=C - DAY),
    )
    rows = log.table(C - 8 * DAY, C)
    assert [tuple(rows["a", cutoff][name] for name in names) for cutoff in (C - 8 * DAY, C)] == [
        (2, 1, 9.0, 0),
        (1, 0, 2.0, 0),
    ]
    assert rows["b", C]["logins_28d"] == 2


def test_silence_after_a_spike_of_three_tickets(log):
    begin, middle = C - 84 * DAY, C - 28 * DAY
    moments = {
        "a": [begin, begin, middle - MICROSECOND],
        "two": [begin - MICROSECOND, begin, begin],
        "again": [begin, begin, begin, middle],
        "late": [begin, begin, begin],
        "none": [],
    }
    known(log, *moments)
    log.add("touchpoints", *[touch("ticket_opened", at, name) for name, times in moments.items() for at in times])
    log.add("touchpoints", touch("ticket_opened", C - DAY, "late", known_at=C + GRACE), touch("login", C - DAY))
    rows = found(log.table(C), ("ticket_silence_after_spike",), moments)
    assert rows == {"a": (1,), "two": (0,), "again": (0,), "late": (1,), "none": (0,)}


def test_the_last_answer_counts_and_one_without_a_value_is_none(log):
    same = C - 9 * DAY
    known(log, "a", "b", "c").add(
        "touchpoints",
        touch("nps", C - 90 * DAY, value=3.0),
        touch("nps", same, value=8.0, known_at=same + DAY),
        touch("nps", same, value=9.0, known_at=same + DAY),
        touch("nps", same, value=1.0),
        touch("nps", C - DAY),
        touch("nps", C - DAY, value=10.0, known_at=C + GRACE),
        touch("nps", C, value=10.0),
        touch("csat", C - 3 * DAY, value=4.5),
        touch("nps", C - 400 * DAY, "b", value=0.0),
    )
    rows = found(log.table(C), ("nps_last", "csat_last", "days_since_survey"), "abc")
    assert rows == {"a": (8.0, 4.5, 3.0), "b": (0.0, None, 400.0), "c": (None, None, None)}


@pytest.mark.parametrize(("feed", "ratio"), [(56 * DAY, 4 / 3), (56 * DAY - MICROSECOND, None)])
def test_logins_by_window_and_against_the_window_before(log, feed, ratio):
    known(log, "a", "silent").add(
        "accounts", {"account_id": "young", "created_at": C - 55 * DAY, "known_at": C - 55 * DAY}
    )
    log.add(
        "touchpoints",
        touch("login", C - feed, "silent"),
        touch("login", C - feed + MICROSECOND),
        touch("login", C - 28 * DAY - MICROSECOND),
        touch("login", C - 28 * DAY),
        touch("login", C - 7 * DAY - MICROSECOND),
        touch("login", C - 7 * DAY),
        touch("login", C - DAY, known_at=C + GRACE),
        touch("login", C),
        touch("login", C - DAY, "young"),
        touch("ticket_opened", C - 300 * DAY),
    )
    rows = found(log.table(C), ("logins_7d", "logins_28d", "logins_28d_vs_prior_28d"), ("a", "silent", "young"))
    assert rows["a"] == (1, 3, ratio)
    assert rows["silent"] == (0, 0, 0.5 if ratio else None)
    assert rows["young"] == (1, 1, None)


def test_failed_payments_of_91_days(log):
    known(log, "a", "b").add(
        "touchpoints",
        touch("payment_failed", C - 91 * DAY - MICROSECOND),
        touch("payment_failed", C - 91 * DAY),
        touch("payment_failed", C - MICROSECOND),
        touch("payment_failed", C - DAY, known_at=C + GRACE),
        touch("payment_failed", C),
    )
    assert found(log.table(C), ("payment_failures_91d",), "ab") == {"a": (2,), "b": (0,)}


def test_without_a_known_touchpoint_everything_is_null(log):
    known(log, "a").add("touchpoints", touch("login", C), touch("login", C - DAY, known_at=C + GRACE))
    row = log.at(C)
    assert {name: value for name, value in row.items() if value is not None and "login" in name} == {}
    assert [row[name] for name in ("tickets_opened_28d", "tickets_open", "payment_failures_91d")] == [None] * 3
