"""The table of out-of-time scores comes back as it was kept, and only from the bundle it was kept in."""

import pandas as pd
import pytest

from tests.training.models.test_bundle_files import SMALL
from training.models import bundle as bundles
from training.models.bundle import BundleError
from training.models.out_of_time import as_parquet, out_of_time

SCORES = pd.DataFrame(
    {
        "account_id": ["a", "b"],
        "cutoff": pd.to_datetime(["2026-05-04", "2026-05-04"], utc=True).as_unit("us"),
        "probability": [0.25, 0.5],
        "fitted_until": pd.to_datetime(["2026-03-02", "2026-03-02"], utc=True).as_unit("us"),
    }
)


def test_the_table_comes_back_beside_the_bundle(tmp_path):
    sha256 = bundles.write(SMALL, tmp_path, out_of_time=as_parquet(SCORES.assign(label=1)))
    pd.testing.assert_frame_equal(out_of_time(tmp_path, sha256=sha256), SCORES)
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "out_of_time.parquet"), SCORES)
    assert bundles.read(tmp_path, sha256=sha256).target == "churn"
    assert sha256 == bundles.write(SMALL, tmp_path / "again", out_of_time=as_parquet(SCORES))


def test_a_bundle_of_an_earlier_version_has_none(tmp_path):
    assert out_of_time(tmp_path, sha256=bundles.write(SMALL, tmp_path)) is None


def test_one_changed_byte_is_seen_before_anything_is_parsed(tmp_path):
    sha256 = bundles.write(SMALL, tmp_path, out_of_time=as_parquet(SCORES))
    path = tmp_path / "out_of_time.parquet"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    for read in (out_of_time, bundles.read):
        with pytest.raises(BundleError, match=r"out_of_time\.parquet is not the file the model was registered with"):
            read(tmp_path, sha256=sha256)
