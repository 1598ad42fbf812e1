"""Whatever a command writes is its owner's alone, and what an earlier version left readable is no more."""

import errno
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from features.home.home import Home
from features.home.private import exposed, keep_private
from features.settings.load import load_settings

ROOT = Path(__file__).parents[3]


def bellwether(home, *command):
    script = "import os, sys; os.umask(0o022); from serving.cli import main; main(sys.argv[1:])"
    subprocess.run([sys.executable, "-c", script, "--home", home, *command], cwd=ROOT, check=True, capture_output=True)


def for_others(folder):
    return [path for path in folder.rglob("*") if path.stat().st_mode & 0o077]


@pytest.fixture
def calls(tmp_path):
    path = tmp_path / "calls.csv"
    path.write_text("account_id,event_time\nacme,2026-01-01T10:00:00Z\n")
    return path


def test_nothing_a_command_writes_is_for_others(tmp_path, calls):
    home = tmp_path / "home"
    bellwether(home, "ingest", "--events", calls)
    assert for_others(home) == []
    assert stat.S_IMODE(home.stat().st_mode) == 0o700


def test_what_lay_open_is_closed_by_the_next_command(tmp_path, calls):
    home = Home(load_settings(home=tmp_path / "home"))
    bellwether(home.root, "ingest", "--events", calls)
    home.ledger.touch()
    for path in home.root.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    assert {home.stores.events.root, home.secret_key, home.ledger} <= set(exposed(home))
    bellwether(home.root, "settings")
    assert exposed(home) == []
    assert stat.S_IMODE(home.stores.events.root.stat().st_mode) == 0o700
    assert stat.S_IMODE(home.ledger.stat().st_mode) == 0o600


def test_what_is_not_the_homes_is_left_as_it_is(tmp_path):
    home = Home(load_settings(home=tmp_path))
    (tmp_path / "notes.txt").touch(0o644)
    home.inbox.mkdir(0o777)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(0o755)
    (tmp_path / "features").symlink_to(elsewhere)
    before = {path: path.lstat().st_mode for path in (tmp_path, *tmp_path.iterdir())}
    keep_private(home)
    assert {path: path.lstat().st_mode for path in before} == before


def test_a_home_on_a_disk_that_cannot_be_written_is_still_read(tmp_path, calls, monkeypatch):
    home = Home(load_settings(home=tmp_path / "home"))
    bellwether(home.root, "ingest", "--events", calls)
    home.stores.events.root.chmod(0o755)

    def refused(path, _mode):
        raise OSError(errno.EROFS, "Read-only file system", str(path))

    monkeypatch.setattr(Path, "chmod", refused)
    keep_private(home)
    assert exposed(home) == [home.stores.events.root]
