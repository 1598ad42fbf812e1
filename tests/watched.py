"""Commands in processes whose every address a guard notes."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent

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


# A process imports the libraries once for all commands it runs; ``serve`` is a process of its own.
_COMMANDS = """
import json, sys
from serving.cli import main
for line in json.loads(sys.argv[1]):
    print(end="\\f", flush=True)
    try:
        main.main(line)
    except SystemExit as ended:
        if ended.code:
            raise
"""


@dataclass(frozen=True)
class Seen:
    """One line of the guard."""

    event: str
    is_local: bool
    host: str
    command: str


@dataclass(frozen=True)
class Watched:
    """A folder with a home, in which commands run and a guard notes what they ask for."""

    root: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def environment(self) -> dict[str, str]:
        """Of every process: no settings of ours, and the guard on its path."""
        guard = self.root / "guard"
        guard.mkdir(exist_ok=True)
        (guard / "sitecustomize.py").write_text(GUARD)
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("BELLWETHER_")},
            "PYTHONPATH": f"{guard}{os.pathsep}{ROOT}",
            "GUARD_FILE": str(self.root / "asked.txt"),
            "BELLWETHER_STALE_AFTER_HOURS": "1000000",
            "BELLWETHER_JUDGING_BLOCKS": "2",  # each is a training of its own
        }

    def seen(self) -> list[Seen]:
        """What the guard wrote so far."""
        lines = (ast.literal_eval(line) for line in (self.root / "asked.txt").read_text().splitlines())
        return [Seen(event, is_local, host, " ".join(command)) for event, is_local, host, command in lines]

    def run(self, *commands: Sequence[str]) -> str:
        """Run commands of ours, one after the other in one process; what the last of them prints."""
        lines = [["--home", str(self.home), *command] for command in commands]
        printed = self._done("-c", _COMMANDS, json.dumps(lines), cwd=self.root, environment=self.environment)
        return printed.rpartition("\f")[2]

    def mlflow_run(self, entry_point: str) -> None:
        """Run an entry point of the project by MLflow."""
        # A folder without a repository: MLflow would ask git for the commit of the one it stands in.
        project = self.root / "project"
        for room in ("features", "training", "serving", "mlproject"):
            shutil.copytree(ROOT / room, project / room, ignore=shutil.ignore_patterns("__pycache__"))
        (self.home / "mlflow").mkdir(exist_ok=True)
        environment = {
            **self.environment,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "MLFLOW_TRACKING_URI": f"sqlite:///{self.home / 'mlflow' / 'mlflow.db'}",
        }
        arguments = ("run", "mlproject", "-e", entry_point, "--env-manager", "local", "-P", f"home={self.home}")
        self._done("-m", "mlflow", *arguments, cwd=project, environment=environment)

    @staticmethod
    def _done(*arguments: str, cwd: Path, environment: dict[str, str]) -> str:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=cwd,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: {done.stderr[-2000:]}"
        return done.stdout
