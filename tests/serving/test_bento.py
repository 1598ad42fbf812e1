"""A Bento built from this folder answers from another one, with nothing of this folder on its path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.conftest import Place
from tests.serving.test_service import Running, running, wait_for

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]


def test_a_bento_answers_from_another_folder(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
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
    files = {path.relative_to(latest / "src").as_posix() for path in (latest / "src").rglob("*") if path.is_file()}
    assert {"serving/service.py", "features/feature_repo/feature_store.yaml", "training/bundle.py"} <= files
    assert not [name for name in files if name.startswith(("tests/", "notebooks/", "var/", ".venv/", ".git/"))]

    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(latest / "src", elsewhere)
    monkeypatch.chdir(tmp_path)
    copy = place.copy_to(tmp_path / "home")
    with running(copy, tmp_path / "log.txt", code=elsewhere) as found:
        wait_for(lambda: found.get("/readyz").status_code == 200, None, tmp_path / "log.txt")
        assert isinstance(found, Running)
        assert found.score({"account_ids": ["acct_001"]}).json()["results"][0]["scores"]["churn"]["status"] == "scored"
