"""Starts the service: what may be bound, and the process that answers."""

import atexit
import ipaddress
import json
import os
import re
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from features.console import say
from features.exceptions import SettingsError
from features.home.home import Home
from features.storage.passing import hold_passing_folder
from features.storage.read_only import is_read_only
from serving.http_api.address import PASSING_FOLDER, address

__all__ = ["KEYLESS", "Launch", "curl_line", "launch", "serve_forever"]


_ROOT = Path(__file__).resolve().parent.parent
_DRAIN_SECONDS = 25
_METRICS_OF_FEAST = ("PROMETHEUS_MULTIPROCESS_DIR", "PROMETHEUS_MULTIPROC_DIR")  # set by import, for that process
_VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})", re.ASCII)


KEYLESS = "There are no keys: every user of this machine can read the scores through this port."
"""What is said of a service that asks nobody for a key."""


@dataclass(frozen=True)
class Launch:
    """A process to become: its command line and its environment."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


def launch(home: Home, *, config: Path | None, environment: Mapping[str, str], code: Path = _ROOT) -> Launch:
    """How to start the service under these settings; ``code`` is the folder that holds the three rooms.

    Raises
    ------
    SettingsError
        When an address others can reach is to be bound without keys, or BentoML would put its files elsewhere.
    """
    if not home.settings.api_keys and not _is_loopback(home.settings.host):
        raise SettingsError(
            f"Without keys the service binds loopback only, not {home.settings.host}. Set BELLWETHER_API_KEYS to the "
            "SHA-256 of each key (`printf %s KEY | sha256sum`), or serve on 127.0.0.1."
        )
    host = "127.0.0.1" if home.settings.host == "localhost" else home.settings.host  # BentoML takes addresses only
    arguments = (
        *(sys.executable, "-m", "bentoml", "serve", "serving.service:Bellwether"),
        *("--working-dir", str(code)),
        *("--host", host, "--port", str(home.settings.port)),
        *("--timeout-graceful-shutdown", str(_DRAIN_SECONDS)),
        "--quiet",  # the workers log for themselves, as JSON
    )
    paths = [str(code), *filter(None, [environment.get("PYTHONPATH")])]
    handed_on = {
        "BELLWETHER_HOME": str(home.root),
        "BELLWETHER_HOST": home.settings.host,
        "BELLWETHER_PORT": str(home.settings.port),
        "BELLWETHER_WORKERS": str(home.settings.workers),
        "PYTHONPATH": os.pathsep.join(paths),
        # One request, one thread: workers are how this service uses more processors.
        "OMP_NUM_THREADS": environment.get("OMP_NUM_THREADS", "1"),
        # BentoML keeps metrics files here; its own default is a folder in the user's home.
        **_bentoml_home(home, environment),
    }
    if config is not None:
        handed_on["BELLWETHER_CONFIG"] = str(config.absolute())
    inherited = {name: value for name, value in environment.items() if name not in _METRICS_OF_FEAST}
    return Launch(arguments, {**inherited, **handed_on})


def serve_forever(home: Home, *, config: Path | None) -> NoReturn:
    """Become the service; Ctrl-C and SIGTERM reach it directly.

    Raises
    ------
    SettingsError
        As :func:`launch`.
    """
    launch(home, config=config, environment=os.environ)  # nothing is made where it is refused
    folder, descriptor = hold_passing_folder()
    os.set_inheritable(descriptor, True)
    passing = {"TMPDIR": str(folder), PASSING_FOLDER: str(folder)}
    command = launch(home, config=config, environment={**os.environ, **passing})
    Path(command.environment["BENTOML_HOME"]).mkdir(parents=True, exist_ok=True)
    if not home.settings.api_keys:
        say(f"{KEYLESS} Set BELLWETHER_API_KEYS where others use this machine.", err=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # A process that becomes another one runs no exit functions; in one of them Feast removes its folder of metrics.
    atexit._run_exitfuncs()  # noqa: SLF001
    os.execve(command.arguments[0], list(command.arguments), dict(command.environment))  # noqa: S606 - our own interpreter


def curl_line(home: Home, account_id: str) -> str:
    """A request that works once the service is up; with keys set, once KEY is one of them."""
    body = json.dumps({"account_ids": [account_id], "reasons": 3})
    # curl takes brackets for a pattern of addresses, but for -g.
    curl = "curl -sg" if "[" in address(home.settings) else "curl -s"
    key = "-H 'authorization: Bearer KEY' " if home.settings.api_keys else ""
    return f"{curl} {address(home.settings)}/v1/score {key}-H 'content-type: application/json' -d '{body}'"


def _bentoml_home(home: Home, environment: Mapping[str, str]) -> dict[str, str]:
    """Variables that name BentoML's folder: the home's, or where nothing can be written a passing one."""
    if environment.get("BENTOML_HOME"):
        return {}
    if is_read_only(home.bentoml):
        return {"BENTOML_HOME": str(Path(environment.get("TMPDIR", tempfile.gettempdir())) / "bentoml")}
    folder = str(home.bentoml)
    variables = [match for match in _VARIABLE.finditer(folder) if match[1].strip("{}") in environment]
    if variables:
        raise SettingsError(
            f"The home {home.root} holds {variables[0][0]}, which BentoML takes for a variable of the environment. Set "
            "BENTOML_HOME to a folder for its files, or move the home to a folder of another name."
        )
    return {"BENTOML_HOME": folder}


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError as error:
        raise SettingsError(f"The host {host!r} is not an address. Give one such as 127.0.0.1 or 0.0.0.0.") from error
