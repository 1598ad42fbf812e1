"""One account over HTTP against the same work in-process, and how much a service of two workers takes."""

import asyncio
import contextlib
import http.client
import itertools
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

from features.home.home import Home
from features.settings.fields import Settings
from features.storage.store import ManifestStore
from tests.benchmarks.measure import apart
from tests.benchmarks.row import Row
from tests.benchmarks.world import END

REQUESTS, WARM, TOGETHER = 400, 60, 20
MANY, MANY_REQUESTS = 100, 30
WORKERS, CLIENTS, SECONDS = 2, (1, 4, 16, 64), 4.0
ROOT = Path(__file__).parents[2]


def rows(settings: Settings) -> Iterator[Row]:
    """Medians of both, a few of one after a few of the other, on a connection that stays open; then what has no bar."""
    os.environ["OMP_NUM_THREADS"] = "1"  # as the server has it
    try:
        with running(settings) as address:
            targets, over_http, in_process, many = apart(both, settings.home, address)
            loads = apart(saturated, settings.home, address)
    finally:
        del os.environ["OMP_NUM_THREADS"]
    http, work = (statistics.median(times) * 1000 for times in (over_http, in_process))
    yield Row(
        f"one account over HTTP, {len(targets)} target(s), 5 reasons, {REQUESTS} requests",
        f"p50 {http:.1f} ms, in-process {work:.1f} ms: {http - work:+.1f} ms",
        "<= in-process + 3 ms",
        http <= work + 3,
        {
            "targets": targets,
            "http_p50_ms": http,
            "in_process_p50_ms": work,
            "http_p95_ms": statistics.quantiles(over_http, n=20)[-1] * 1000,
            "in_process_p95_ms": statistics.quantiles(in_process, n=20)[-1] * 1000,
        },
    )
    p50, p95 = statistics.median(many) * 1000, statistics.quantiles(many, n=20)[-1] * 1000
    yield Row(
        f"{MANY} accounts over HTTP, {len(targets)} target(s), 5 reasons, {MANY_REQUESTS} requests",
        f"p50 {p50:.0f} ms, p95 {p95:.0f} ms",
        "-",
        None,
        {"targets": targets, "http_p50_ms": p50, "http_p95_ms": p95},
    )
    yield Row(
        f"saturation, {WORKERS} workers, one account and {len(targets)} target(s) a request",
        ", ".join(
            f"{load['clients']} clients {load['per_second']:.0f}/s p50 {load['p50_ms']:.0f} ms" for load in loads
        ),
        "-",
        None,
        {"targets": targets, "workers": WORKERS, "loads": loads},
    )


def accounts_of(home: Path) -> list[str]:
    """Every account that has features."""
    import pandas as pd

    from features.offline.files import files_of_group

    file = files_of_group(ManifestStore(home / "features"), "usage", wanted=END.date().__eq__)[0]
    accounts: list[str] = pd.read_parquet(file, columns=["account_id"])["account_id"].tolist()
    return accounts


def both(home: Path, address: str) -> tuple[list[str], list[float], list[float], list[float]]:
    """Targets; seconds of each request, of validating, answering and encoding the same one here, and of large ones.

    The client is the standard library's: one with more comfort takes a millisecond for itself.
    """
    from features.feature_store.store import open_store
    from features.settings.load import load_settings
    from serving.http_api.answers import Answerer
    from serving.http_api.live_champions import LiveChampions
    from serving.http_api.schemas import ScoreRequest

    settings = load_settings(home=home, stale_after_hours=1e6)
    champions = LiveChampions(Home(settings))
    champions.refresh()
    answerer = Answerer(Home(settings), open_store(Home(settings)), champions)
    now = END + timedelta(hours=12)
    accounts = accounts_of(home)
    bodies = [
        json.dumps({"account_ids": [accounts[i % len(accounts)]], "reasons": 5}).encode()
        for i in range(REQUESTS + WARM)
    ]
    large = [json.dumps({"account_ids": accounts[i : i + MANY], "reasons": 5}).encode() for i in range(MANY_REQUESTS)]

    with contextlib.closing(http.client.HTTPConnection(address.removeprefix("http://"), timeout=60)) as client:

        def ask(body: bytes) -> None:
            client.request("POST", "/v1/score", body, {"content-type": "application/json"})
            response = client.getresponse()
            answered = response.read()
            if response.status != 200:
                raise RuntimeError(f"the server answered {response.status}: {answered[:200]!r}")

        def answer(body: bytes) -> None:
            json.dumps({"results": answerer.score(ScoreRequest.model_validate_json(body), now=now)}).encode()

        for work in (answer, ask):  # the server ends a connection that is idle for seconds
            _times(work, bodies[:WARM])
        over_http, in_process = [], []
        for start in range(WARM, WARM + REQUESTS, TOGETHER):
            over_http += _times(ask, bodies[start : start + TOGETHER])
            in_process += _times(answer, bodies[start : start + TOGETHER])
        _times(ask, large[:3])
        many = _times(ask, large)
    return list(champions.scorers), over_http, in_process, many


def saturated(home: Path, address: str) -> list[dict[str, float]]:
    """For each number of clients that ask again as soon as they are answered: answers per second, and how long one took."""
    host, _, port = address.removeprefix("http://").partition(":")
    found = []
    for clients in CLIENTS:
        times, refused = asyncio.run(_closed_loop(host, int(port), accounts_of(home), clients))
        p50, p95 = statistics.median(times) * 1000, statistics.quantiles(times, n=20)[-1] * 1000
        rates = {"per_second": len(times) / SECONDS, "refused_per_second": refused / SECONDS}
        found.append({"clients": clients, **rates, "p50_ms": p50, "p95_ms": p95})
    return found


async def _closed_loop(host: str, port: int, accounts: list[str], clients: int) -> tuple[list[float], int]:
    """Seconds of each answer that was 200, and how many were 429; by a client that costs little beside the server."""
    times: list[float] = []
    refused = 0
    turn = itertools.cycle(accounts)
    end = time.perf_counter() + SECONDS

    async def client() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection(host, port)
        while time.perf_counter() < end:
            body = json.dumps({"account_ids": [next(turn)], "reasons": 5}).encode()
            head = f"POST /v1/score HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
            began = time.perf_counter()
            writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
            answer = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
            await reader.readexactly(int(answer.partition("content-length: ")[2].partition("\r\n")[0]))
            status = answer.split(" ", 2)[1]
            if status not in {"200", "429"}:
                raise RuntimeError(f"the server answered {status}")
            if status == "200":
                times.append(time.perf_counter() - began)
            else:
                refused += 1
        writer.close()

    await asyncio.gather(*(client() for _ in range(clients)))
    return times, refused


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
    there = settings.model_copy(update={"port": port, "workers": WORKERS})
    chosen = launch(Home(there), config=None, environment={**os.environ, "BELLWETHER_STALE_AFTER_HOURS": "1e6"})
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
