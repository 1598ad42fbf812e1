"""Passing folders go with who made them, also where that was killed."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from features.storage.passing import hold_passing_folder, passing_folder


@pytest.fixture(autouse=True)
def place(monkeypatch):
    short = Path(tempfile.mkdtemp(dir="/tmp"))
    monkeypatch.setattr("tempfile.tempdir", str(short))
    yield short
    shutil.rmtree(short)


def test_it_is_its_owners_alone_and_gone_afterwards(place):
    with passing_folder() as folder:
        assert (folder.parent, folder.stat().st_mode & 0o777) == (place, 0o700)
        (folder / "rows").write_text("acme")
    assert list(place.iterdir()) == []


def test_one_of_a_killed_process_goes_with_the_next_and_a_held_one_stays(place):
    script = (
        "import os, signal, sys\n"
        "from features.storage.passing import hold_passing_folder\n"
        "folder, _ = hold_passing_folder()\n"
        "(folder / 'rows').write_text('acme')\n"
        "print(folder, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(place)}
    held, descriptor = hold_passing_folder()
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    left = Path(done.stdout.strip())
    assert left.exists()
    with passing_folder() as folder:
        assert sorted(place.iterdir()) == sorted([held, folder])
    os.close(descriptor)


def test_a_link_of_such_a_name_leads_to_nothing_that_is_removed(place, tmp_path):
    (tmp_path / "rows").write_text("acme")
    link = place / "bellwether-passing-link"
    link.symlink_to(tmp_path)
    with passing_folder():
        assert (link.is_symlink(), (tmp_path / "rows").exists()) == (True, True)
    link.unlink()
