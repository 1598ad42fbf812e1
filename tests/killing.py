"""Runs a command in a process that kills itself at a named point, as a power cut would.

``killed(["ingest", "--events", "a.csv"], at="features.storage.store:StoreWriter.replace", call=2)`` runs
``bellwether ingest`` in a child in which the second call of ``StoreWriter.replace`` is never made: the
process gets SIGKILL instead. With ``after=True`` it dies once the call has returned. The product knows
nothing of it. A function imported by name is to be named where it is looked up.
"""

from __future__ import annotations

import atexit
import ctypes
import functools
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[1]
_CLOCKS = ("features.cli", "serving.cli")


@dataclass(frozen=True)
class Plan:
    """What a child does: the command, the moment it believes in, and where it dies (nowhere: ``at`` is None).

    ``instead`` names a function (``module:name``) that is called with the arguments in place of the command line. Where
    it ``heeds_modes``, a file without write permission cannot be written, though root's it is.
    """

    arguments: Sequence[str]
    at: str | None = None
    call: int = 1
    after: bool = False
    now: str | None = None
    instead: str | None = None
    heeds_modes: bool = False


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
    with tempfile.TemporaryDirectory() as folder:
        out, err = Path(folder) / "out", Path(folder) / "err"
        order = {"plan": asdict(plan), "cwd": str(cwd or _ROOT), "out": str(out), "err": str(err)}
        code = _nursery().order(order)
        return subprocess.CompletedProcess(list(plan.arguments), code, out.read_text(), err.read_text())


class _Nursery:
    """A process that has imported the rooms and forks a child per order: importing Feast takes seconds, once.

    It starts no engine and no thread of ours, so a fork finds no lock held; LightGBM has not begun its own either.
    """

    def __init__(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BELLWETHER_")}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.killing"],
            env={**environment, "PYTHONPATH": str(_ROOT), "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            cwd=_ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self.close)

    def order(self, order: dict[str, Any]) -> int:
        """Have a plan carried out; its exit code, negative for a signal."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """Let it end."""
        self._process.communicate(timeout=60)


@functools.cache
def _nursery() -> _Nursery:
    return _Nursery()


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
    from serving.cli import main

    if plan.now is not None:
        moment = datetime.fromisoformat(plan.now)
        for module in map(importlib.import_module, _CLOCKS):
            module._now = lambda: moment  # type: ignore[attr-defined]
    if plan.at is not None:
        arm(plan.at, call=plan.call, after=plan.after)
    if plan.heeds_modes:
        heed_modes()
    if plan.instead is not None:
        module, _, name = plan.instead.partition(":")
        getattr(importlib.import_module(module), name)(*plan.arguments)
        raise SystemExit(0)
    main(list(plan.arguments))


def heed_modes() -> None:
    """Let the modes of files hold for this process and those it starts, though it be root's: capabilities(7)."""
    libc = ctypes.CDLL(None, use_errno=True)
    override, search = 1, 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    for capability in (override, search):
        libc.prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP; one that has none fails, and needs nothing
    header, data = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
    if libc.capget(header, data) == 0:
        for place in (0, 1):  # effective, permitted
            data[place] &= ~(1 << override | 1 << search)
        libc.capset(header, data)


def _born(order: dict[str, Any]) -> int:
    """Fork a child that carries out an order, and wait for its end."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    code = 70
    try:
        for descriptor, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(order[name], os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
        os.chdir(order["cwd"])
        _child(Plan(**order["plan"]))
    except SystemExit as left:
        code = left.code if isinstance(left.code, int) else 0
    except BaseException:  # noqa: BLE001 - the parent reads what is printed
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve() -> None:
    """Carry out orders, a line each, until nobody can give more."""
    from features.start import start

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing an import prints may look like an answer
    start()
    importlib.import_module("serving.cli")
    for text in sys.stdin:
        order = json.loads(text)
        for module in _heavy(order["plan"]["arguments"]):
            importlib.import_module(module)
        answers.write(f"{_born(order)}\n")
        answers.flush()


def _heavy(arguments: Sequence[str]) -> Sequence[str]:
    """What a command imports, so that it is imported once."""
    if {"score", "explain", "nightly", "materialize"} & set(arguments):
        return ("serving.routine.batch", "lightgbm", "mlflow.lightgbm")
    return ("features.ingest.ingest", "features.rollup.count", "features.build.build")


if __name__ == "__main__":
    _serve()
