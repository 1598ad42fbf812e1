"""What is taken on ends in time: how long work takes is learnt by a clock that the test moves."""

from __future__ import annotations

import asyncio
import heapq
import threading
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from features.home.home import Home
from features.settings.load import load_settings
from serving.http_api.meters import Meters
from serving.http_api.middleware import Gatekeeper
from serving.http_api.pace import Pace
from serving.http_api.problems import HttpProblemError
from serving.http_api.routes import make_api
from serving.http_api.work_queue import WorkQueue
from tests.serving.conftest import NOW
from tests.serving.http_api.test_middleware import JSON, Client, is_problem


def worked(*pieces: tuple[float, float, float]) -> Pace:
    """The pace after pieces of work: when each began and ended, and its units."""
    pace = Pace()
    moments = sorted(
        [(began, True, units) for began, _, units in pieces] + [(ended, False, units) for _, ended, units in pieces]
    )
    for now, is_begin, units in moments:
        if is_begin:
            pace.begin(units, now)
        else:
            pace.end(units, now, is_done=True)
    return pace


def test_the_pace_is_that_of_the_work_that_ended() -> None:
    pace = worked(*((number, number + 0.3, 150) for number in range(100)))  # one at a time, with rests between
    assert pace.seconds_per_unit == pytest.approx(0.002, rel=0.01)
    assert pace.pending == 0


