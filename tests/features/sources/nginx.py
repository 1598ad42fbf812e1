"""A real nginx on a free loopback port with a scratch prefix."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_SECONDS = 20  # until it answers


@dataclass(frozen=True)
class Nginx:
    """A running server and its folder."""

    process: subprocess.Popen[bytes]
    port: int
    logs: Path

    def ask(self, target: str, *, method: str = "GET", headers: Mapping[str, str] | None = None) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=_SECONDS)
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in (headers or {}).items():
            connection.putheader(name, value)
        connection.endheaders()
        status = connection.getresponse().status
        connection.close()
        return status

    def send(self, content: bytes) -> bytes:
        """What it answers to bytes that may be no request."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=_SECONDS) as connection:
            connection.sendall(content)
            return connection.recv(1024)

    def stop(self) -> None:
        """Let it finish and write its logs."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            self.process.wait(_SECONDS)


def nginx_binary() -> str:
    """The path of nginx; a skip without one, a failure where services are required."""
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        missing = "nginx is not installed: apt-get install nginx"
        if os.environ.get("BELLWETHER_REQUIRE_SERVICES") == "1":
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@contextmanager
def running_nginx(folder: Path, log_format: str, locations: str) -> Iterator[Nginx]:
    """nginx with this ``log_format``, its log under ``logs`` of the folder; ended at the end."""
    binary = nginx_binary()
    logs = folder / "logs"
    scratch = folder / "nginx"
    logs.mkdir()
    scratch.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    parts = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = " ".join(f"{part}_temp_path {scratch / part};" for part in parts)
    user = "user root;" if os.geteuid() == 0 else ""
    (scratch / "nginx.conf").write_text(
        f"""
        daemon off; worker_processes 1; pid {scratch / "pid"}; error_log {logs / "error.log"}; {user}
        events {{ worker_connections 64; }}
        http {{
            {temporary}
            log_format api '{log_format}';
            access_log {logs / "access.log"} api;
            server {{ listen 127.0.0.1:{port}; {locations} }}
        }}
        """
    )
    command = [binary, "-p", str(scratch), "-c", str(scratch / "nginx.conf"), "-e", str(logs / "error.log")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    server = Nginx(process, port, logs)
    try:
        _wait(server)
        yield server
    finally:
        server.stop()
        if process.poll() is None:
            process.kill()
            process.wait(_SECONDS)


def _wait(server: Nginx) -> None:
    until = time.monotonic() + _SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", server.port), timeout=1).close()
        except OSError:
            if server.process.poll() is not None or time.monotonic() > until:
                error = server.logs / "error.log"
                pytest.fail(f"nginx does not answer: {error.read_text() if error.exists() else ''}")
        else:
            return
