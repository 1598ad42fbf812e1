"""Wrong keys: who sends them waits, by a clock that the test moves."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from serving.http_api.failed_keys import FailedKeys
from serving.http_api.meters import Meters
from serving.http_api.problems import HttpProblemError
from tests.serving.http_api.test_middleware import DIGEST, KEY, client, is_problem


@dataclass
class Time:
    """A clock, and a sleep that only notes how long it was asked for."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def clock(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(round(seconds, 3))

    def failed(self) -> FailedKeys:
        return FailedKeys(clock=self.clock, sleep=self.sleep)


def test_five_are_free_then_each_waits_twice_as_long_up_to_two_seconds() -> None:
    time = Time()
    failed = time.failed()
    for _ in range(12):
        asyncio.run(failed.slow("10.0.0.7"))
    assert time.slept == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]


def test_one_is_forgiven_in_ten_seconds_and_other_clients_do_not_wait() -> None:
    time = Time()
    failed = time.failed()
    for _ in range(7):
        asyncio.run(failed.slow("10.0.0.7"))
    asyncio.run(failed.slow("10.0.0.8"))
    time.now = 20.0
    asyncio.run(failed.slow("10.0.0.7"))
    time.now = 1000.0
    asyncio.run(failed.slow("10.0.0.7"))
    assert time.slept == [0.1, 0.2, 0.1]


@pytest.mark.parametrize(
    ("addresses", "is_one_client"),
    [
        (["2001:db8::1", "2001:db8::ffff"], True),
        (["2001:db8::1", "2001:db8:0:1::1"], False),
        (["10.0.0.7", "::ffff:10.0.0.7"], True),
        (["a socket", "another"], False),
    ],
)
def test_a_client_is_its_address_and_of_ipv6_its_network(addresses: list[str], is_one_client: bool) -> None:
    time = Time()
    failed = time.failed()
    for number in range(6):
        asyncio.run(failed.slow(addresses[number % 2]))
    assert bool(time.slept) == is_one_client


def test_clients_are_remembered_up_to_a_number_the_latest_first() -> None:
    time = Time()
    failed = time.failed()
    for address in ["first"] * 5 + [f"other {number}" for number in range(4096)] + ["first"]:
        asyncio.run(failed.slow(address))
    assert time.slept == []
    assert len(failed._failures) == 4096


def test_a_client_has_four_answers_to_wait_for_at_most() -> None:
    async def scene() -> list[type[BaseException] | None]:
        may_end, time = asyncio.Event(), Time()

        async def sleep(_seconds: float) -> None:
            await may_end.wait()

        failed = FailedKeys(clock=time.clock, sleep=sleep)
        asked = [asyncio.create_task(failed.slow("10.0.0.7")) for _ in range(10)]
        await asyncio.sleep(0)
        may_end.set()
        results = await asyncio.gather(*asked, return_exceptions=True)
        await failed.slow("10.0.0.7")
        return [type(result) if result else None for result in results]

    assert asyncio.run(scene()) == [None] * 9 + [HttpProblemError]


def test_a_wrong_key_is_401_and_counted_and_a_right_one_never_waits() -> None:
    time, meters = Time(), Meters()
    keyed = client(key_digests=[DIGEST], meters=meters, failed_keys=time.failed())
    for number in range(8):
        answer = keyed.get("/v1/models", headers={"authorization": f"Bearer wrong-{number}"})
        assert is_problem(answer, 401)
        assert answer.headers["www-authenticate"] == 'Bearer error="invalid_token"'
        assert "wrong" not in answer.text
    assert time.slept == [0.1, 0.2, 0.4]
    assert is_problem(keyed.get("/v1/models"), 401)  # none was sent
    assert keyed.get("/v1/models", headers={"authorization": f"Bearer {KEY}"}).status_code == 200
    assert time.slept == [0.1, 0.2, 0.4]
    assert "bellwether_failed_keys_total 8.0" in meters.page().decode()
