"""From nothing to a score over HTTP by the command line alone, while a guard notes every address a process asks for."""

import contextlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.error
import urllib.request
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from features.simulator import simulate
from features.windows import utc
from tests.watched import Watched

pytestmark = [pytest.mark.slow, pytest.mark.delivery]

NEWEST = "2026-06-29"  # a Monday
WORKER = "_bentoml_impl.worker.service"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def get(url: str, body: object = None) -> tuple[int, object]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None
    except (ConnectionError, TimeoutError, urllib.error.URLError, json.JSONDecodeError):
        return 0, None


def scored_by_the_command_line(way: Watched) -> list[dict[str, Any]]:
    """Scores of a small simulated company: every command from an empty folder on; MLflow starts the training."""
    files = way.root / "files"
    simulate(files, accounts=80, days=150, calls_per_day=0.4, seed=7, end=utc(2026, 6, 29))
    tables = [(f"--{table}", str(files / f"{table}.parquet")) for table in ("accounts", "subscriptions", "touchpoints")]
    way.run(
        ["init"],
        ["ingest", "--events", str(files / "events"), *chain.from_iterable(tables)],
        ["features", "build", "--from", "2026-02-23", "--to", NEWEST, "--every", "14d"],
        ["features", "apply"],
    )
    way.mlflow_run("train")
    scored = way.run(
        ["promote", "--target", "churn", "--unproven"],
        ["features", "materialize"],
        ["score", "--as-of", NEWEST, "--format", "json"],
    )
    return list(json.loads(scored))


def registered(way: Watched) -> tuple[list[tuple[str, int]], list[str]]:
    """Name and version of every model, and the entry points by which MLflow started their runs."""
    with contextlib.closing(sqlite3.connect(way.home / "mlflow" / "mlflow.db")) as database:
        models = database.execute("SELECT name, version FROM model_versions").fetchall()
        runs = database.execute("SELECT value FROM tags WHERE key = 'mlflow.project.entryPoint'").fetchall()
    return models, [entry_point for (entry_point,) in runs]


def test_the_whole_way_by_the_command_line_talks_to_loopback_only(tmp_path: Path) -> None:
    way = Watched(tmp_path)
    scored = scored_by_the_command_line(way)
    account = scored[0]["account_id"]
    assert registered(way) == ([("bellwether-churn", 1)], ["train"])

    port = free_port()
    serve = ["-m", "serving", "--home", str(way.home), "serve", "--port", str(port), "--workers", "1"]
    server = subprocess.Popen(
        [sys.executable, *serve],
        cwd=way.root,
        env=way.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        give_up = time.monotonic() + 180
        status, answer = 0, None
        while status != 200 and time.monotonic() < give_up:
            with contextlib.suppress(subprocess.TimeoutExpired):
                pytest.fail(f"the server ended with {server.wait(timeout=0.3)}")
            status, answer = get(f"http://127.0.0.1:{port}/v1/score", {"account_ids": [account]})
        assert status == 200
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)

    online = answer["results"][0]["scores"]["churn"]
    assert online["status"] == "scored"
    assert online["probability"] == pytest.approx(scored[0]["probability"], rel=1e-9)
    assert not list(way.root.rglob("mlruns"))

    seen = way.seen()
    guarded_processes = [one.command for one in seen if one.event == "started"]
    for command, least in (
        ("-c ", 2),
        ("-m serving", 1),
        ("-m mlflow run", 1),
        ("bentoml serve serving.service", 1),
        (WORKER, 1),
    ):
        assert sum(command in one for one in guarded_processes) >= least, (command, guarded_processes)
    assert not [one for one in seen if not one.is_local]
    # Every address bound was judged above; libraries bind ::1 for a moment to see whether there is IPv6.
    bound = {one.host for one in seen if one.event == "socket.bind" and "bentoml serve" in one.command}
    assert "127.0.0.1" in bound
