"""Runs the requests of a worker in a few threads, as many waiting as it can do, and tells the rest to come back."""

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from http import HTTPStatus
from typing import TypeVar

from serving.http_api.problems import HttpProblemError

__all__ = ["WorkQueue"]


Result = TypeVar("Result")


class WorkQueue:
    """A few threads, a bounded number of requests waiting for them, and a deadline for each.

    A place is free again when its work has ended, not when its client was told that it took too long: threads
    cannot be stopped, and places given away early would pile work up.
    """

    def __init__(self, *, threads: int = 2, places: int = 64, deadline_seconds: float = 20.0) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="answer")
        self._places = places
        self._deadline_seconds = deadline_seconds
        self._taken = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """The result of ``work``, done in a thread.

        Raises
        ------
        HttpProblemError
            429 when every place is taken, 503 when the service is closing, 504 when the work takes too long.
        """
        if self._taken >= self._places:
            raise HttpProblemError(HTTPStatus.TOO_MANY_REQUESTS, "Too many requests at once. Try again in a moment.")
        loop = asyncio.get_running_loop()
        try:
            running = self._pool.submit(work)
        except RuntimeError as error:  # what a pool that was shut down says
            raise HttpProblemError(HTTPStatus.SERVICE_UNAVAILABLE, "The service is closing. Try again.") from error
        self._taken += 1
        running.add_done_callback(lambda done: self._free(loop, done))
        try:
            return await asyncio.wait_for(asyncio.shield(asyncio.wrap_future(running)), self._deadline_seconds)
        except TimeoutError as error:
            running.cancel()  # work that still waits need not begin
            text = f"No answer within {self._deadline_seconds:g} seconds. Ask for fewer accounts at once."
            raise HttpProblemError(HTTPStatus.GATEWAY_TIMEOUT, text) from error

    def close(self) -> None:
        """Start no more work; what runs ends by itself."""
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _free(self, loop: asyncio.AbstractEventLoop, done: "Future[Result]") -> None:
        if not done.cancelled():
            done.exception()  # a result nobody waits for any more is no warning
        with contextlib.suppress(RuntimeError):  # the loop has ended, and with it the count
            loop.call_soon_threadsafe(self._leave)

    def _leave(self) -> None:
        self._taken -= 1
