"""Supervises the service's processes: told what to do by its owner alone, and closed to new clients when it ends."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bentoml._internal.utils import circus

__all__ = ["supervise_privately"]

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
