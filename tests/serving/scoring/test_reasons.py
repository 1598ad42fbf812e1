from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from features.definitions.catalog import CATALOG, FAMILIES
from serving.scoring.reasons import MINIMUM_CONTRIBUTION, Reason, reasons_for

FEATURES = ("calls_7d", "calls_28d", "days_since_last_call", "tenure_days", "mrr")
VALUES = {
    "calls_7d": [12.0],
    "calls_28d": [80.0],
    "days_since_last_call": [9.0],
    "tenure_days": [400.0],
    "mrr": [99.0],
}


def reasons(*contributions: float, limit: int = 5) -> Sequence[Reason]:
    (found,) = reasons_for(FEATURES, VALUES, np.array([contributions]), limit=limit)
    return found


def test_a_family_speaks_once_with_the_sum_of_its_features() -> None:
    (only,) = reasons(0.3, 0.2, 0.0, 0.0, 0.0)
    assert (only.code, only.contribution, only.direction) == ("usage_level", 0.5, "raises")
    assert [(share.name, share.contribution) for share in only.features] == [("calls_7d", 0.3), ("calls_28d", 0.2)]


def test_the_sentence_is_of_the_largest_contribution_with_the_familys_sign() -> None:
    (only,) = reasons(-0.9, 1.0, 0.0, 0.0, 0.0)
    assert only.text == "80 calls in the last 28 days."
    (other,) = reasons(-1.0, 0.9, 0.0, 0.0, 0.0)
    assert other.text == "12 calls in the last 7 days."
    assert (other.code, other.direction) == ("usage_level", "lowers")


def test_the_largest_come_first_whoever_can_do_something_about_them() -> None:
    found = reasons(0.1, 0.0, 0.4, 2.0, -3.0)
    assert [reason.code for reason in found] == ["spend", "contract", "silence", "usage_level"]
    assert [reason.actionable for reason in found] == [False, False, True, True]
    assert [reason.code for reason in reasons(0.1, 0.0, 0.4, 2.0, -3.0, limit=2)] == ["spend", "contract"]


@pytest.mark.parametrize(("size", "speaks"), [(MINIMUM_CONTRIBUTION, True), (MINIMUM_CONTRIBUTION - 1e-9, False)])
def test_a_family_must_be_worth_a_sentence(size: float, speaks: bool) -> None:
    assert bool(reasons(0.0, 0.0, size, 0.0, 0.0)) is speaks
    assert bool(reasons(0.0, -size, 0.0, 0.0, 0.0)) is speaks


def test_a_large_context_family_speaks_before_a_small_actionable_one_is_dropped() -> None:
    assert [reason.code for reason in reasons(0.01, 0.0, 0.02, 0.6, 0.0, limit=1)] == ["contract"]


def test_counts_are_whole_numbers_and_missing_values_null() -> None:
    values = {**VALUES, "calls_28d": [math.nan]}
    (found,) = reasons_for(FEATURES, values, np.array([[0.2, 0.3, 0.0, 0.0, 0.0]]), limit=5)
    assert found[0].text == "12 calls in the last 7 days."
    assert [share.value for share in found[0].features] == [None, 12]
    assert isinstance(found[0].features[1].value, int)


def test_nothing_is_said_of_a_missing_value() -> None:
    values = {**VALUES, "days_since_last_call": [math.nan]}
    (found,) = reasons_for(FEATURES, values, np.array([[0.2, 0.0, 0.3, 0.0, 0.0]]), limit=1)
    assert [reason.code for reason in found] == ["usage_level"]


def test_a_family_whose_values_contradict_it_is_left_out() -> None:
    values = {**VALUES, "days_since_last_call": [0.3]}
    (found,) = reasons_for(FEATURES, values, np.array([[0.2, 0.0, 0.3, 0.0, 0.0]]), limit=5)
    assert [reason.code for reason in found] == ["usage_level"]
    (found,) = reasons_for(FEATURES, values, np.array([[0.2, 0.0, -0.3, 0.0, 0.0]]), limit=5)
    assert [(reason.code, reason.direction) for reason in found] == [("silence", "lowers"), ("usage_level", "raises")]


def test_no_number_is_said_twice_in_one_answer() -> None:
    values = {**VALUES, "days_since_last_call": [80.0]}
    (found,) = reasons_for(FEATURES, values, np.array([[0.1, 0.2, 0.6, 0.0, 0.0]]), limit=5)
    assert [reason.text for reason in found] == ["The last call was 80 days ago.", "12 calls in the last 7 days."]


@pytest.mark.parametrize(("days", "is_actionable"), [(61.0, False), (60.0, True), (3.0, True), (math.nan, False)])
def test_a_contract_is_actionable_while_its_term_ends_soon(days: float, *, is_actionable: bool) -> None:
    values = {**VALUES, "days_to_term_end": [days]}
    (found,) = reasons_for(FEATURES, values, np.array([[0.0, 0.0, 0.0, 0.6, 0.0]]), limit=5)
    assert [(reason.code, reason.actionable) for reason in found] == [("contract", is_actionable)]


def test_what_speaks_for_staying_speaks_for_growing() -> None:
    values = {"calls_weekly_slope_91d": [0.1133], "days_since_last_call": [0.2]}
    given: dict[str, Any] = {"limit": 5, "target": "upsell"}
    (found,) = reasons_for(tuple(values), values, np.array([[0.5, 0.4]]), **given)
    assert [(reason.direction, reason.text) for reason in found] == [
        ("raises", "Weekly calls grew by 12 % a week over the last 13 weeks."),
        ("raises", "The last call was less than a day ago."),
    ]
    (found,) = reasons_for(tuple(values), values, np.array([[-0.5, 0.0]]), **given)
    assert list(found) == []


def test_no_rows_and_no_limit_give_nothing() -> None:
    assert list(reasons_for(FEATURES, {name: [] for name in VALUES}, np.zeros((0, 5)), limit=5)) == []
    assert reasons(1.0, 1.0, 1.0, 1.0, 1.0, limit=0) == ()


def test_a_row_that_is_not_there_has_no_reasons(rows: Callable[..., dict[str, Any]]) -> None:
    found = reasons_for(FEATURES, {name: values * 2 for name, values in VALUES.items()}, np.ones((2, 5)), limit=5)
    assert found[-1] == found[1]
    with pytest.raises(IndexError):
        found[2]


def test_many_rows_give_what_each_gives_alone(rows: Callable[..., dict[str, Any]]) -> None:
    columns = rows(60, seed=3)
    names = [feature.name for feature in CATALOG]
    contributions = np.random.default_rng(0).normal(0, 0.2, (60, len(names)))
    together = reasons_for(names, columns, contributions, limit=6)
    for row, found in enumerate(together):
        alone = {name: values[row : row + 1] for name, values in columns.items()}
        assert list(reasons_for(names, alone, contributions[row : row + 1], limit=6)) == [found]


def test_every_reason_adds_up_and_reads(rows: Callable[..., dict[str, Any]]) -> None:
    columns = rows(200, seed=4)
    names = [feature.name for feature in CATALOG]
    contributions = np.random.default_rng(1).normal(0, 0.3, (200, len(names)))
    for found in reasons_for(names, columns, contributions, limit=len(FAMILIES)):
        for reason in found:
            assert sum(share.contribution for share in reason.features) == pytest.approx(reason.contribution, abs=1e-12)
            assert reason.code in FAMILIES
            assert not {"{", "}"} & set(reason.text)
