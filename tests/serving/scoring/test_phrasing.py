from __future__ import annotations

import doctest
import math
import re
from dataclasses import replace
from string import Formatter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.definitions.catalog import BUILT_IN, CATALOG, spec
from features.definitions.feature import FeatureSpec
from serving.scoring import wording as words
from serving.scoring.phrasing import Numerals, sentences
from serving.scoring.wording import FORMATS
from serving.scoring.yardsticks import Yardstick, stand

DROP_OFF = "Drop-off: of the other accounts on the same SDK version,"


def test_the_examples_of_the_formats_hold() -> None:
    assert doctest.testmod(words).failed == 0


def said_of(
    feature: FeatureSpec,
    columns: dict[str, np.ndarray],
    rows: np.ndarray,
    *,
    wanted: int = 0,
    yardstick: Yardstick | None = None,
    is_upsell: bool = False,
) -> list[str | None]:
    """What is said of each row, whichever side it lies on."""
    sides = np.full(len(rows), wanted, dtype=np.int8)
    where = stand(feature, columns, rows, sides, yardstick=yardstick, catalog=BUILT_IN)
    return sentences(feature, columns, rows, where, is_upsell=is_upsell).text.tolist()


def say(name: str, **values: object) -> str | None:
    (said,) = said_of(spec(name), {key: column(key, [value]) for key, value in values.items()}, np.arange(1))
    return said


def column(name: str, values: list[object]) -> np.ndarray:
    return np.array(values, dtype=object if spec(name).kind == "category" else np.float64)


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("calls_7d", {"calls_7d": 1.0}, "1 call in the last 7 days."),
        ("calls_28d", {"calls_28d": 5212.0}, "5,212 calls in the last 28 days."),
        (
            "calls_28d_vs_prior_28d",
            {"calls_28d_vs_prior_28d": 5213 / 12411, "calls_28d": 5212.0},
            "Calls fell 58 % against the four weeks before (12,410 to 5,212).",
        ),
        (
            "calls_7d_vs_prior_7d",
            {"calls_7d_vs_prior_7d": 0.5, "calls_7d": 0.0},
            "Calls fell 100 % against the week before (1 to 0).",
        ),
        (
            "calls_7d_vs_prior_7d",
            {"calls_7d_vs_prior_7d": 6.0, "calls_7d": 5.0},
            "Calls started from nothing against the week before (0 to 5).",
        ),
        ("active_tokens_28d", {"active_tokens_28d": 1.0}, "1 API token was in use in the last 28 days."),
        ("days_to_term_end", {"days_to_term_end": 12.4}, "The running term ends in 12 days."),
        ("days_to_term_end", {"days_to_term_end": -3.0}, "The term ended 3 days ago."),
        ("days_to_term_end", {"days_to_term_end": math.nan}, None),
        ("plan", {"plan": "pro"}, "The account is on the plan pro."),
        ("plan", {"plan": None}, None),
        (
            "calls_weekly_slope_91d",
            {"calls_weekly_slope_91d": -0.12},
            "Weekly calls fell by 11 % a week over the last 13 weeks.",
        ),
        ("calls_7d", {"calls_7d": 0.0}, "No calls in the last 7 days."),
        (
            "server_error_rate_28d",
            {"server_error_rate_28d": 0.0},
            "No call ended in a server error in the last 28 days.",
        ),
        (
            "silence_vs_own_rhythm",
            {"silence_vs_own_rhythm": 4.0, "days_since_last_call": 12.2},
            "Silent for 12 days; the usual gap between its active days is 3 days.",
        ),
        (
            "latency_p95_7d_vs_prior_28d",
            {"latency_p95_7d_vs_prior_28d": 2.0, "latency_p95_ms_7d": 820.0},
            "The slowest 5 % of calls took 820 ms or more in the last 7 days, 410 ms or more in the four weeks before.",
        ),
        (
            "endpoints_used_28d",
            {"endpoints_used_28d": 5.0, "endpoints_used_91d": 9.0},
            "5 endpoints in use in the last 28 days, 9 in the last 91.",
        ),
        (
            "error_rate_7d_vs_prior_28d",
            {"error_rate_7d_vs_prior_28d": 2.0},
            None,
        ),
        (
            "error_rate_7d_vs_prior_28d",
            {"error_rate_7d_vs_prior_28d": 7.9, "error_rate_7d": 0.25, "error_rate_28d": 0.05},
            "25 % of calls failed in the last 7 days, 5 % in the last 28.",
        ),
        ("error_rate_7d", {"error_rate_7d": 0.0}, "No call failed in the last 7 days."),
        (
            "active_users_7d_vs_prior_7d",
            {"active_users_7d_vs_prior_7d": 3 / 5, "active_users_7d": 2.0},
            "Weekly active people fell 50 % against the week before (4 to 2).",
        ),
        (
            "calls_28d_vs_year_ago",
            {"calls_28d_vs_year_ago": 43 / 101, "calls_28d": 42.0},
            "Calls fell 58 % against the same weeks a year ago (100 to 42).",
        ),
        (
            "usage_anomaly_z_7d",
            {"usage_anomaly_z_7d": -3.24, "calls_7d": 12.0},
            "The last week was unlike the weeks before it.",
        ),
        (
            "usage_anomaly_z_7d",
            {"usage_anomaly_z_7d": 1.5, "calls_7d": 900.0},
            "The last week was unlike the weeks before it.",
        ),
        (
            "days_since_last_error_burst",
            {"days_since_last_error_burst": math.nan},
            None,
        ),
        ("mrr", {"mrr": math.inf}, None),
        (
            "sdk_dropoff_excess",
            {"sdk_dropoff_excess": 0.062},
            f"{DROP_OFF} 6.2 percentage points more than of all accounts fell silent in the last 28 days.",
        ),
        (
            "sdk_dropoff_excess",
            {"sdk_dropoff_excess": -0.01},
            f"{DROP_OFF} 1 percentage point fewer than of all accounts fell silent in the last 28 days.",
        ),
        (
            "sdk_dropoff_excess",
            {"sdk_dropoff_excess": math.nan},
            None,
        ),
        (
            "sdk_version_age_days",
            {"sdk_version_age_days": 90.2},
            "A newer version of this account's SDK has been in use for 90 days.",
        ),
        (
            "hours_to_first_success",
            {"hours_to_first_success": 80.0},
            "The time to a first working app was 3 days: from the sign-up to the first call that succeeded.",
        ),
        (
            "days_in_stage",
            {"days_in_stage": 21.0, "onboarding_stage": 1.0},
            "In onboarding for 21 days at stage 1 of 4: there were calls, none has succeeded.",
        ),
        (
            "onboarding_stage",
            {"onboarding_stage": 3.0},
            "Onboarding stage 3 of 4: the main value endpoint was reached, regular use has not begun.",
        ),
        (
            "ticket_silence_after_spike",
            {"ticket_silence_after_spike": 1.0, "tickets_opened_28d": 0.0},
            "After at least 3 support tickets in the eight weeks before, no tickets were opened in the last 28 days.",
        ),
        (
            "logins_28d_vs_prior_28d",
            {"logins_28d_vs_prior_28d": 4 / 10, "logins_28d": 3.0},
            "Logins fell 67 % against the four weeks before (9 to 3).",
        ),
        ("payment_failures_91d", {"payment_failures_91d": 1.0}, "1 payment failed in the last 91 days."),
        ("payment_failures_91d", {"payment_failures_91d": 0.0}, "No payments failed in the last 91 days."),
    ],
)
def test_a_sentence_says_the_value(name: str, values: dict[str, object], text: str | None) -> None:
    assert say(name, **values) == text


