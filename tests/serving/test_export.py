"""A file that cannot be written is refused before anything is scored."""

from pathlib import Path

import pytest

from features.exceptions import InputError
from serving.export import check_export


def test_the_ending_and_the_folder_are_checked_first(tmp_path: Path) -> None:
    check_export(tmp_path / "new" / "scores.csv")
    with pytest.raises(InputError, match=r"ends in neither \.csv nor \.parquet"):
        check_export(tmp_path / "scores.txt")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        check_export(tmp_path / "file" / "scores.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(InputError, match="cannot be written"):
        check_export(tmp_path / "folder.csv")
