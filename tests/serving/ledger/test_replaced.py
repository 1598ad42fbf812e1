"""A ledger that is open goes on with the file that takes the place of its own, and is never made again by a reader."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from features.exceptions import DependencyError
from features.home.home import Home
from features.settings.load import load_settings
from serving.ledger.ledger import Ledger, open_ledger
from tests.serving.ledger.test_ledger import FIVE, run


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """One run in its ledger; beside it, a ledger as it was with another."""
    for folder, version in (("home", "1"), ("other", "2")):
        ledger = open_ledger(Home(load_settings(home=tmp_path / folder)))
        (tmp_path / folder).mkdir()
        ledger.append(run(*FIVE, version=version))
        ledger.close()
    return Home(load_settings(home=tmp_path / "home"))


@pytest.fixture
def other(tmp_path: Path) -> Path:
    return tmp_path / "other/ledger.db"


@pytest.fixture(params=[0.0, 1e6], ids=["at once", "patient"])
def ledger(home: Home, request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Open, as a service has it, and asked before."""
    opened = open_ledger(home, patience_seconds=request.param)
    assert version(opened) == "1"
    yield opened
    opened.close()


def version(ledger: Ledger) -> str:
    head = ledger.latest("churn")
    assert head is not None
    return head.version


def test_one_restored_by_rename_answers_at_once(home: Home, ledger: Ledger, other: Path) -> None:
    other.replace(home.ledger)
    assert version(ledger) == "2"
    assert ledger.fault() is None


def test_one_written_over_the_open_file_answers(home: Home, ledger: Ledger, other: Path) -> None:
    shutil.copyfile(other, home.ledger)
    assert version(ledger) == "2"


def test_one_taken_away_is_not_made_again_and_answers_when_it_is_back(
    home: Home, ledger: Ledger, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    home.ledger.rename(tmp_path / "elsewhere")
    fault = ledger.fault()
    assert fault is not None
    assert (fault.name, fault.fault) == ("ledger.db", "is missing")
    if "patient" in request.node.name:
        assert version(ledger) == "1"
    else:
        with pytest.raises(DependencyError, match=r"ledger\.db is missing\. Restore it from a backup"):
            version(ledger)
    assert not home.ledger.exists()
    (tmp_path / "elsewhere").rename(home.ledger)
    assert version(ledger) == "1"
    assert ledger.fault() is None


@pytest.mark.parametrize("bytes_left", [0, 10_000])
def test_one_cut_short_is_damage_and_not_a_new_ledger(home: Home, other: Path, bytes_left: int) -> None:
    ledger = open_ledger(home)
    assert version(ledger) == "1"
    os.truncate(home.ledger, bytes_left)
    for _ in range(2):
        with pytest.raises(DependencyError, match=r"ledger\.db is (damaged|empty)"):
            version(ledger)
    other.replace(home.ledger)
    assert version(ledger) == "2"
    ledger.close()


def test_a_newer_run_of_another_process_is_seen(home: Home, ledger: Ledger) -> None:
    writer = open_ledger(home)
    writer.append(run(*FIVE, version="3", hour=1))
    assert version(ledger) == "3"
    writer.close()
    assert version(ledger) == "3"
