"""The population stability index: cells that can be counted, atoms, nulls, new categories, and what chance does."""

import math

import numpy as np
import pandas as pd
import pytest

from training.watching.drift import Cell, Level, Shift, baseline_of, shift_from

NUMBERS = pd.Series(np.arange(1.0, 101.0))  # 1 to 100: the quantile 0.25 is 25.75, with 25 values up to it


def test_a_baseline_says_how_far_its_values_reached_up_to_each_quantile() -> None:
    baseline = baseline_of(NUMBERS, "float")
    assert (baseline["quantile 0.25"], baseline["up to quantile 0.25"]) == (25.75, 0.25)
    # Nine of ten values are 28: the quantiles from 0.25 on are all 28, and everything reaches up to it.
    full = baseline_of(pd.Series([0.0] + [28.0] * 9), "int")
    assert (full["quantile 0.25"], full["up to quantile 0.25"], full["up to quantile 0.9"]) == (28.0, 1.0, 1.0)
    assert full["up to quantile 0.01"] == 0.1


def test_the_index_is_the_sum_over_the_cells() -> None:
    baseline = {"null_share": 0.0, "share a": 0.5, "share b": 0.5}
    found = shift_from(baseline, ["a"] * 75_000 + ["b"] * 25_000, "category")
    assert found is not None
    assert found.index == pytest.approx(0.25 * math.log(1.5) - 0.25 * math.log(0.5), abs=1e-4)
    assert found.level is Level.LARGE
    assert found.moved_most == Cell("b", 0.5, 0.25)


def test_the_same_values_have_no_shift() -> None:
    for values in (NUMBERS, pd.Series([0.0] * 95 + [1.0] * 4 + [7.0]), pd.Series([3.0] * 100)):
        found = shift_from(baseline_of(values, "float"), values.to_numpy(), "float")
        assert found is not None
        assert found.index == pytest.approx(0.0, abs=0.01)
        assert found.level is Level.NONE


def test_a_number_that_moves_is_found_and_where() -> None:
    found = shift_from(baseline_of(NUMBERS, "float"), (NUMBERS + 40).to_numpy(), "float")
    assert found is not None
    assert found.level is Level.LARGE
    assert found.moved_most == Cell("over 99.01", pytest.approx(0.01), 0.41)


def test_chance_alone_is_no_shift() -> None:
    """Forty accounts from the baseline itself often pass 0.1, and one in a thousand samples what chance does."""
    dice = np.random.default_rng(7)
    baseline = baseline_of(pd.Series(dice.normal(size=10_000)), "float")
    found = [shift_from(baseline, dice.normal(size=40), "float") for _ in range(300)]
    assert sum(one is not None and (one.index or 0.0) >= 0.1 for one in found) > 30
    assert all(one is not None and one.level is Level.NONE for one in found)


@pytest.mark.parametrize(
    ("index", "level"), [(0.09, Level.NONE), (0.1, Level.MODERATE), (0.24, Level.MODERATE), (0.25, Level.LARGE)]
)
def test_levels_begin_at_a_tenth_and_at_a_quarter(index: float, level: Level) -> None:
    assert Shift(1000, index, 0.05, 0.0, 0.0).level is level
    assert Shift(1000, index, 0.3, 0.0, 0.0).level is Level.NONE


def test_nulls_are_counted_beside_the_index() -> None:
    young = pd.Series([None] * 50 + [1.0, 2.0] * 25, dtype="float64")
    found = shift_from(baseline_of(young, "float"), [1.0, 2.0] * 50, "float")
    assert found is not None
    assert (found.nulls_before, found.nulls_now, found.went_missing, found.level) == (0.5, 0.0, False, Level.NONE)
    gone = shift_from(baseline_of(young, "float"), [None] * 90 + [1.0, 2.0] * 5, "float")
    assert gone is not None
    assert (gone.nulls_now, gone.went_missing) == (pytest.approx(0.9), True)
    nobody = shift_from(baseline_of(young, "float"), [None] * 100, "float")
    assert nobody is not None
    assert (nobody.index, nobody.moved_most, nobody.went_missing, nobody.level) == (None, None, True, Level.NONE)


def test_a_category_the_model_never_saw_is_named() -> None:
    baseline = baseline_of(pd.Series(["free", "pro"] * 10, dtype=object), "category")
    found = shift_from(baseline, ["free"] * 30 + ["team", "Pro", None], "category")
    assert found is not None
    assert found.new_values == ("Pro", "team")


def test_a_baseline_of_before_gives_no_shift() -> None:
    old = {"null_share": 0.0, "mean": 1.0, "deviation": 1.0, "quantile 0.5": 1.0}
    assert shift_from(old, [1.0], "float") is None
    assert shift_from({}, [1.0], "float") is None
    assert shift_from(baseline_of(NUMBERS, "float"), [], "float") is None
    # A bundle keeps a number that is none as null.
    nothing = {"null_share": 1.0, "quantile 0.5": None, "up to quantile 0.5": None}
    assert shift_from(nothing, [1.0], "float") is None  # type: ignore[arg-type]
