"""One account over HTTP against the same work in-process."""

import contextlib
import json
import os
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from features.settings import Settings
from tests.benchmarks.measure import apart
from tests.benchmarks.row import Row
from tests.benchmarks.world import END

REQUESTS, WARM, TOGETHER = 400, 60, 20
ROOT = Path(__file__).parents[2]


def rows(settings: Settings) -> Iterator[Row]:
    """Medians of both, a few of one after a few of the other, on a connection that stays open."""
    os.environ["OMP_NUM_THREADS"] = "1"  # as the server has it
    try:
        with running(settings) as address:
            over_http, in_process = apart(both, settings.home, address)
    finally:
        del os.environ["OMP_NUM_THREADS"]
    http, work = (statistics.median(times) * 1000 for times in (over_http, in_process))
    yield Row(
        f"one account over HTTP, one target, 5 reasons, {REQUESTS} requests",
        f"p50 {http:.1f} ms, in-process {work:.1f} ms: {http - work:+.1f} ms",
        "<= in-process + 3 ms",
        http <= work + 3,
        {
            "http_p50_ms": http,
            "in_process_p50_ms": work,
            "http_p95_ms": statistics.quantiles(over_http, n=20)[-1] * 1000,
            "in_process_p95_ms": statistics.quantiles(in_process, n=20)[-1] * 1000,
        },
    )


def both(home: Path, address: str) -> tuple[list[float], list[float]]:
    """Seconds of each request, and of validating, answering and encoding the same one here."""
    import httpx
    import pandas as pd

    from features.feature_files import files_of_group
    from features.settings import load_settings
    from features.store import open_store
    from serving.answers import Answerer
    from serving.live import LiveChampions
    from serving.schemas import ScoreRequest

    settings = load_settings(home=home, stale_after_hours=1e6)
    champions = LiveChampions(settings)
    champions.refresh()
    answerer = Answerer(settings, open_store(settings), champions)
    now = END + timedelta(hours=12)
    file = files_of_group(home / "features", "usage", wanted=END.date().__eq__)[0]
    accounts = pd.read_parquet(file, columns=["account_id"])["account_id"].tolist()
    bodies = [
        json.dumps({"account_ids": [accounts[i % len(accounts)]], "reasons": 5}).encode()
        for i in range(REQUESTS + WARM)
    ]

    with httpx.Client(base_url=address, timeout=60, headers={"content-type": "application/json"}) as client:

        def ask(body: bytes) -> None:
            client.post("/v1/score", content=body).raise_for_status()

        def answer(body: bytes) -> None:
            json.dumps({"results": answerer.score(ScoreRequest.model_validate_json(body), now=now)}).encode()

        for work in (ask, answer):
            _times(work, bodies[:WARM])
        over_http, in_process = [], []
        for start in range(WARM, WARM + REQUESTS, TOGETHER):
            over_http += _times(ask, bodies[start : start + TOGETHER])
            in_process += _times(answer, bodies[start : start + TOGETHER])
    return over_http, in_process


def _times(work: Callable[[bytes], None], bodies: list[bytes]) -> list[float]:
    times = []
    for body in bodies:
        began = time.perf_counter()
        work(body)
        times.append(time.perf_counter() - began)
    return times


@contextmanager
def running(settings: Settings) -> Iterator[str]:
    """A real server on a loopback port of its own; its address."""
    import httpx

    from serving.launch import launch

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    there = settings.model_copy(update={"port": port, "workers": 1})
    chosen = launch(there, config=None, environment={**os.environ, "BELLWETHER_STALE_AFTER_HOURS": "1e6"})
    log = settings.home / "server.log"
    with log.open("wb") as file:
        server = subprocess.Popen(
            chosen.arguments, env=dict(chosen.environment), stdout=file, stderr=file, cwd=ROOT, start_new_session=True
        )
    try:
        address, give_up = f"http://127.0.0.1:{port}", time.monotonic() + 180
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{address}/readyz", timeout=10).status_code == 200:
                    break
            if server.poll() is not None or time.monotonic() > give_up:
                raise RuntimeError(f"the server did not come up: {log.read_text()[-2000:]}")
            time.sleep(0.2)
        yield address
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)
