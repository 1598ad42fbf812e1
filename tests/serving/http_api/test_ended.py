"""A service that is ended, by force or while it starts, leaves no process behind and its port free."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.serving.conftest import Place
from tests.serving.server import ROOT, running

pytestmark = pytest.mark.slow


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def test_workers_end_with_a_supervisor_that_is_killed_and_the_port_is_free(copied: Place, tmp_path: Path) -> None:
    with running(copied, tmp_path / "log.txt", workers=2, TMPDIR=str(tmp_path)) as server:
        workers = psutil.Process(server.process.pid).children(recursive=True)
        assert len(workers) >= 2
        server.process.kill()
        server.process.wait()
        _, left = psutil.wait_procs(workers, timeout=20)
        for worker in left:
            worker.kill()
        assert left == []
        assert is_free(server.port)


def test_an_interrupt_while_its_workers_start_ends_it(copied: Place, tmp_path: Path) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    passing = tmp_path / "passing"
    passing.mkdir()
    command = [sys.executable, "-m", "serving", "--home", str(copied.settings.home), "serve", "--port", str(port)]
    with (tmp_path / "log.txt").open("wb") as log:
        service = subprocess.Popen(
            command,
            env={**os.environ, "TMPDIR": str(passing), "BELLWETHER_STALE_AFTER_HOURS": "1e6"},
            stdout=log,
            stderr=log,
            cwd=ROOT,
            start_new_session=True,
        )
    process = psutil.Process(service.pid)
    give_up = time.monotonic() + 120
    workers: list[psutil.Process] = []
    while time.monotonic() < give_up:
        workers = process.children(recursive=True)
        if workers:
            break
        with pytest.raises(subprocess.TimeoutExpired):
            service.wait(timeout=0.05)
    service.send_signal(signal.SIGINT)
    try:
        service.wait(timeout=30)
        _, left = psutil.wait_procs(workers, timeout=5)
    finally:
        for started in [*workers, process]:
            if started.is_running():
                started.kill()
    assert left == []
    assert is_free(port)
    assert "Traceback" not in (tmp_path / "log.txt").read_text()
    assert [path.name for path in passing.iterdir()] == []
