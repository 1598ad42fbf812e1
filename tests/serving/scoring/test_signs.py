"""Signs from features: each has a yardstick, and what is null or usual gives none."""

import numpy as np
import pytest

from serving.scoring.signs import signs

USUAL = {
    "days_since_last_call": 0.2,
    "active_days_91d": 60,
    "calls_28d": 400,
    "successful_calls_28d": 390,
    "calls_28d_vs_year_ago": 1.0,
    "endpoints_used_28d": 8,
    "value_endpoint_reached": 1,
    "value_endpoint_share_28d": 0.2,
    "account_age_days": 300,
    "onboarding_stage": 4,
    "days_in_stage": np.nan,
    "hours_to_first_success": 48,
    "days_to_quota": np.nan,
    "quota_forecast_share_30d": 0.4,
    "days_to_term_end": 200,
    "payment_failures_91d": 0,
    "tickets_opened_28d": 0.2,
}


def said(peers=199, **values):
    """The signs of account ``a``, who is as usual but for these values, among peers who are as usual."""
    columns = {name: np.array([values.get(name, usual)] + [usual] * peers) for name, usual in USUAL.items()}
    rows = signs(["a", *(f"p{n}" for n in range(peers))], columns)
    assert set(rows.account_id) <= {"a"}
    return {row.kind: row for row in rows.itertuples()}


def test_who_is_as_usual_shows_no_sign():
    assert said() == {}


@pytest.mark.parametrize(
    ("kind", "values", "words"),
    [
        ("silence", {"days_since_last_call": 9.3}, "No call for 9 days; before, 73 % of its days had one."),
        (
            "year",
            {"calls_28d_vs_year_ago": 0.4},
            "400 calls in the last 28 days, 60 % fewer than in the same weeks of last year (1,000).",
        ),
        (
            "narrow",
            {"endpoints_used_28d": 2},
            "Only 2 endpoints in use in the last 28 days; half of all accounts use 8 or more.",
        ),
        (
            "value",
            {"value_endpoint_reached": 0, "value_endpoint_share_28d": 0.0},
            (
                "The main value endpoint was never reached: none of 390 calls in the last 28 days went there, where "
                "accounts that use it send 20 % of theirs."
            ),
        ),
        (
            "onboarding",
            {"onboarding_stage": 0, "days_in_stage": 20, "hours_to_first_success": np.nan},
            "Signed up and made no call yet, for 20 days; half of all accounts had a working call after 2 days.",
        ),
        (
            "quota",
            {"days_to_quota": 5, "quota_forecast_share_30d": 1.3},
            "The quota of this month is passed in 5 days at the present rate; the next 30 days need 130 % of it.",
        ),
        ("term", {"days_to_term_end": 12}, "The term ends in 12 days."),
        ("payments", {"payment_failures_91d": 1}, "1 payment has failed in the last 91 days."),
        ("tickets", {"tickets_opened_28d": 9}, "9 tickets opened in the last 28 days; accounts open 0.2 on average."),
    ],
)
def test_a_sign_says_its_yardstick(kind, values, words):
    rows = said(**values)
    assert rows[kind].text == words


@pytest.mark.parametrize(
    "values",
    [
        {"days_since_last_call": 3.0, "active_days_91d": 20},  # it never called daily
        {"calls_28d_vs_year_ago": 0.9},
        {"calls_28d_vs_year_ago": 0.5, "calls_28d": 2},  # too few to tell
        {"value_endpoint_reached": 0, "successful_calls_28d": 5},
        {"value_endpoint_reached": 0, "account_age_days": 10},
        {"onboarding_stage": 0, "days_in_stage": 1},
        {"days_to_quota": 30},
        {"days_to_term_end": -1},
        {"days_to_term_end": 61},
        {"tickets_opened_28d": 2},
        dict.fromkeys(USUAL, np.nan),
    ],
    ids=str,
)
def test_what_is_usual_too_small_or_null_is_no_sign(values):
    assert said(**values) == {}


def test_one_account_has_no_peers_to_be_measured_against():
    narrow = {"endpoints_used_28d": 1, "value_endpoint_reached": 0, "onboarding_stage": 0, "days_in_stage": 90}
    assert said(peers=0, **narrow) == {}


def test_features_that_a_home_lacks_give_no_sign():
    assert len(signs(["a"], {})) == 0
