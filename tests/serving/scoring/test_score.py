from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.exceptions import InputError
from serving.scoring.score import load_scorer, score_rows
from tests.serving.conftest import make_bundle, with_scorecard
from training.models.bundle import Bundle, BundleError
from training.models.matrix import matrix
from training.registry.champions import Champion

Maker = Callable[..., Champion]
Rows = Callable[..., dict[str, Any]]


@pytest.fixture(params=["booster", "booster and scorecard"])
def bundle(request: pytest.FixtureRequest, bundle: Bundle) -> Bundle:
    """A small real model, of one half and of both."""
    return bundle if request.param == "booster" else with_scorecard(bundle)


def test_both_halves_speak(champion_of: Maker, bundle: Bundle, rows: Rows) -> None:
    scorer, columns = load_scorer(champion_of(bundle)), rows(80, seed=9)
    of_booster = scorer.booster.predict(matrix(bundle, columns), raw_score=True)
    expected = of_booster
    if bundle.scorecard is not None:
        expected = 0.7 * of_booster + 0.5 * bundle.scorecard.margin(columns) - 0.25
        assert np.abs(expected - of_booster).max() > 0.1
    assert score_rows(scorer, columns).margin == pytest.approx(expected, abs=1e-9)


def test_base_and_contributions_are_the_margin(bundle: Bundle, champion_of: Maker, rows: Rows) -> None:
    scores = score_rows(load_scorer(champion_of(bundle)), rows(80, seed=9))
    assert scores.base_margin + scores.contributions.sum(axis=1) == pytest.approx(scores.margin, abs=1e-6)


def test_the_categories_of_a_feature_are_one_contribution(bundle: Bundle, champion_of: Maker, rows: Rows) -> None:
    scores = score_rows(load_scorer(champion_of(bundle)), rows(5, seed=9))
    assert len(bundle.columns) > len(scores.features) == len(set(scores.features))
    assert scores.contributions.shape == (5, len(scores.features))


def test_the_probability_is_a_rising_map_of_the_margin(bundle: Bundle, champion_of: Maker, rows: Rows) -> None:
    scores = score_rows(load_scorer(champion_of(bundle)), rows(200, seed=9))
    order = np.argsort(scores.margin)
    assert (np.diff(scores.probability[order]) >= 0).all()
    assert ((scores.probability >= 0) & (scores.probability <= 1)).all()


def test_bands_begin_at_the_probabilities_of_the_bundle(bundle: Bundle, champion_of: Maker, rows: Rows) -> None:
    scores = score_rows(load_scorer(champion_of(bundle)), rows(200, seed=9))
    for probability, band in zip(scores.probability, scores.band, strict=True):
        assert band == ("high" if probability >= 0.8 else "medium" if probability >= 0.4 else "low")
    assert set(scores.band) == {"high", "medium", "low"}


@pytest.mark.parametrize("missing", ["high", "medium"])
def test_a_band_that_does_not_exist_is_in_no_answer(
    bundle: Bundle, champion_of: Maker, rows: Rows, missing: str
) -> None:
    lacking = replace(bundle, bands={band: start for band, start in bundle.bands.items() if band != missing})
    bands = set(score_rows(load_scorer(champion_of(lacking)), rows(200, seed=9)).band)
    assert bands == {"high", "medium", "low"} - {missing}


def test_the_edge_of_a_band_belongs_to_it(bundle: Bundle, champion_of: Maker, rows: Rows) -> None:
    probability = np.sort(np.unique(score_rows(load_scorer(champion_of(bundle)), rows(200, seed=9)).probability))
    medium, high = probability[50], probability[100]
    edged = replace(bundle, bands={"high": float(high), "medium": float(medium)})
    scores = score_rows(load_scorer(champion_of(edged, "2")), rows(200, seed=9))
    assert scores.band[scores.probability == high].tolist() == ["high"]
    assert scores.band[scores.probability == medium].tolist() == ["medium"]


def test_a_row_scores_the_same_alone_in_company_and_in_threads(bundle: Bundle, champion_of: Maker, rows: Rows) -> None:
    scorer, columns = load_scorer(champion_of(bundle)), rows(40, seed=9)
    together = score_rows(scorer, columns)

    def alone(row: int) -> float:
        return float(score_rows(scorer, {name: values[row : row + 1] for name, values in columns.items()}).margin[0])

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(alone, range(40))) == pytest.approx(together.margin.tolist(), rel=1e-9)


def test_no_rows_are_no_scores(bundle: Bundle, champion_of: Maker, rows: Rows) -> None:
    scores = score_rows(
        load_scorer(champion_of(bundle)), {name: values[:0] for name, values in rows(1, seed=9).items()}
    )
    assert scores.probability.shape == (0,)


def test_a_missing_feature_is_named(bundle: Bundle, champion_of: Maker, rows: Rows) -> None:
    columns = rows(1, seed=9)
    del columns["calls_7d"]
    with pytest.raises(InputError, match="1 features the model reads are missing: calls_7d"):
        score_rows(load_scorer(champion_of(bundle)), columns)


def test_infinity_is_refused(bundle: Bundle, champion_of: Maker, rows: Rows) -> None:
    columns = rows(1, seed=9)
    columns["mrr"] = np.array([np.inf])
    with pytest.raises(InputError, match="infinite values: mrr"):
        score_rows(load_scorer(champion_of(bundle)), columns)


@pytest.mark.parametrize("name", ["model.txt", "bundle.json", "calibration.json", "scorecard.json", "manifest.json"])
def test_one_byte_changed_is_refused_and_named(champion_of: Maker, name: str) -> None:
    champion = champion_of(with_scorecard(make_bundle()))
    file = champion.bundle_folder / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(BundleError, match=name):
        load_scorer(champion)
