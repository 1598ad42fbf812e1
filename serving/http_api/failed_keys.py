"""Slows a client that sends wrong keys, the more the more it sends, and nobody else."""

import asyncio
import ipaddress
import time
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from serving.http_api.problems import HttpProblemError

__all__ = ["FailedKeys"]


_FREE = 5
_FORGIVEN_SECONDS = 10.0
_FIRST_SECONDS, _LONGEST_SECONDS = 0.1, 2.0
_WAITING_PER_CLIENT, _WAITING = 4, 64
_CLIENTS = 4096
_PREFIX = 64  # of IPv6, what one customer of a provider has


class FailedKeys:
    """How long each client waits for its answer: a bucket of five failures, which fills by one in ten seconds.

    After them the first waits a tenth of a second, each further one twice as long, up to two. Who sends a right key is
    answered at once, from the same address too: a key is not guessed, and others may share the address.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock = clock
        self._sleep = sleep
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()  # how many are not forgiven, and when
        self._waiting: Counter[str] = Counter()

    async def slow(self, address: str) -> None:
        """Wait as long as a client of this address has to.

        Raises
        ------
        HttpProblemError
            429 when it has several answers to wait for already, or too many clients have.
        """
        client = _client(address)
        seconds = self._seconds(client)
        if not seconds:
            return
        if self._waiting[client] >= _WAITING_PER_CLIENT or self._waiting.total() >= _WAITING:
            raise HttpProblemError(HTTPStatus.TOO_MANY_REQUESTS, "Too many wrong keys at once. Try again in a moment.")
        self._waiting[client] += 1
        try:
            await self._sleep(seconds)
        finally:
            self._waiting[client] -= 1
            if not self._waiting[client]:
                del self._waiting[client]

    def _seconds(self, client: str) -> float:
        now = self._clock()
        failures, since = self._failures.pop(client, (0.0, now))
        failures = max(0.0, failures - (now - since) / _FORGIVEN_SECONDS) + 1
        self._failures[client] = failures, now
        if len(self._failures) > _CLIENTS:
            self._failures.popitem(last=False)
        # Bounded before the power is: a thousand failures are no overflow.
        doublings = min(failures - _FREE - 1, 10.0)
        return min(_FIRST_SECONDS * 2**doublings, _LONGEST_SECONDS) if failures > _FREE else 0.0


def _client(address: str) -> str:
    """An address; of IPv6 the network, since one client has many."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((parsed, _PREFIX), strict=False))
