"""From nothing to a score over HTTP by the command line alone, while a guard notes every address a process asks for."""

import ast
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import World

ROOT = Path(__file__).parent.parent
WORKER = "_bentoml_impl.worker.service"

# Python runs this file at the start of every process that has its folder on the path, workers included. Each line it
# writes: what was asked for, whether that is this machine, the address, and the command line of the process.
GUARD = """
import ipaddress, os, sys

def _is_local(host):
    if not isinstance(host, str) or host in ("", "localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

def _command():
    with open("/proc/self/cmdline", "rb") as file:
        return file.read().decode().split("\\0")[1:5]

def _write(*line):
    with open(os.environ["GUARD_FILE"], "a") as file:
        file.write(repr(line) + "\\n")

def _note(event, arguments):
    if event in ("socket.getaddrinfo", "socket.gethostbyname"):
        host = arguments[0]
    elif event in ("socket.connect", "socket.sendto"):
        host = arguments[1][0] if isinstance(arguments[1], tuple) else ""
    elif event == "socket.bind" and isinstance(arguments[1], tuple):
        host = arguments[1][0] or "every address"
    else:
        return
    host = host.decode() if isinstance(host, bytes) else host
    if event == "socket.bind" or not _is_local(host):
        _write(event, _is_local(host), host, _command())

sys.addaudithook(_note)
_write("started", True, "", _command())
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
    except (ConnectionError, TimeoutError, urllib.error.URLError, json.JSONDecodeError):
        return 0, None


@dataclass(frozen=True)
class Seen:
    """One line of the guard."""

    event: str
    is_local: bool
    host: str
    command: str

    @classmethod
    def all(cls, path: Path) -> list["Seen"]:
        lines = (ast.literal_eval(line) for line in path.read_text().splitlines())
        return [cls(event, is_local, host, " ".join(command)) for event, is_local, host, command in lines]


@pytest.mark.slow
def test_the_whole_way_by_the_command_line_talks_to_loopback_only(
    world: World, tmp_path: Path, guarded: dict[str, str]
) -> None:
    home = tmp_path / "home"
    # What was ingested and built stays: it is the longest part of the way, and it asks nobody.
    shutil.copytree(world.settings.home, home, ignore=shutil.ignore_patterns("mlflow", "bundles", "ledger.db*"))

    def run(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "serving", "--home", str(home), *arguments],
            cwd=tmp_path,
            env=guarded,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout

    last = world.newest.date().isoformat()
    run("init")
    run("ingest", "--accounts", str(world.files / "accounts.parquet"))
    run("features", "build", "--from", last, "--to", last)
    run("features", "apply")
    run("train", "--target", "churn")
    run("promote", "--target", "churn")
    run("features", "materialize")
    scored = json.loads(run("score", "--as-of", last, "--format", "json"))
    account = scored[0]["account_id"]

    port = free_port()
    serve = ["-m", "serving", "--home", str(home), "serve", "--port", str(port), "--workers", "2"]
    server = subprocess.Popen(
        [sys.executable, *serve],
        cwd=tmp_path,
        env=guarded,
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
    assert not (tmp_path / "mlruns").exists()

    seen = Seen.all(Path(guarded["GUARD_FILE"]))
    guarded_processes = [one.command for one in seen if one.event == "started"]
    for command, least in (("-m serving", 9), ("bentoml serve serving.service", 1), (WORKER, 2)):
        assert sum(command in one for one in guarded_processes) >= least, (command, guarded_processes)
    assert not [one for one in seen if not one.is_local]
    # Every address bound was judged above; libraries bind ::1 for a moment to see whether there is IPv6.
    bound = {one.host for one in seen if one.event == "socket.bind" and "bentoml serve" in one.command}
    assert "127.0.0.1" in bound
