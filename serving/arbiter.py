"""Keeps the control of the service's processes to its owner, where circus would open it to everybody on the machine."""

import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bentoml._internal.utils import circus

__all__ = ["keep_control_private"]

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


def keep_control_private(*, passing: Sequence[str] = ()) -> None:
    """From now on BentoML supervises its workers through sockets that only their owner can reach.

    ``passing`` are folders to remove when the service ends, as its sockets are.
    """
    _PrivateArbiter.passing = passing
    circus.Arbiter = _PrivateArbiter
