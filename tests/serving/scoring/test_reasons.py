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
    assert (only.code, only.contribution, only.direction) == ("usage_low", 0.5, "raises")
    assert [(share.name, share.contribution) for share in only.features] == [("calls_7d", 0.3), ("calls_28d", 0.2)]


def test_the_sentence_is_of_the_largest_contribution_with_the_familys_sign() -> None:
    (only,) = reasons(-0.9, 1.0, 0.0, 0.0, 0.0)
    assert only.text == "80 calls in the last 28 days."
    (other,) = reasons(-1.0, 0.9, 0.0, 0.0, 0.0)
    assert other.text == "12 calls in the last 7 days."
    assert (other.code, other.direction) == ("usage_high", "lowers")


def test_actionable_families_come_first_then_the_largest() -> None:
    found = reasons(0.1, 0.0, -0.4, 2.0, -3.0)
    assert [reason.family for reason in found] == ["silence", "usage_level", "spend", "contract"]
    assert [reason.actionable for reason in found] == [True, True, False, False]


@pytest.mark.parametrize(("size", "speaks"), [(MINIMUM_CONTRIBUTION, True), (MINIMUM_CONTRIBUTION - 1e-9, False)])
def test_a_family_must_be_worth_a_sentence(size: float, speaks: bool) -> None:
    assert bool(reasons(0.0, 0.0, size, 0.0, 0.0)) is speaks
    assert bool(reasons(0.0, 0.0, -size, 0.0, 0.0)) is speaks


def test_a_large_context_family_speaks_before_a_small_actionable_one_is_dropped() -> None:
    assert [reason.family for reason in reasons(0.01, 0.0, 0.02, 0.6, 0.0, limit=1)] == ["contract"]


def test_counts_are_whole_numbers_and_missing_values_null() -> None:
    values = {**VALUES, "days_since_last_call": [math.nan], "calls_7d": [12.0]}
    (found,) = reasons_for(FEATURES, values, np.array([[0.2, 0.0, 0.3, 0.0, 0.0]]), limit=5)
    assert found[0].features[0].value is None
    assert found[0].text == "This account has never made a call."
    assert isinstance(found[1].features[0].value, int)


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
            assert reason.code in {FAMILIES[reason.family].raises, FAMILIES[reason.family].lowers}
            assert not {"{", "}"} & set(reason.text)
