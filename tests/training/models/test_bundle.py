"""A bundle comes back as it was written, and one changed byte is seen before anything is parsed."""

import dataclasses
import shutil

import numpy as np
import pytest

from features.exceptions import InputError
from features.version import bellwether_version
from training.models import bundle as bundles
from training.models.bundle import BundleError, Column, Golden
from training.models.explain import TOLERANCE, by_family, by_feature, explain
from training.models.matrix import matrix
from training.models.verify import check_apart, load_booster

FILES = ("model.txt", "calibration.json", "bundle.json", "manifest.json")


pytestmark = pytest.mark.slow  # a model is trained first


@pytest.fixture(scope="module")
def written(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    return folder, bundles.write(bundle, folder)


def test_what_is_written_is_read(bundle, written):
    folder, sha256 = written
    assert bundles.read(folder, sha256=sha256) == bundle
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


def test_golden_rows_give_their_margins_in_a_process_of_their_own(bundle, written):
    folder, sha256 = written
    assert len(bundle.golden.margins) >= 20
    load_booster(bundle)
    check_apart(folder, sha256=sha256)


def test_it_says_which_version_of_bellwether_made_it(bundle):
    assert bundle.versions["bellwether"] == bellwether_version()


@pytest.mark.parametrize("name", FILES)
def test_one_changed_byte_is_seen(written, tmp_path, name):
    folder, sha256 = written
    shutil.copytree(folder, tmp_path / "b")
    data = bytearray((tmp_path / "b" / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "b" / name).write_bytes(data)
    with pytest.raises(BundleError, match=f"{name} is not the file the model was registered with"):
        bundles.read(tmp_path / "b", sha256=sha256)


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(written, tmp_path, name):
    folder, sha256 = written
    shutil.copytree(folder, tmp_path / "b")
    (tmp_path / "b" / name).unlink()
    with pytest.raises(BundleError, match=f"{name} cannot be read: No such file"):
        bundles.read(tmp_path / "b", sha256=sha256)


def test_a_model_cut_short_kills_only_the_process_that_tries_it(bundle, tmp_path):
    half = dataclasses.replace(bundle, model_text=bundle.model_text[: len(bundle.model_text) // 2])
    sha256 = bundles.write(half, tmp_path)
    with pytest.raises(BundleError, match="does not load"):
        check_apart(tmp_path, sha256=sha256)


def test_other_margins_are_refused(bundle):
    moved = Golden(bundle.golden.features, tuple(value + 1e-6 for value in bundle.golden.margins))
    with pytest.raises(BundleError, match="other margins than when it was made on 24 of 24 golden rows"):
        load_booster(dataclasses.replace(bundle, golden=moved))


def test_columns_in_another_order_are_refused(bundle):
    with pytest.raises(BundleError, match="columns of the churn model are not those"):
        load_booster(dataclasses.replace(bundle, columns=bundle.columns[::-1]))


def test_the_matrix_refuses_infinity_and_missing_features(bundle):
    rows = {name: ["basic"] if bundle.kinds[name] == "category" else [1.0] for name in bundle.features}
    assert matrix(bundle, rows).shape == (1, len(bundle.columns))
    with pytest.raises(InputError, match="1 features hold infinite values: mrr"):
        matrix(bundle, rows | {"mrr": [np.inf]})
    with pytest.raises(InputError, match="1 features the model reads are missing: calls_7d"):
        matrix(bundle, {name: value for name, value in rows.items() if name != "calls_7d"})


def test_base_and_contributions_add_up_by_column_feature_and_family(bundle):
    values = matrix(bundle, bundle.golden.features)
    parts = explain(bundle, load_booster(bundle), values, bundle.golden.features)
    assert parts.margin == pytest.approx(bundle.golden.margins, abs=1e-9)
    for names, sums in (
        by_feature(parts.columns, parts.contributions),
        by_family(parts.columns, parts.contributions),
    ):
        assert sums.shape == (len(values), len(set(names)))
        assert parts.base_margin + sums.sum(axis=1) == pytest.approx(parts.margin, abs=TOLERANCE)


def test_columns_of_one_feature_are_summed_wherever_they_lie():
    columns = [Column(f"c{place}", name) for place, name in enumerate(("plan", "mrr", "plan", "calls_7d", "mrr"))]
    names, sums = by_feature(columns, np.array([[1.0, 2, 4, 8, 16], [32, 64, 128, 256, 512]]))
    assert (names, sums.tolist()) == (("plan", "mrr", "calls_7d"), [[5, 18, 8], [160, 576, 256]])
    assert by_feature([], np.zeros((2, 0)))[1].shape == (2, 0)


def test_bands_lie_far_above_the_base_rate_and_hold_what_was_observed(bundle, small_company):
    rows = small_company[0].rows(small_company[0].cutoffs)
    base = rows["label"].mean()
    assert bundle.bands["high"] >= 3 * base
    assert bundle.bands["medium"] >= 1.5 * base
    rates = bundle.band_rates
    assert sum(rate.rows for rate in rates.values()) == len(rows)
    assert sum(rate.rows * rate.rate for rate in rates.values()) == pytest.approx(rows["label"].sum())
    assert rates["high"].rate > rates["medium"].rate > rates["low"].rate
    assert all(rate.low < rate.rate < rate.high for rate in rates.values())
    assert bundle.highest_band == "high"
    assert dataclasses.replace(bundle, bands={"medium": 0.2}).highest_band == "medium"
    assert dataclasses.replace(bundle, bands={}).highest_band is None
