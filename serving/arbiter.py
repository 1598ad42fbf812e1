"""Supervises the service's processes: told what to do by its owner alone, and closed to new clients when it ends."""

import ctypes
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bentoml._internal.utils import circus

__all__ = ["end_with_supervisor", "supervise_privately"]

_SUPERVISOR = "BELLWETHER_SUPERVISOR"  # in a worker's environment, the process that has started it
_PR_SET_PDEATHSIG = 1  # prctl(2)
_AGAIN_SECONDS = 0.05
_LONGEST = 80  # of a folder; the name of a socket may have 107 characters in all


class _PrivateArbiter(circus.Arbiter):  # type: ignore[misc]
    """Starts and stops the workers; told what to do through sockets in a folder of mode 0700.

    BentoML gives circus two free loopback ports. Nobody asks there who is calling, and who calls may change the
    command line of a worker: any user of the machine could run programs as the service.
    """

    passing: Sequence[str] = ()

    def __init__(self, *given: Any, **options: Any) -> None:
        folder = Path(tempfile.mkdtemp(prefix="bellwether-control-"))  # mode 0700
        if len(str(folder)) > _LONGEST:
            folder.rmdir()
            folder = Path(tempfile.mkdtemp(prefix="bellwether-control-", dir="/tmp"))
        options |= {"endpoint": f"ipc://{folder / 'control'}", "pubsub_endpoint": f"ipc://{folder / 'events'}"}
        super().__init__(*given, **options)
        for watcher in self.watchers:
            watcher.env = {**(watcher.env or {}), _SUPERVISOR: str(os.getpid())}
        for passing in (folder, *self.passing):
            self.exit_stack.callback(shutil.rmtree, passing, ignore_errors=True)

    def stop(self) -> Any:
        """Tell the workers to end, and close the port.

        circus closes it when the last worker has ended: until then a new client would be taken into a queue that
        nobody reads. Each worker closes its own first of all. What circus is told while it does something else, as
        starting a worker again, it drops: it is told once more.
        """
        if self._exclusive_running_command is not None and not self._stopping:
            self.loop.call_later(_AGAIN_SECONDS, self.stop)
            return None
        stopping = super().stop()
        self.sockets.close_all()
        return stopping


def supervise_privately(*, passing: Sequence[str] = ()) -> None:
    """From now on BentoML supervises its workers by :class:`_PrivateArbiter`.

    ``passing`` are folders to remove when the service ends, as its sockets are.
    """
    _PrivateArbiter.passing = passing
    circus.Arbiter = _PrivateArbiter


def end_with_supervisor() -> None:
    """From now on a worker is told to end when its supervisor is gone, whatever ended that; elsewhere nothing happens.

    A supervisor that is killed tells nobody: its workers would answer on, and the port stay taken. Linux sends the
    signal when the thread that has started the worker ends, which is the supervisor's main thread.
    """
    supervisor = os.environ.get(_SUPERVISOR)
    if supervisor is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(supervisor):  # it was gone before it could be followed
        os.kill(os.getpid(), signal.SIGTERM)
