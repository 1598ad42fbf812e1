"""From nothing to a score over HTTP by the command line alone, while a guard notes every address a process asks for."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import World

ROOT = Path(__file__).parent.parent

# Python runs this file at the start of every process that has its folder on the path, workers included.
GUARD = """
import ipaddress, os, sys

def _is_local(host):
    if not isinstance(host, str) or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback or host == "0.0.0.0"
    except ValueError:
        return False

def _note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        address = arguments[1]
        host = address[0] if isinstance(address, tuple) else ""
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if not _is_local(host):
        with open(os.environ["GUARD_FILE"], "a") as file:
            file.write(f"{event} {host} {sys.argv[:3]}\\n")

sys.addaudithook(_note)
with open(os.environ["GUARD_FILE"] + ".seen", "a") as file:
    file.write("started\\n")
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def guarded(tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "guard"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(GUARD)
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith("BELLWETHER_")},
        "PYTHONPATH": f"{folder}{os.pathsep}{ROOT}",
        "GUARD_FILE": str(tmp_path / "asked.txt"),
        "BELLWETHER_STALE_AFTER_HOURS": "1000000",
    }


def get(url: str, body: object = None) -> tuple[int, object]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers={"content-type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.loads(answer.read() or b"null")
    except urllib.error.HTTPError as error:
        with error:
            return error.code, None
    except (ConnectionError, urllib.error.URLError, json.JSONDecodeError):
        return 0, None


@pytest.mark.slow
def test_the_whole_way_by_the_command_line_talks_to_loopback_only(
    ingested: World, tmp_path: Path, guarded: dict[str, str]
) -> None:
    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "serving", "--home", str(tmp_path / "home"), *arguments],
            cwd=tmp_path,
            env=guarded,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    files = ingested.files
    last = ingested.newest.date().isoformat()
    run("init")
    run(
        "ingest",
        *("--events", str(files / "events")),
        *("--accounts", str(files / "accounts.parquet")),
        *("--subscriptions", str(files / "subscriptions.parquet")),
    )
    run("features", "build", "--to", last)
    run("features", "apply")
    run("train", "--target", "churn")
    run("promote", "--target", "churn")
    run("features", "materialize")
    scored = json.loads(run("score", "--as-of", last, "--format", "json"))
    account = scored[0]["account_id"]

    port = free_port()
    serve = ["-m", "serving", "--home", str(tmp_path / "home"), "serve", "--port", str(port), "--workers", "1"]
    server = subprocess.Popen(
        [sys.executable, *serve],
        cwd=tmp_path,
        env=guarded,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        give_up = time.monotonic() + 120
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
    assert not (tmp_path / "mlruns").exists()
    assert (tmp_path / "asked.txt.seen").read_text().count("started") > 8, "the guard did not run in the processes"
    assert not (tmp_path / "asked.txt").exists(), (tmp_path / "asked.txt").read_text()
