"""Starts the real service for tests, on a loopback port of its own."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.home.home import Home
from serving.http_api.schemas import Problem
from serving.launch import launch
from tests.serving.conftest import Place

JSON = {"content-type": "application/json"}
ROOT = Path(__file__).parents[2]

# Nothing here speaks TLS. Without a context at hand httpx reads every certificate of the machine for each request.
_CONTEXT = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@dataclass(frozen=True)
class Running:
    """A server process, the address it answers at, and its log."""

    address: str
    place: Place
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """Ask on a connection of its own."""
        return httpx.request(method, f"{self.address}{path}", timeout=60, verify=_CONTEXT, **given)

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.request("GET", path, **given)

    def score(self, body: object, path: str = "/v1/score", **given: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, content=content, **{"headers": JSON, **given})

    def wait_for(self, claim: Callable[[], bool], seconds: float = 180.0) -> None:
        """Until the claim holds; the test fails when the server ends before, or after ``seconds``."""
        give_up = time.monotonic() + seconds
        while time.monotonic() < give_up:
            with contextlib.suppress(httpx.HTTPError):
                if claim():
                    return
            with contextlib.suppress(subprocess.TimeoutExpired):
                pytest.fail(f"the server ended with {self.process.wait(timeout=0.1)}: {self.log.read_text()[-2000:]}")
        pytest.fail(f"not within {seconds} seconds: {self.log.read_text()[-2000:]}")


@contextmanager
def running(
    place: Place, log: Path, *, code: Path = ROOT, python: str = sys.executable, workers: int = 1, **changes: Any
) -> Iterator[Running]:
    """A server on this home; ``changes`` are its environment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = place.settings.model_copy(update={"port": port, "workers": workers})
    environment = {**os.environ, "BELLWETHER_STALE_AFTER_HOURS": "1e6", **changes}
    chosen = launch(Home(settings), config=None, environment=environment, code=code)
    with log.open("wb") as file:
        server = subprocess.Popen(
            [python, *chosen.arguments[1:]],
            env=dict(chosen.environment),
            stdout=file,
            stderr=file,
            cwd=code,
            start_new_session=True,
        )
    try:
        found = Running(f"http://127.0.0.1:{port}", place, server, log)
        found.wait_for(lambda: found.get("/livez").status_code == 200)
        yield found
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)


def problem_of(answer: httpx.Response, status: int) -> Problem:
    """The problem an answer is; fails when it is not exactly one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate_json(answer.content)
    assert found.status == status
    assert found.request_id == answer.headers["x-request-id"]
    return found
