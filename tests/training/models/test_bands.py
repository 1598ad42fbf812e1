"""Bands begin where scores are both high among all and far above the base rate; each says what was observed in it."""

import numpy as np
import pytest

from training.models.bands import BandRate, band_of, bands_of, in_words, rates_of, wilson


def test_bands_begin_at_quantiles_where_those_lie_far_above_the_base_rate():
    probability = np.arange(1, 101) / 1000  # 0.1 % to 10 %
    bands = bands_of(probability, base_rate=0.02)
    assert bands == pytest.approx({"high": 0.09505, "medium": 0.0802})  # 3 times the base rate is less: 0.06 and 0.03


def test_bands_begin_at_multiples_of_the_base_rate_where_the_quantiles_lie_below():
    probability = np.r_[np.full(97, 0.05), 0.16, 0.31, 0.4]
    assert bands_of(probability, base_rate=0.1) == pytest.approx({"high": 0.3, "medium": 0.15})


def test_a_band_that_no_row_reaches_does_not_exist():
    assert bands_of(np.linspace(0.08, 0.12, 50), base_rate=0.1) == {}
    assert bands_of(np.r_[np.full(97, 0.05), 0.16, 0.2, 0.299], base_rate=0.1) == pytest.approx({"medium": 0.15})
    assert bands_of(np.r_[np.full(97, 0.05), 0.301, 0.31, 0.4], base_rate=0.1) == pytest.approx({"high": 0.3})


def test_a_score_on_the_edge_lies_in_the_band():
    score = np.array([0.1, 0.2, 0.3])
    assert band_of(score, {"high": 0.3, "medium": 0.2}).tolist() == ["low", "medium", "high"]
    assert band_of(score, {"medium": 0.2}).tolist() == ["low", "medium", "medium"]
    assert band_of(score, {"high": 0.2}).tolist() == ["low", "high", "high"]
    assert band_of(score, {}).tolist() == ["low"] * 3


def test_the_interval_is_wilsons():
    assert wilson(0.1, 100) == pytest.approx((0.0552, 0.1744), abs=1e-4)  # Wilson (1927), 10 of 100
    assert wilson(0.0, 50) == pytest.approx((0.0, 0.0714), abs=1e-4)
    assert wilson(1.0, 50) == pytest.approx((0.9286, 1.0), abs=1e-4)


def test_rates_are_of_rows_and_as_sure_as_there_are_accounts():
    label, band = np.repeat([1.0, 0.0], [10, 90]), np.full(100, "high")
    alone = rates_of(band, label, np.arange(100))["high"]
    assert (alone.rows, alone.accounts, alone.rate) == (100, 100, 0.1)
    assert (alone.low, alone.high) == pytest.approx((0.0552, 0.1744), abs=1e-4)
    # Four cutoffs of each account that tell the same are no more than one.
    repeated = rates_of(np.repeat(band, 4), np.repeat(label, 4), np.repeat(np.arange(100), 4))["high"]
    assert (repeated.rows, repeated.accounts, repeated.rate) == (400, 100, 0.1)
    assert (repeated.low, repeated.high) == pytest.approx((alone.low, alone.high))
    # Nobody in it left: as sure as there are accounts, not rows.
    nobody = rates_of(np.full(100, "low"), np.zeros(100), np.repeat(np.arange(25), 4))["low"]
    assert (nobody.low, nobody.high) == pytest.approx(wilson(0.0, 25))
    assert set(rates_of(np.array(["high", "low"]), np.array([1.0, 0.0]), np.arange(2))) == {"high", "low"}


@pytest.mark.parametrize(
    ("rate", "words"),
    [
        (BandRate(264, 90, 1 / 6, 0.124, 0.214), "about 1 in 6 of these left, [12, 21] in 100"),
        (BandRate(20, 9, 0.55, 0.3, 0.7), "about 6 in 10 of these left, [30, 70] in 100"),
        (BandRate(20, 9, 0.99, 0.8, 1.0), "nearly all of these left, [80, 100] in 100"),
        (BandRate(20, 9, 1.0, 0.8, 1.0), "all of these left, [80, 100] in 100"),
        (BandRate(4000, 900, 0.004, 0.0006, 0.012), "about 1 in 250 of these left, [less than 0.1, 1.2] in 100"),
        (BandRate(400, 90, 0.0, 0.0, 0.04), "none of these left, [0, 4] in 100"),
    ],
)
def test_what_was_observed_is_said_in_words(rate, words):
    assert in_words(rate, happened="left") == words