def test_two_at_a_time_count_once() -> None:
    pace = worked(*((number // 2 * 0.3, number // 2 * 0.3 + 0.3, 150) for number in range(200)))
    assert pace.seconds_per_unit == pytest.approx(0.001, rel=0.1)


def test_small_pieces_count_by_their_size() -> None:
    # After a thousand units in a second, one unit in a tenth: together 1.1 s for 1,001.
    pace = worked(*((number, number + 1.0, 1000) for number in range(100)), (100, 100.1, 1))
    assert pace.seconds_per_unit == pytest.approx(0.001, rel=0.02)


def test_what_failed_at_once_does_not_make_it_look_quick() -> None:
    pace = worked(*((number, number + 0.3, 150) for number in range(100)))
    for number in range(100, 200):
        pace.begin(1000, number)
        pace.end(1000, number + 0.001, is_done=False)
    assert pace.seconds_per_unit == pytest.approx(0.002, rel=0.01)


def test_how_long_it_takes_is_what_is_pending_and_ones_own_beside_the_others() -> None:
    pace = worked(*((number, number + 0.3, 150) for number in range(100)))
    pace.begin(1000, 100.0)
    assert pace.seconds_until(150, threads=2) == pytest.approx(0.002 * (1000 + 2 * 150), rel=0.01)


@pytest.mark.parametrize("seconds_per_unit", [0.0001, 0.001, 0.01, 0.03])
def test_of_a_burst_all_that_is_taken_on_ends_in_time(seconds_per_unit: float) -> None:
    """117 requests of 100 accounts at once, in two threads that take turns; each then takes half as long again."""
    threads, units, deadline, now = 2, 150.0, 20.0, 1000.0
    pace = worked(*((10 * number, 10 * number + units * seconds_per_unit, units) for number in range(50)))
    waiting = 0
    for _ in range(117):
        if not pace.pending or pace.seconds_until(units, threads=threads) <= deadline / 2:
            pace.begin(units, now)
            waiting += 1
    assert waiting == 117 or pace.seconds_until(units, threads=threads) > deadline / 2
    free = [now] * threads
    for _ in range(waiting):
        heapq.heapreplace(free, free[0] + units * threads * seconds_per_unit * 1.5)
    assert max(free) - now <= deadline


@dataclass
class Scene:
    """A work queue with one thread, a clock, and work that ends when it is told to."""

    now: float = 0.0
    work_queue: WorkQueue = field(init=False)

    def __post_init__(self) -> None:
        self.work_queue = WorkQueue(threads=1, deadline_seconds=20.0, clock=lambda: self.now)

    async def learn(self, seconds_per_unit: float) -> None:
        """Do work until that is the pace."""

        def work() -> None:
            self.now += 1000 * seconds_per_unit

        for _ in range(60):
            await self.work_queue.run(work, accounts=950)


async def status_of(asked: Any) -> tuple[int, int]:
    try:
        await asked
    except HttpProblemError as error:
        return error.status, error.retry_after
    return 200, 0


def test_accounts_are_counted_and_who_comes_too_late_is_told_when_to_come_back() -> None:
    async def scene() -> list[tuple[int, int]]:
        scene = Scene()
        await scene.learn(0.01)
        may_end = threading.Event()
        first = asyncio.create_task(status_of(scene.work_queue.run(may_end.wait, accounts=650)))  # 7 s
        await asyncio.sleep(0)
        small = asyncio.create_task(status_of(scene.work_queue.run(may_end.wait, accounts=50)))  # 8 s of 10
        await asyncio.sleep(0)
        late = await status_of(scene.work_queue.run(may_end.wait, accounts=600))  # would be 14.5 s of 10
        may_end.set()
        results = [await first, await small, late]
        scene.work_queue.close()
        return results

    assert asyncio.run(scene()) == [(200, 0), (200, 0), (429, 5)]


def test_who_comes_alone_is_let_in_whatever_it_takes() -> None:
    async def scene() -> tuple[int, int]:
        scene = Scene()
        await scene.learn(1.0)
        status = await status_of(scene.work_queue.run(lambda: None, accounts=1000))
        scene.work_queue.close()
        return status

    assert asyncio.run(scene()) == (200, 0)


def test_work_that_would_not_end_any_more_does_not_begin() -> None:
    async def scene() -> tuple[tuple[int, int], list[str]]:
        scene, begun = Scene(), []
        await scene.learn(0.001)
        has_begun, may_end = threading.Event(), threading.Event()

        def slow() -> None:
            has_begun.set()
            may_end.wait()
            scene.now += 19.9

        first = asyncio.create_task(status_of(scene.work_queue.run(slow, accounts=100)))
        second = asyncio.create_task(status_of(scene.work_queue.run(lambda: begun.append("late"), accounts=100)))
        await asyncio.to_thread(has_begun.wait)
        may_end.set()
        await first
        status = await second
        scene.work_queue.close()
        return status, begun

    assert asyncio.run(scene()) == ((429, 1), [])


def test_of_a_burst_through_the_application_some_are_answered_and_the_others_refused_at_once(tmp_path: Path) -> None:
    """80 clients at once, each with 100 accounts, where 150 units take 0.15 s and 20 s are the deadline."""
    scene, may_end = Scene(), threading.Event()

    class Slow:
        def score(self, _request: Any, *, now: Any) -> list[Any]:
            assert now == NOW
            may_end.wait()
            scene.now += 0.15
            return []

    unused: Any = None
    champions: Any = SimpleNamespace(served=SimpleNamespace(scorers={"churn": None}))
    scene.work_queue = WorkQueue(threads=1, places=256, deadline_seconds=20.0, clock=lambda: scene.now)
    api = make_api(
        Home(load_settings(home=tmp_path)),
        answerer=Slow(),  # type: ignore[arg-type]
        champions=champions,
        ledger=unused,
        work_queue=scene.work_queue,
        meters=Meters(),
        readiness=unused,
        clock=lambda: NOW,
    )
    body = {"account_ids": [f"a{number}" for number in range(100)]}

    async def burst() -> list[httpx.Response]:
        transport = httpx.ASGITransport(Gatekeeper(api), client=("127.0.0.1", 1))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=JSON) as opened:
            await scene.learn(0.001)
            asked = [asyncio.create_task(opened.post("/v1/score", json=body)) for _ in range(80)]
            while scene.work_queue._taken + sum(each.done() for each in asked) < len(asked):
                await asyncio.sleep(0)
            may_end.set()  # whoever was refused has that answer by now
            return await asyncio.gather(*asked)

    answers = asyncio.run(burst())
    scene.work_queue.close()
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(answers) - len(refused) == 66  # 150 units each; the last begins with 9,750 pending: 9.9 s of 10
    for answer in refused:
        assert is_problem(answer, 429)
        assert answer.headers["retry-after"] == "1"


@pytest.mark.parametrize(
    ("targets", "accounts"), [({}, 6), ({"targets": ["churn"]}, 3), ({"targets": ["churn", "churn"]}, 3)]
)
def test_each_account_counts_once_for_each_target(tmp_path: Path, targets: dict[str, Any], accounts: int) -> None:
    counted: list[int] = []

    async def run(_work: Any, *, accounts: int) -> bytes:
        counted.append(accounts)
        return b"{}"

    unused: Any = None
    champions: Any = SimpleNamespace(served=SimpleNamespace(scorers={"churn": None, "upsell": None}))
    work_queue: Any = SimpleNamespace(run=run)
    api = make_api(
        Home(load_settings(home=tmp_path)),
        answerer=unused,
        champions=champions,
        ledger=unused,
        work_queue=work_queue,
        meters=Meters(),
        readiness=unused,
        clock=lambda: NOW,
    )
    body = {"account_ids": ["a", "b", "c"], **targets}
    assert Client(Gatekeeper(api)).post("/v1/score", json=body).status_code == 200
    assert counted == [accounts]
