"""All features of a cutoff side by side, whatever order the files have them in."""

import pytest

from features.definitions.catalog import CATALOG
from features.exceptions import WorkFailedError
from features.offline.files import rows_at
from features.storage.store import ManifestStore
from features.windows import utc

C = utc(2026, 6, 29)


def test_every_feature_of_every_account_is_there_ordered_by_account(tmp_path, write_features):
    write_features(tmp_path, {"2026-06-29": ["c", "a", "b"], "2026-06-22": ["d"]})
    rows = rows_at(ManifestStore(tmp_path / "features"), C)
    assert rows["account_id"].to_pylist() == ["a", "b", "c"]
    assert set(rows.column_names) == {"account_id", *(feature.name for feature in CATALOG)}


def test_a_cutoff_that_is_not_built_has_no_rows(tmp_path, write_features):
    write_features(tmp_path, {"2026-06-22": ["d"]})
    assert rows_at(ManifestStore(tmp_path / "features"), C).num_rows == 0


def test_groups_of_different_accounts_are_refused(tmp_path, write_features):
    write_features(tmp_path, {"2026-06-29": ["a", "b"]})
    write_features(tmp_path, {"2026-06-29": ["a", "c"]}, groups=["errors"])
    with pytest.raises(WorkFailedError, match=r"usage and errors features at 2026-06-29 are of different accounts"):
        rows_at(ManifestStore(tmp_path / "features"), C)
