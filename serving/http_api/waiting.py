"""Which connections give way where there are too many: of those without a request in hand the oldest."""

from itertools import chain, islice
from typing import Generic, TypeVar

__all__ = ["Waiting"]

Connection = TypeVar("Connection")


class Waiting(Generic[Connection]):
    """Connections of a worker that wait for their client, each in one place at most.

    A client that means to ask sends its header in milliseconds: of those without one the oldest is the one to lose.

    Parameters
    ----------
    connections
        How many may be open at once; at most half of them may wait for their header.
    """

    def __init__(self, *, connections: int) -> None:
        self._connections = connections
        self._half_open = max(connections // 2, 1)
        # Dictionaries keep the order in which their keys came.
        self._goodbye: dict[Connection, None] = {}
        self._request: dict[Connection, None] = {}
        self._header: dict[Connection, None] = {}

    def for_header(self, connection: Connection) -> None:
        """It is half open: connected, or in the middle of a header."""
        self._move(connection, self._header)

    def for_request(self, connection: Connection) -> None:
        """Its last request is answered, and nothing has come since."""
        self._move(connection, self._request)

    def for_goodbye(self, connection: Connection) -> None:
        """It was refused, and its client has yet to see so."""
        self._move(connection, self._goodbye)

    def leave(self, connection: Connection) -> None:
        """A request has come, or the connection ended."""
        for waiting in (self._goodbye, self._request, self._header):
            waiting.pop(connection, None)

    def too_many(self, count: int) -> list[Connection]:
        """Those that have to go where ``count`` are open; they wait no longer.

        Refused ones lose nothing and idle ones little. The newest goes where every other has a request in hand.
        """
        leaving: list[Connection] = []
        if count > self._connections:
            leaving += islice(chain(self._goodbye, self._request, self._header), 1)
        if len(self._header) > self._half_open:
            leaving += islice(self._header, 1)
        for connection in leaving:
            self.leave(connection)
        return list(dict.fromkeys(leaving))

    def _move(self, connection: Connection, place: dict[Connection, None]) -> None:
        self.leave(connection)
        place[connection] = None
