"""What is remembered is written whole or not at all, and believed only while it is what was written."""

import json

import pytest

from features.exceptions import WorkFailedError
from features.storage.state_file import recall, recall_made_from, remember


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "nightly" / "taken.json"
    remember(path, {"days": 3}, made_from="these files")
    return path


def test_what_was_remembered_is_recalled(path):
    assert recall(path) == {"days": 3}
    assert recall(path.with_name("nothing.json")) == {}
    assert recall_made_from(path, "these files") == {"days": 3}
    assert recall_made_from(path, "other files") is None


def test_content_without_its_digest_is_not_believed(path):
    path.write_text(json.dumps({"content": {"days": 3}}))
    with pytest.raises(WorkFailedError, match="was changed since it was written"):
        recall(path)


def test_a_changed_content_is_not_believed(path):
    path.write_text(path.read_text().replace("3", "4"))
    with pytest.raises(WorkFailedError, match=r"taken\.json was changed since it was written\. Remove it"):
        recall(path)
    assert recall_made_from(path, "these files") is None


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"made_from": "these files"}'])
def test_half_a_file_was_made_from_nothing(path, text):
    path.write_text(text)
    assert recall_made_from(path, "these files") is None


def test_a_file_from_before_digests_is_read(path):
    path.write_text(json.dumps({"days": 2}))
    assert recall(path) == {"days": 2}


def test_a_write_that_fails_leaves_what_was_there(path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(WorkFailedError, match="cannot be written: No space left on device"):
        remember(path, {"days": 5})
    assert recall(path) == {"days": 3}
    assert [file.name for file in path.parent.iterdir()] == ["taken.json"]


def test_a_file_that_is_cut_short_is_told_in_plain_words(path):
    path.write_bytes(path.read_bytes()[:20] + b"\xff")
    with pytest.raises(WorkFailedError, match=r"taken\.json is damaged: it holds no JSON any more\. Remove it"):
        recall(path)
    path.unlink()
    path.mkdir()
    with pytest.raises(WorkFailedError, match=r"taken\.json cannot be read: Is a directory\. Remove it"):
        recall(path)
