"""What a new machine meets first: the run that installs what is missing, and `make install`."""

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def program(folder, name, *lines):
    path = folder / name
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def apt(folder, *, fault, failures):
    """Runs the function of ``.ci/run`` with an apt-get that fails so often before it works."""
    text = (ROOT / ".ci/run").read_text()
    function = text[text.index("apt() {") : text.index("\n}\n", text.index("apt() {")) + 3]
    tries = folder / "tries"
    program(folder, "sleep")
    program(
        folder,
        "apt-get",
        f"echo try >> {tries}",
        f"[ $(wc -l < {tries}) -gt {failures} ] || {{ echo '{fault}'; exit 100; }}",
    )
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-c", f"{function}\napt update"], env=environment, capture_output=True, text=True, check=False
    )
    return done, tries.read_text().count("try")


@pytest.mark.parametrize("lock", ["/var/lib/apt/lists/lock", "/var/lib/dpkg/lock-frontend"])
def test_the_locks_of_apt_are_waited_for(tmp_path, lock):
    done, tries = apt(tmp_path, fault=f"E: Could not get lock {lock}. It is held by process 7", failures=3)
    assert (done.returncode, tries) == (0, 4)


def test_another_fault_of_apt_is_told_at_once(tmp_path):
    done, tries = apt(tmp_path, fault="E: Unable to locate package nginx", failures=3)
    assert (done.returncode, tries) == (1, 1)
    assert "Unable to locate package nginx" in done.stderr


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="libgomp comes with the wheel elsewhere")
def test_install_says_first_that_libgomp_is_missing(tmp_path):
    program(tmp_path, "python3.11", 'case "$*" in *libgomp.so.1*) exit 1 ;; *) mkdir .venv ;; esac')
    makefile = (ROOT / "Makefile").read_text()
    (tmp_path / "Makefile").write_text(makefile)
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).touch()
    done = subprocess.run(
        ["make", "install", f"PYTHON={tmp_path}/python3.11"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "LightGBM needs libgomp, which is not here. Install it (apt-get install libgomp1" in done.stderr
    assert not (tmp_path / ".venv").exists()
