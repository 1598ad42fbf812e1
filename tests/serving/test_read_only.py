"""A home that cannot be written, as a mounted backup, is scored, explained and served, and stays as it is."""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from features.home.home import Home
from features.home.secret import secret_key
from features.settings.load import load_settings
from serving.cli import main
from tests.killing import Plan, run_apart
from tests.serving.conftest import CUTOFF, EVERYBODY, NOW, USUAL, Place

AS_OF = f"{CUTOFF:%Y-%m-%d}"


@pytest.fixture
def sealed(copied: Place, tmp_path: Path) -> Iterator[Path]:
    """A home that was scored once, without permission to write anywhere in it."""
    root = copied.settings.home
    secret_key(root)
    (root / "bellwether.toml").write_text("stale_after_hours = 1e6\n")
    done = CliRunner().invoke(
        main, ["--home", str(root), "score", "--as-of", AS_OF, "--out", str(tmp_path / "before.csv")]
    )
    assert done.exit_code == 0, done.output
    paths = [root, *root.rglob("*")]
    for path in paths:
        path.chmod(stat.S_IMODE(path.stat().st_mode) & ~0o222)
    before = _as_it_lies(root)
    yield root
    assert _as_it_lies(root) == before
    for path in paths:
        path.chmod(stat.S_IMODE(path.stat().st_mode) | 0o200)


def _as_it_lies(root: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in root.rglob("*")}


def _run(root: Path, *arguments: str) -> Any:
    return run_apart(Plan(["--home", str(root), *arguments], now=NOW.isoformat(), heeds_modes=True))


def test_it_is_scored_as_before_and_the_run_says_that_the_ledger_holds_it_already(sealed: Path, tmp_path: Path) -> None:
    done = _run(sealed, "score", "--as-of", AS_OF, "--out", str(tmp_path / "after.csv"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "after.csv").read_text() == (tmp_path / "before.csv").read_text()
    assert "already in the ledger" in done.stderr


def test_a_new_run_says_that_it_is_not_recorded(sealed: Path, tmp_path: Path) -> None:
    sealed.chmod(0o700)
    (sealed / "ledger.db").rename(tmp_path / "elsewhere.db")
    sealed.chmod(0o500)
    done = _run(sealed, "score", "--as-of", AS_OF, "--out", str(tmp_path / "after.csv"))
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "after.csv").read_text() == (tmp_path / "before.csv").read_text()
    assert f"not recorded: the ledger {sealed / 'ledger.db'} cannot be written" in done.stderr
    sealed.chmod(0o700)
    (tmp_path / "elsewhere.db").rename(sealed / "ledger.db")
    sealed.chmod(0o500)


def test_it_is_explained_and_examined(sealed: Path) -> None:
    done = _run(sealed, "explain", USUAL[0], "--as-of", AS_OF)
    assert done.returncode == 0, done.stderr
    assert "An average account has" in done.stdout
    done = _run(sealed, "doctor")
    assert "cannot be written" not in done.stdout + done.stderr
    assert "could not be looked at" not in done.stdout


def test_it_is_served(sealed: Path) -> None:
    done = run_apart(Plan([str(sealed), USUAL[0]], instead="tests.serving.test_read_only:answers", heeds_modes=True))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["ready"]
    assert told["scored"]["results"][0]["scores"]["churn"]["status"] == "scored"
    assert {row["account_id"] for row in told["listed"]["accounts"]} < set(EVERYBODY), told["listed"]
    bentoml = Path(told["bentoml"])
    assert sealed not in bentoml.parents


def test_what_writes_says_that_it_cannot(sealed: Path) -> None:
    for command in (["nightly", "--as-of", AS_OF], ["features", "materialize"], ["features", "apply"]):
        done = _run(sealed, *command)
        assert (done.returncode, done.stderr.count("cannot be written")) == (2, 1), (command, done.stderr)


def answers(root: str, account: str) -> None:
    """Print what the service answers of a home; for a process of its own."""
    from features.feature_store.store import open_store
    from serving.http_api.answers import Answerer
    from serving.http_api.live_champions import LiveChampions
    from serving.http_api.meters import Meters
    from serving.http_api.middleware import Gatekeeper
    from serving.http_api.readiness import Readiness
    from serving.http_api.routes import make_api
    from serving.http_api.work_queue import WorkQueue
    from serving.launch import launch
    from serving.ledger.ledger import open_ledger
    from tests.serving.http_api.test_middleware import Client

    home = Home(load_settings(home=Path(root)))
    champions = LiveChampions(home)
    champions.refresh()
    store, ledger, work_queue = open_store(home), open_ledger(home), WorkQueue()
    api = make_api(
        home,
        answerer=Answerer(home, store, champions),
        champions=champions,
        ledger=ledger,
        work_queue=work_queue,
        meters=Meters(),
        readiness=Readiness(store, champions, ledger),
        clock=lambda: NOW,
    )
    client = Client(Gatekeeper(api))
    scored = client.post("/v1/score", json={"account_ids": [account]})
    listed = client.get("/v1/accounts")
    told = {
        "ready": client.get("/readyz").status_code == 200,
        "scored": scored.json(),
        "listed": listed.json(),
        "bentoml": launch(home, config=None, environment={}).environment["BENTOML_HOME"],
    }
    sys.stdout.write(json.dumps(told))
    work_queue.close()
    ledger.close()
