"""An interrupt ends a process soon and in one line, also where a library swallows it or makes another error of it."""

import signal
import subprocess
import sys

import pytest

from features.interrupts import STOPPED

BEGIN = """
import os, signal, sys, threading, time
from features import interrupts
interrupts._PATIENCE_SECONDS = 0.2
interrupts.answer_interrupts()
def interrupt_in(seconds):
    threading.Timer(seconds, os.kill, [os.getpid(), signal.SIGINT]).start()
"""
SWALLOWED = """
interrupt_in(0.1)
while True:
    try:
        time.sleep(60)
    except BaseException:
        pass
"""
ANOTHER_ERROR = """
from features.command_line import run_and_leave
def work():
    interrupt_in(0)
    try:
        time.sleep(60)
    except KeyboardInterrupt as error:
        raise ImportError("a library would not be interrupted") from error
run_and_leave(work)
"""
LONG_QUERY = """
from features.command_line import run_and_leave
from features.engine.duckdb_engine import duckdb_engine
from features.engine.errors import engine_failures
interrupts._PATIENCE_SECONDS = 60
engine = duckdb_engine(threads=1, memory_limit="1GB")
def work():
    interrupt_in(0.2)
    with engine_failures():
        engine.connection.con.sql("SELECT sum(hash(a.range * b.range)) FROM range(999999) a, range(99999) b").fetchall()
run_and_leave(work)
"""
IMPORT = """
import importlib.abc
class Slow(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "serving.cli":
            interrupt_in(0)
            time.sleep(60)
sys.meta_path.insert(0, Slow())
from serving import entry
entry.main()
"""


def ended(script: str) -> subprocess.CompletedProcess[str]:
    """What came of a script that heeds interrupts, also where these tests themselves run in the background."""
    command = [sys.executable, "-c", script]
    heeds = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **heeds)


@pytest.mark.parametrize("script", [SWALLOWED, ANOTHER_ERROR, LONG_QUERY, IMPORT])
def test_one_line_and_the_code_of_an_interrupt(script: str) -> None:
    done = ended(BEGIN + script)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", STOPPED)


def test_whoever_starts_it_to_go_on_is_heeded() -> None:
    ignored = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
    done = ended(ignored + BEGIN + "interrupt_in(0); time.sleep(0.3)")
    assert (done.returncode, done.stderr) == (0, "")