def test_every_format_of_the_catalogue_is_known() -> None:
    used = {
        (form or "").split(" ")[0]
        for feature in CATALOG
        for text in (feature.text, feature.past_text, feature.zero_text, feature.below_text, feature.upsell_text)
        for _, field, form, _ in Formatter().parse(text or "")
        if field
    }
    assert used <= set(FORMATS)


def test_every_field_of_a_sentence_is_a_feature_or_the_count_before() -> None:
    names = {feature.name for feature in CATALOG} | {"prior", "base"}
    assert {field for feature in CATALOG for _, field, _, _ in Formatter().parse(feature.text or "") if field} <= names


NUMBERS = st.one_of(
    st.floats(min_value=0, max_value=1e12),
    st.floats(min_value=-1e6, max_value=1e6),
    st.sampled_from([0.0, 1.0, math.nan, math.inf, -math.inf, 5e-324, 0.5, 1e-9]),
)


@given(st.data())
def test_no_value_makes_a_sentence_that_does_not_read(data: st.DataObject) -> None:
    columns = {
        feature.name: column(
            feature.name,
            [data.draw(st.sampled_from(["pro", "team 2", None]) if feature.kind == "category" else NUMBERS)],
        )
        for feature in CATALOG
    }
    for feature in CATALOG:
        for wanted in (-1, 0, 1):
            (text,) = said_of(feature, columns, np.arange(1), wanted=wanted)
            assert text is None or text.endswith(".")
            assert not re.search(r"[{}]|\bnan\b|\bNone\b|\binf\b|e\+\d", text or ""), text


TYPICAL = {"share": 0.037, "ratio": 0.6, "ms": 420.0, "calls": 5212.0, "log calls per week": -0.1}
CASES = {"null": math.nan, "nothing": 0.0, "one": 1.0, "huge": 1e9, "negative": -3.0}


