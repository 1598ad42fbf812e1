"""A Bento built from this folder answers from another one, with nothing of this folder on its path."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import venv
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import pytest

from tests.serving.conftest import USUAL, Place
from tests.serving.server import ROOT, running

pytestmark = [pytest.mark.slow, pytest.mark.delivery]

WHERE = "import features, serving, training; print(features.__file__, serving.__file__, training.__file__)"


@pytest.fixture
def python(tmp_path: Path) -> str:
    """An interpreter that has every library of this one and not the rooms, which are installed here as a link."""
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=False)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(folder)}))
    # A folder named in a .pth file is searched; .pth files in it, ours among them, are not read.
    (packages / "libraries.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    return str(folder / "bin" / "python")


@pytest.fixture
def bento(tmp_path: Path) -> Path:
    """The source folder of a Bento built from here, moved elsewhere."""
    stores = tmp_path / "bentos"
    environment = {**os.environ, "BENTOML_HOME": str(stores), "BENTOML_DO_NOT_TRACK": "True", "PYTHONPATH": str(ROOT)}
    built = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag", "."],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr[-2000:]
    (latest,) = (path for path in (stores / "bentos" / "bellwether").iterdir() if path.is_dir())
    return Path(shutil.copytree(latest / "src", tmp_path / "elsewhere"))


def is_refused(port: int) -> bool:
    """Whether nobody listens there any more."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_bento_answers_from_another_folder_and_ends_what_it_began(
    place: Place, tmp_path: Path, bento: Path, python: str
) -> None:
    files = {path.relative_to(bento).as_posix() for path in bento.rglob("*") if path.is_file()}
    assert {"serving/service.py", "features/feature_repo/feature_store.yaml", "training/models/bundle.py"} <= files
    assert {"serving/http_api/docs_page.html.j2", "training/judging/model_card.md.j2"} <= files
    assert not [name for name in files if name.startswith(("tests/", "notebooks/", "var/", ".venv/", ".git/"))]

    def found_in(folder: Path) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run([python, "-c", WHERE], cwd=folder, env=clean, capture_output=True, text=True, check=False)

    assert "No module named 'features'" in found_in(tmp_path).stderr
    assert [Path(file).parent.parent for file in found_in(bento).stdout.split()] == [bento] * 3

    copy = place.copy_to(tmp_path / "home")
    with running(copy, tmp_path / "log.txt", code=bento, python=python, PYTHONPATH="") as found:
        found.wait_for(lambda: found.get("/readyz").status_code == 200)
        assert found.score({"account_ids": ["acct_001"]}).json()["results"][0]["scores"]["churn"]["status"] == "scored"
        body = {"account_ids": (list(USUAL) * 17)[:600]}
        with ThreadPoolExecutor(6) as pool:
            asked = [pool.submit(found.score, body) for _ in range(6)]
            # Some may be refused at once. One is answered; others are at work or wait for a thread by then.
            next(one for one in as_completed(asked) if one.result().status_code == 200)
            waiting = [one for one in asked if not one.done()]
            os.kill(found.process.pid, signal.SIGTERM)
            found.wait_for(lambda: is_refused(found.port), seconds=5)
            assert not all(one.done() for one in waiting)
        assert {one.result().status_code for one in waiting} == {200}
        assert {len(one.result().json()["results"]) for one in waiting} == {600}
        found.process.wait(timeout=60)
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
