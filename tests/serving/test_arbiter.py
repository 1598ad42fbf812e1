"""What supervises the workers, with one that is no service: told to end, it refuses who comes now and waits for it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

WORKER = """
import os, signal, sys, time
door, folder, parent = int(sys.argv[1]), sys.argv[2], os.getppid()

def end(*_):
    os.close(door)
    while not os.path.exists(folder + "/may-end"):
        time.sleep(0.02)
    open(folder + "/ended", "w").close()
    os._exit(0)

signal.signal(signal.SIGTERM, end)
open(folder + "/ready", "w").close()
while os.getppid() == parent:
    time.sleep(0.1)
"""

# While circus is busy with something else it is told to end; then somebody connects until that is refused.
SUPERVISOR = """
import json, os, signal, socket, sys, threading, time, warnings
warnings.simplefilter("ignore")
from features.start import start
start()
from serving.arbiter import supervise_privately
supervise_privately()
from bentoml._internal.utils.circus import create_standalone_arbiter
from circus.sockets import CircusSocket
from circus.watcher import Watcher

folder, worker = sys.argv[1:]
door = CircusSocket(name="door", host="127.0.0.1", port=0)
watcher = Watcher(name="worker", cmd=sys.executable, args=["-c", worker, "$(circus.sockets.door)", folder],
                  use_sockets=True, copy_env=True, graceful_timeout=60)
arbiter = create_standalone_arbiter([watcher], sockets=[door])

def answers():
    try:
        socket.create_connection(("127.0.0.1", door.port), timeout=1).close()
    except ConnectionRefusedError:
        return False
    return True

def scene():
    while not os.path.exists(folder + "/ready"):
        time.sleep(0.02)
    said = {"answers": answers()}
    arbiter._exclusive_running_command = "manage_watchers"
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.2)
    said["answers while busy"] = answers()
    arbiter._exclusive_running_command = None
    give_up = time.monotonic() + 20
    while answers() and time.monotonic() < give_up:
        time.sleep(0.02)
    said |= {"answers when told to end": answers(), "had ended by then": os.path.exists(folder + "/ended")}
    open(folder + "/may-end", "w").close()
    print(json.dumps(said), flush=True)

threading.Thread(target=scene).start()
arbiter.start()
"""


def test_told_to_end_the_port_is_closed_while_the_worker_ends_what_it_has_begun(tmp_path: Path) -> None:
    command = [sys.executable, "-c", SUPERVISOR, str(tmp_path), WORKER]
    done = subprocess.run(
        command,
        cwd=Path(__file__).parents[2],
        env={**os.environ, "BENTOML_HOME": str(tmp_path / "bentoml")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {
        "answers": True,
        "answers while busy": True,
        "answers when told to end": False,
        "had ended by then": False,
    }
    assert (tmp_path / "ended").exists()
