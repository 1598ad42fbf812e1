"""Runs a command in a process that kills itself at a named point, as a power cut would.

``killed(["ingest", "--events", "a.csv"], at="features.manifest:StoreWriter.replace", call=2)`` runs
``bellwether ingest`` in a child in which the second call of ``StoreWriter.replace`` is never made: the
process gets SIGKILL instead. With ``after=True`` it dies once the call has returned. The product knows
nothing of it. A function imported by name is to be named where it is looked up.
"""

from __future__ import annotations

import functools
import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_CLOCKS = ("features.cli", "serving.cli")


@dataclass(frozen=True)
class Plan:
    """What a child does: the command, the moment it believes in, and where it dies (nowhere: ``at`` is None)."""

    arguments: Sequence[str]
    at: str | None = None
    call: int = 1
    after: bool = False
    now: str | None = None


def killed(
    arguments: Sequence[str],
    *,
    at: str,
    call: int = 1,
    after: bool = False,
    now: datetime | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a command that is killed at the ``call``-th call of ``at`` (``module:name`` or ``module:Class.name``).

    Fails the test when the command ends otherwise: then the point was never reached. Returns what it had said.
    """
    done = run_apart(Plan(list(arguments), at, call, after, now and now.isoformat()), cwd=cwd)
    assert done.returncode == -signal.SIGKILL, (
        f"not killed at call {call} of {at}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout + done.stderr


def finished(
    arguments: Sequence[str], *, now: datetime | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in a process of its own, with the clock standing at ``now``."""
    return run_apart(Plan(list(arguments), now=now and now.isoformat()), cwd=cwd)


def run_apart(plan: Plan, *, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run a plan in a child that sees no settings of ours."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BELLWETHER_")}
    return subprocess.run(
        [sys.executable, "-m", "tests.killing", json.dumps(asdict(plan))],
        env={**environment, "PYTHONPATH": str(_ROOT)},
        cwd=cwd or _ROOT,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


def arm(at: str, *, call: int, after: bool) -> None:
    """Replace a function in this process by one that kills the process at its ``call``-th call."""
    module, _, path = at.partition(":")
    *owners, name = path.split(".")
    owner: Any = functools.reduce(getattr, owners, importlib.import_module(module))
    real = getattr(owner, name)  # raises where the point has another name by now
    setattr(owner, name, _mortal(real, call=call, after=after))


def _mortal(real: Callable[..., Any], *, call: int, after: bool) -> Callable[..., Any]:
    calls = 0

    @functools.wraps(real)
    def mortal(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        answer = real(*given, **named)
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return mortal


def _child(plan: Plan) -> None:
    from features.start import start
    from serving.cli import main

    start()  # before a point in Feast or MLflow is imported
    if plan.now is not None:
        moment = datetime.fromisoformat(plan.now)
        for module in map(importlib.import_module, _CLOCKS):
            module._now = lambda: moment  # type: ignore[attr-defined]
    if plan.at is not None:
        arm(plan.at, call=plan.call, after=plan.after)
    main(list(plan.arguments))


if __name__ == "__main__":
    _child(Plan(**json.loads(sys.argv[1])))
