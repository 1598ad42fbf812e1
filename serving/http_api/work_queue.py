"""Runs the requests of a worker in a few threads, takes on what can end in time, and tells the rest to come back."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from serving.http_api.pace import Pace
from serving.http_api.problems import HttpProblemError

__all__ = ["WorkQueue"]


Result = TypeVar("Result")

_REQUEST_UNITS = 50
"""What a request costs beside its accounts, in accounts: measured, 1 account 60 ms and 1,000 accounts 1,030 ms."""

_TAKEN_SHARE = 0.5
"""Of the deadline: the pace is that of work that has ended, and the next may be slower."""

_LONGEST_RETRY_SECONDS = 60


class WorkQueue:
    """A few threads, work for them that ends before its deadline, and a bounded number of requests that wait.

    A place is free again when its work has ended, not when its client was told that it took too long: threads
    cannot be stopped, and places given away early would pile work up.
    """

    def __init__(
        self,
        *,
        threads: int = 2,
        places: int = 64,
        deadline_seconds: float = 20.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="answer")
        self._threads = threads
        self._places = places
        self._deadline_seconds = deadline_seconds
        self._clock = clock
        self._taken = 0
        self._pace = Pace()

    async def run(self, work: Callable[[], Result], *, accounts: int = 0) -> Result:
        """The result of ``work``, done in a thread; it scores ``accounts``, each once for each target.

        Raises
        ------
        HttpProblemError
            429 at once when it would not end in time or every place is taken, 503 when the service is closing, 504
            when the work takes too long.
        """
        units = _REQUEST_UNITS + accounts
        self._admit(units)
        is_alone, began = not self._taken, self._clock()
        loop = asyncio.get_running_loop()
        try:
            running = self._pool.submit(work if is_alone else lambda: self._in_time(work, units, began))
        except RuntimeError as error:  # what a pool that was shut down says
            raise HttpProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "The service is closing. Try again.") from error
        self._taken += 1
        self._pace.begin(units, began)
        running.add_done_callback(lambda done: self._free(loop, done, units))
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(running)), self._deadline_seconds)
        except TimeoutError as error:
            if running.cancel():  # work that still waits need not begin
                raise self._too_much(0.0) from error
            text = f"No answer within {self._deadline_seconds:g} seconds. Ask for fewer accounts at once."
            raise HttpProblemError(HTTPStatus.GATEWAY_TIMEOUT, text) from error

    def close(self) -> None:
        """Start no more work; what runs ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _admit(self, units: int) -> None:
        """Raise where there is no place, or no time; whoever comes alone is let in, whatever it takes."""
        beyond = self._pace.seconds_until(units, threads=self._threads) - _TAKEN_SHARE * self._deadline_seconds
        if self._taken >= self._places or (self._taken and beyond > 0):
            raise self._too_much(beyond)

    def _in_time(self, work: Callable[[], Result], units: int, began: float) -> Result:
        """Begin, unless what came before took so long that this would not end any more."""
        waited = self._clock() - began
        if waited + units * self._threads * self._pace.seconds_per_unit > self._deadline_seconds:
            raise self._too_much(0.0)
        return work()

    def _too_much(self, beyond: float) -> HttpProblemError:
        seconds = min(max(math.ceil(beyond), 1), _LONGEST_RETRY_SECONDS)
        text = f"Too many accounts are asked for at once. Try again in {seconds} s."
        return HttpProblemError(HTTPStatus.TOO_MANY_REQUESTS, text, retry_after=seconds)

    def _free(self, loop: asyncio.AbstractEventLoop, done: "Future[Result]", units: int) -> None:
        # A result nobody waits for any more is no warning.
        is_done = not done.cancelled() and done.exception() is None
        now = self._clock()
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the count
            loop.call_soon_threadsafe(lambda: self._leave(units, now, is_done=is_done))

    def _leave(self, units: int, now: float, *, is_done: bool) -> None:
        self._taken -= 1
        self._pace.end(units, now, is_done=is_done)
