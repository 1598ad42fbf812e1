"""Each test knows how many calls there are, and names what is unusual by its size."""

from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import pytest

from features.analytics.diagnosis_counts import DiagnosisCounts
from serving.scoring.diagnosis import TESTS, named_findings
from serving.scoring.findings import findings_of
from serving.scoring.since import with_since

C = datetime(2026, 9, 1, tzinfo=UTC)
CLASSES = ("err_auth", "err_throttled", "err_client", "err_server")


def endpoints(*rows):
    """Account, endpoint, calls, failed calls by class, and successes before, with what is usual at 2 %."""
    named = [
        {
            "account_id": account,
            "method": "GET",
            "endpoint": endpoint,
            "calls": calls,
            "answered": calls,
            **{name: failed.get(name, 0) for name in CLASSES},
            **{f"expected_{name}": 0.02 * calls for name in CLASSES},
            **{f"ok_{days}d": calls - sum(failed.values()) for days in (28, 14, 7)},
            "earlier_ok": earlier,
        }
        for account, endpoint, calls, failed, earlier in rows
    ]
    return pd.DataFrame(named, columns=list(named[0]) if named else ["account_id"])


def slow(*rows):
    columns = ["account_id", "method", "endpoint", "timed_calls", "usual_p95_ms", "slow_calls"]
    return pd.DataFrame([(account, "GET", *rest) for account, *rest in rows], columns=columns)


def people(*rows, person="user_id"):
    columns = ["account_id", person, "calls", "last_age_days", "calls_of_all", "calls_since"]
    return pd.DataFrame(rows, columns=columns)


def weeks(**calls_of):
    """Account to its calls by week, the newest first."""
    rows = [(account, week, calls, 7) for account, of in calls_of.items() for week, calls in enumerate(of) if calls]
    return pd.DataFrame(rows, columns=["account_id", "weeks_before", "calls", "active_days"])


def sdk(*rows):
    columns = ["account_id", "sdk", "sdk_version", "accounts", "silent", "elsewhere", "elsewhere_silent"]
    return pd.DataFrame(rows, columns=columns)


def counts(**given):
    tables = {
        "endpoints": endpoints(("z", "/z", 1000, {}, 1000)),
        "slow": slow(("z", "/z", 10_000, 100.0, 500)),
        "people": {"user": people(), "token": people(person="token")},
        "weeks": weeks(z=[100] * 17),
        "sdk": sdk(),
    }
    return DiagnosisCounts(C, **{**tables, **given})


def of(given, account="a"):
    named = named_findings(given)
    return findings_of(named, given, [account])[account]


def families(given, account="a"):
    return [finding.family for finding in of(given, account)]


def test_nothing_unusual_is_an_answer():
    assert families(counts(endpoints=endpoints(("a", "/a", 100, {"err_auth": 2}, 300)))) == []


@pytest.mark.parametrize(
    ("column", "family", "words"),
    [
        ("err_auth", "auth_errors", "not authorised (401 or 403)"),
        ("err_throttled", "throttling", "throttled (429)"),
        ("err_client", "errors", "client error (4xx)"),
        ("err_server", "errors", "server error (5xx)"),
    ],
)
def test_failures_are_measured_against_others_on_the_same_endpoints(column, family, words):
    given = counts(endpoints=endpoints(("a", "/b", 50, {}, 0), ("a", "/a", 50, {column: 20}, 0)))
    (finding,) = of(given)
    assert (finding.family, finding.effect) == (family, pytest.approx(10.0))
    assert finding.text.startswith("20 % of 100 calls")
    assert words in finding.text
    assert "other accounts see 2 % on the same endpoints. Worst on GET /a: 20 of 50 calls." in finding.text
    assert [(entry.value, entry.bad, entry.expected) for entry in finding.evidence] == [("GET /a", 20, 1.0)]


def test_the_same_share_of_few_calls_is_nothing():
    assert families(counts(endpoints=endpoints(("a", "/a", 5, {"err_auth": 1}, 0)))) == []


def test_a_large_tail_of_a_small_effect_is_nothing():
    given = endpoints(("a", "/a", 1_000_000, {"err_client": 24_000}, 0))  # 1.2 times, and no chance
    assert families(counts(endpoints=given)) == []


def test_slow_answers_name_their_endpoint():
    given = counts(slow=slow(("a", "/a", 100, 400.0, 22), ("a", "/b", 50, 10.0, 2), ("z", "/z", 100_000, 9.0, 5000)))
    (finding,) = of(given)
    assert finding.family == "latency"
    assert finding.text == (
        "GET /a is slow: 22 % of its calls take longer than its usual slowest 5 % (400 ms), "
        "67 % of this account's calls go there."
    )
    assert finding.next_step


def test_one_slow_endpoint_among_many_calls_is_named():
    elsewhere = ("a", "/b", 500, 10.0, 20)
    usual = ("z", "/z", 100_000, 9.0, 5000)
    assert families(counts(slow=slow(("a", "/a", 100, 400.0, 30), elsewhere, usual))) == ["latency"]
    assert families(counts(slow=slow(("a", "/a", 60, 400.0, 18), elsewhere, usual))) == []  # a tenth of its calls
    assert families(counts(slow=slow(("a", "/a", 100, 400.0, 12), elsewhere, usual))) == []  # about twice the usual


