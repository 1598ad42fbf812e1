"""What a process is set up with before its first library."""

import json
import os
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_info

from features.start import start

_THREADS_OF_BLAS = """
import json
from features.start import start
start()
import numpy
from threadpoolctl import threadpool_info
print(json.dumps([pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]))
"""


def test_linear_algebra_has_one_thread() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", _THREADS_OF_BLAS], env=environment, capture_output=True, text=True, check=True
    )
    assert set(json.loads(done.stdout)) == {1}


def test_who_asks_for_more_threads_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    start()
    assert os.environ["OPENBLAS_NUM_THREADS"] == "2"


@pytest.mark.skipif(os.environ.get("OPENBLAS_NUM_THREADS", "1") != "1", reason="whoever runs the tests asks for more")
def test_these_tests_run_as_the_command_line_does() -> None:
    assert {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"} == {1}
