"""Ends a command that somebody stops: soon, in one line, whatever it is busy with.

Python raises ``KeyboardInterrupt`` when a library gives it a turn again, which may be minutes; some libraries make
another error of it, and whoever is just being imported a traceback.
"""

import os
import select
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, NoReturn, Protocol
from weakref import WeakSet

__all__ = ["EXIT_CODE", "STOPPED", "answer_interrupts", "is_answered", "leave", "stop_on_interrupt", "was_interrupted"]


STOPPED = "Stopped; nothing half-written is kept; run it again to go on."
EXIT_CODE = 128 + signal.SIGINT

_PATIENCE_SECONDS = 3.0
"""How long the work may take to end by itself: every store is whole at any moment, so it need not."""


class Stoppable(Protocol):
    """Something that works where Python has no turn."""

    def interrupt(self) -> None:
        """Let it end early; called from another thread."""


_asked = threading.Event()
_leaving = threading.Lock()
_working: WeakSet[Stoppable] = WeakSet()
_watcher: threading.Thread | None = None


def answer_interrupts() -> None:
    """From now on an interrupt ends this process with :data:`STOPPED`; the entry point of a command calls it first."""
    global _watcher  # noqa: PLW0603 - a process has one handler of signals
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as whoever started it wants
        return
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.signal(signal.SIGINT, _raise)
    sys.unraisablehook = _unraisable
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    _watcher = threading.Thread(target=_watch, args=(reader,), name="interrupts", daemon=True)
    _watcher.start()


def is_answered() -> bool:
    """Whether this process was told to :func:`answer_interrupts`."""
    return _watcher is not None


def was_interrupted() -> bool:
    """Whether an interrupt came: an error after it is no fault of the work."""
    return _asked.is_set()


def stop_on_interrupt(work: Stoppable) -> None:
    """Have something stopped when an interrupt comes, as long as it is there."""
    _working.add(work)


def leave() -> NoReturn:
    """Say that the command was stopped, once, and end the process: nothing is closed that might wait."""
    with _leaving:
        with suppress(OSError):
            os.write(2, f"{STOPPED}\n".encode())
        os._exit(EXIT_CODE)


def _raise(_signal: int, _frame: object) -> NoReturn:
    _asked.set()
    raise KeyboardInterrupt


def _unraisable(lost: Any) -> None:
    """An interrupt that came where nothing can be raised, as in an import's clean-up: the watcher ends the process."""
    if not isinstance(lost.exc_value, KeyboardInterrupt):
        sys.__unraisablehook__(lost)


def _watch(reader: int) -> None:
    """Wait for an interrupt, stop what works, and leave when that does not help or somebody asks again."""
    while os.read(reader, 1) != bytes([signal.SIGINT]):
        pass
    _asked.set()
    for work in list(_working):
        with suppress(Exception):
            work.interrupt()
    select.select([reader], [], [], _PATIENCE_SECONDS)
    leave()