@pytest.mark.parametrize("feature", CATALOG, ids=lambda feature: feature.name)
def test_every_sentence_reads_for_every_kind_of_value(feature: FeatureSpec) -> None:
    usual = {
        one.name: column(one.name, ["pro"] if one.kind == "category" else [TYPICAL.get(one.unit, 12.0)])
        for one in CATALOG
    }
    said = {
        case: said_of(feature, {**usual, feature.name: column(feature.name, [value])}, np.arange(1))[0]
        for case, value in (CASES.items() if feature.kind != "category" else [("null", None), ("one", "pro")])
    }
    said["typical"] = said_of(feature, usual, np.arange(1))[0]
    assert said.pop("null") is None
    for case, text in said.items():
        if text is None:
            continue
        assert text[0].isupper() or text[0].isdigit(), (case, text)
        assert text.endswith("."), (case, text)
        assert not re.search(r"^0 |\b1 times\b|(^|\s)-\d|\b1 (days|calls|endpoints|people)\b", text), (
            case,
            text,
        )
        assert not re.search(r"\d{4} % a week|[Oo]nly no ", text), (case, text)


def test_a_sentence_about_many_rows_is_that_about_each() -> None:
    columns = {"calls_7d": np.array([1.0, 2.0, 1.0])}
    assert said_of(spec("calls_7d"), columns, np.array([2, 1])) == [
        "1 call in the last 7 days.",
        "2 calls in the last 7 days.",
    ]


def test_a_sentence_without_fields_is_itself() -> None:
    columns = {"plan": column("plan", ["x", "y"])}
    assert said_of(replace(spec("plan"), text="Always."), columns, np.arange(2)) == ["Always."] * 2


FLEET = Yardstick((100.0, 200.0, 400.0, 900.0), (100.0, 40.0, 10.0, 1.0))


@pytest.mark.parametrize(
    ("value", "wanted", "text"),
    [
        (150.0, 1, "150 calls in the last 7 days, more than half of accounts make."),
        (950.0, 1, "950 calls in the last 7 days, more than nearly all accounts make."),
        (30.0, -1, "30 calls in the last 7 days, fewer than three in four accounts make."),
        (150.0, -1, None),
        (30.0, 1, None),
        (100.0, 1, None),
    ],
)
def test_a_value_is_said_with_the_accounts_it_lies_above_or_below(value: float, wanted: int, text: str | None) -> None:
    columns = {"calls_7d": np.array([value])}
    assert said_of(spec("calls_7d"), columns, np.arange(1), wanted=wanted, yardstick=FLEET) == [text]


@pytest.mark.parametrize(
    ("values", "wanted", "text"),
    [
        ((14.0, 780.0, -0.1), -1, "14 calls in the last 7 days, usually 60 a week."),
        ((0.0, 780.0, -0.1), -1, "No calls in the last 7 days, usually 60 a week."),
        ((90.0, 780.0, 0.1), 1, "90 calls in the last 7 days, usually 60 a week."),
        ((90.0, 780.0, 0.1), -1, "90 calls in the last 7 days, fewer than half of accounts make."),
        ((14.0, 780.0, math.nan), -1, "14 calls in the last 7 days, fewer than three in four accounts make."),
    ],
)
def test_the_own_past_comes_before_the_other_accounts(
    values: tuple[float, float, float], wanted: int, text: str
) -> None:
    names = ("calls_7d", "calls_91d", "calls_weekly_slope_91d")
    columns = {name: np.array([value]) for name, value in zip(names, values, strict=True)}
    assert said_of(spec("calls_7d"), columns, np.arange(1), wanted=wanted, yardstick=FLEET) == [text]


@pytest.mark.parametrize(
    ("name", "value", "wanted", "is_said"),
    [
        ("days_since_last_call", 0.4, 1, False),
        ("days_since_last_call", 0.4, -1, True),
        ("days_in_stage", 300.0, -1, False),
        ("onboarding_stage", 2.0, 1, False),
        ("onboarding_stage", 4.0, 1, True),
        ("narrow_use_28d", 0.0, 1, False),
        ("calls_weekly_slope_91d", 0.1, -1, False),
    ],
)
def test_a_value_that_is_neither_high_nor_low_does_not_speak(
    name: str, value: float, wanted: int, *, is_said: bool
) -> None:
    columns = {
        **{feature.name: np.array([12.0]) for feature in CATALOG if feature.kind != "category"},
        name: np.array([value]),
    }
    (text,) = said_of(spec(name), columns, np.arange(1), wanted=wanted)
    assert (text is not None) is is_said


def test_upgrades_have_their_own_words() -> None:
    columns = {"plan": column("plan", ["pro"])}
    assert said_of(spec("plan"), columns, np.arange(1), is_upsell=True) == ["The plan is pro: there is a larger one."]


def test_a_small_count_is_another_number_when_it_counts_something_else() -> None:
    numerals = Numerals()
    assert numerals.of("1 call", "calls_7d") != numerals.of("1 person", "active_users_7d")
    assert numerals.of("14 calls", "calls_7d") == numerals.of("14", "prior")
    assert numerals.of("14 %", "error_rate_7d") != numerals.of("14", "prior")
    assert numerals.of("less than a day", "days_since_last_call") == 0