def test_where_everybody_is_slow_nobody_is_named():
    of_all = [(account, "/a", 1000, 400.0, 400) for account in "abcdef"]
    assert len(named_findings(counts(slow=slow(*of_all)))) == 0


def test_given_up_endpoints_are_named_by_what_the_earlier_mix_lets_expect():
    use = [("a", f"/{n}", 0 if n else 60, {}, 50) for n in range(8)]
    (finding,) = of(counts(endpoints=endpoints(*use)))
    assert finding.family == "breadth"
    assert finding.text == (
        "Only 1 endpoint in use in the last 28 days, where its earlier mix lets expect 8. "
        "Given up: GET /1, GET /2, GET /3 and 4 more."
    )


def test_few_calls_reach_few_endpoints_and_that_is_nothing():
    use = [("a", f"/{n}", 0 if n else 2, {}, 50) for n in range(8)]
    assert families(counts(endpoints=endpoints(*use))) == []


def test_a_short_history_lets_expect_nothing():
    use = [("a", f"/{n}", 0 if n else 60, {}, 3) for n in range(8)]
    assert families(counts(endpoints=endpoints(*use))) == []


def test_the_person_behind_a_fifth_of_the_calls_is_missed():
    given = counts(people={"user": people(("a", "u1", 30, 11, 100, 40)), "token": people(person="token")})
    (finding,) = of(given)
    assert finding.family == "people"
    assert finding.text == ("The user behind 30 % of the calls has made none for 10 days, while others made 40.")


@pytest.mark.parametrize("row", [("a", "u1", 19, 11, 100, 400), ("a", "u1", 30, 11, 100, 9)], ids=["share", "calls"])
def test_a_small_share_or_few_calls_since_are_nothing(row):
    assert families(counts(people={"user": people(row), "token": people(person="token")})) == []


def test_a_user_is_named_before_the_token():
    both = {"user": people(("a", "u", 30, 11, 100, 40)), "token": people(("a", "t", 60, 11, 100, 40), person="token")}
    assert "The user behind 30 %" in of(counts(people=both))[0].text


def test_falling_use_is_said_with_what_is_usual_and_comes_last():
    given = counts(
        weeks=weeks(a=[10] * 4 + [100] * 13, z=[100] * 17, y=[100] * 17),
        endpoints=endpoints(("a", "/a", 100, {"err_auth": 4}, 300)),
        people={"user": people(("a", "u1", 30, 11, 100, 40)), "token": people(person="token")},
    )
    assert families(given) == ["people", "usage_trend"]
    assert of(given)[-1].text == "40 calls in the last 28 days, usually 400."


def test_where_everybody_calls_less_nobody_is_named_for_it():
    assert len(named_findings(counts(weeks=weeks(**{name: [50] * 4 + [100] * 13 for name in "abc"})))) == 0


def test_an_account_whose_weeks_always_differ_is_not_falling():
    changing = [20, 20, 20, 20, 5, 200, 10, 150, 0, 300, 5, 120, 8, 90, 3, 250, 10]
    assert families(counts(weeks=weeks(a=changing))) == []


def test_the_larger_effect_comes_first():
    given = counts(
        endpoints=endpoints(("a", "/a", 100, {"err_auth": 20}, 0)),
        slow=slow(("a", "/a", 100, 9.0, 15), ("z", "/z", 10_000, 9.0, 500)),
    )
    assert families(given) == ["auth_errors", "latency"]


def test_a_version_that_others_have_left_is_named():
    (finding,) = of(counts(sdk=sdk(("a", "go", "2.0", 40, 12, 1000, 50), ("b", "go", "1.0", 900, 45, 140, 17))))
    assert finding.family == "sdk"
    assert finding.text == (
        "Runs go 2.0: 30 % of 40 other accounts on it made no call in the last 28 days, "
        "of accounts on other versions 5 %."
    )


def test_a_log_without_anything_has_no_findings():
    empty = counts(
        endpoints=endpoints(("z", "", 0, {}, 0)).iloc[:0],
        slow=slow(),
        weeks=weeks(),
    )
    assert len(named_findings(empty)) == 0


def test_every_kind_of_test_has_a_name():
    assert set(TESTS) == {"auth", "throttled", "client", "server", "slow", "endpoints", "person", "calls", "sdk"}


def test_a_finding_says_since_when():
    given = counts(
        endpoints=endpoints(("a", "/a", 280, {"err_auth": 80}, 0)),
        people={"user": people(("a", "u1", 30, 11, 100, 40)), "token": people(person="token")},
    )
    ages = np.arange(1, 57)
    daily = pd.DataFrame(
        {
            "account_id": "a",
            "age_days": ages,
            "calls": 10,
            "answered": 10,
            "err_auth": np.where(ages <= 16, 5, 0),
            **dict.fromkeys(["err_throttled", "err_client", "err_server", "timed_calls", "slow_calls"], 0),
            "given_up_calls": 0,
        }
    )
    named = with_since(named_findings(given), daily, C)
    since = {finding.family: finding.since for finding in findings_of(named, given, ["a"])["a"]}
    assert since == {"auth_errors": date(2026, 8, 16), "people": date(2026, 8, 22)}


def test_of_others_it_is_not_said():
    given = counts(endpoints=endpoints(("a", "/a", 280, {"err_auth": 80}, 0)))
    named = with_since(named_findings(given), pd.DataFrame({"account_id": []}), C)
    assert findings_of(named, given, ["a"])["a"][0].since is None
