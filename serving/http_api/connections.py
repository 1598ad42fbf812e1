"""Bounds what a connection may take before its request is one: bytes, time, and places beside the others."""

import asyncio
import logging
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import httptools
from uvicorn import config as uvicorn_config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from serving.http_api.logs import fields
from serving.http_api.meters import Meters
from serving.http_api.problems import problem
from serving.http_api.request_id import HEADER
from serving.http_api.waiting import Waiting

__all__ = ["HEADER_LIMIT_BYTES", "PEER", "Connection", "ConnectionLimits", "bound_connections"]


HEADER_LIMIT_BYTES = 64 * 1024

PEER = "bellwether.peer"
"""Key of the address that has connected in the ASGI scope; ``client`` may be what a proxy says."""

_UPGRADE = frozenset({b"upgrade", b"http2-settings"})
_FAREWELL_SECONDS = 5.0
_PART_BYTES = 16 * 1024
_LONGEST_PIPELINE = 32

_log = logging.getLogger("bellwether.serving")


@dataclass(frozen=True)
class ConnectionLimits:
    """What a client may take of one worker.

    Attributes
    ----------
    header_seconds
        From connecting, or from the first byte after an answer, to the end of a header; as long may a client go on
        sending the body of a request that has been answered.
    idle_seconds
        From an answer to the next request.
    connections
        Open at once; at most half of them may wait for their header.
    """

    header_seconds: float = 10.0
    idle_seconds: float = 75.0
    connections: int = 512


def bound_connections(limits: ConnectionLimits, meters: Meters) -> None:
    """From now on uvicorn speaks HTTP by :class:`Connection`, and no WebSocket.

    BentoML hands on uvicorn's idle time and backlog, and neither its protocol nor its limits; those uvicorn has are
    for h11 only.
    """
    waiting: Waiting[Connection] = Waiting(connections=limits.connections)
    speak = partial(Connection, limits=limits, waiting=waiting, meters=meters)
    uvicorn_config.HTTP_PROTOCOLS["auto"] = speak  # type: ignore[assignment]
    uvicorn_config.WS_PROTOCOLS["auto"] = None


class Connection(HttpToolsProtocol):
    """One connection of a client.

    Whatever passes without a header ending or a byte of body coming counts as header: lines, trailers, extensions of
    chunks. It is counted before the parser sees it, which would put a header together piece by piece in quadratic time.
    """

    def __init__(
        self,
        *given: Any,
        limits: ConnectionLimits,
        waiting: "Waiting[Connection]",
        meters: Meters,
        **options: Any,
    ) -> None:
        super().__init__(*given, **options)
        self.timeout_keep_alive = limits.idle_seconds  # type: ignore[assignment]
        self._limits = limits
        self._waiting = waiting
        self._meters = meters
        self._timer: asyncio.TimerHandle | None = None
        self._began = 0.0
        self._is_in_header = True  # or before one
        self._has_begun = False  # the first line of a header
        self._is_upgrade = False
        self._refusal: tuple[HTTPStatus, str] | None = None
        self._progress = 0  # headers that ended and pieces of bodies
        self._header_bytes = 0  # since there was progress

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a place, from who needs it least where there is none."""
        super().connection_made(transport)
        self._await_header()
        for connection in self._waiting.too_many(len(self.connections)):
            connection.give_way()

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._waiting.leave(self)
        self._stop_timer()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Let the parser see what is within the limits."""
        if self._refusal is not None:
            return
        self._unset_keepalive_if_required()
        while data and self._refusal is None:
            # Of a part with progress in it nobody knows how much came after: parts are small beside the limit.
            room = min(_PART_BYTES, HEADER_LIMIT_BYTES - self._header_bytes)
            data = self._parsed(data[:room]) + data[room:]
        if self._is_half_open and self._timer is None and self._refusal is None:
            self._unset_keepalive_if_required()
            self._await_header()
            for connection in self._waiting.too_many(len(self.connections)):
                connection.give_way()

    def give_way(self) -> None:
        """End the connection, for others."""
        if self._refusal is not None:
            self.transport.abort()
        elif self.timeout_keep_alive_task is not None:
            self.timeout_keep_alive_handler()
        else:
            self._refuse(HTTPStatus.SERVICE_UNAVAILABLE, "Too many connections at once. Try again in a moment.")

    def on_message_begin(self) -> None:
        """Note who has connected, whatever a header says."""
        super().on_message_begin()
        self._has_begun = True
        self.scope[PEER] = self.client  # type: ignore[literal-required]

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; what comes after a body is none of the request (RFC 9110, 6.5.1)."""
        if self._is_in_header:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Hand the request on, but one that would upgrade: that begins again without it."""
        self._is_upgrade = self.parser.should_upgrade()
        if not self._is_upgrade:
            super().on_headers_complete()
        self._is_in_header = False
        self._progress += 1
        self._stop_timer()
        self._unset_keepalive_if_required()
        self._waiting.leave(self)

    def on_body(self, body: bytes) -> None:
        """Hand a piece of the body on."""
        self._progress += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The next byte begins another header."""
        self._is_in_header, self._has_begun = True, False
        if self._is_upgrade:
            return
        super().on_message_complete()
        if self.cycle.response_complete:
            self._stop_timer()
            self._await_request()

    def on_response_complete(self) -> None:
        """Wait for the next request, and not for ever for the rest of this one."""
        super().on_response_complete()
        if self.transport.is_closing() or self.timeout_keep_alive_task is None:
            return
        self._unset_keepalive_if_required()
        if self._refusal is not None:
            self._part(*self._refusal)
        elif not self._is_in_header:
            self._start_timer(self.transport.abort)
        elif not self._is_half_open:
            self._await_request()

    def timeout_keep_alive_handler(self) -> None:
        """Close; who has not read the last answer by now will not."""
        if self.transport.get_write_buffer_size():
            self.transport.abort()
        else:
            super().timeout_keep_alive_handler()

    @property
    def _is_half_open(self) -> bool:
        return self._is_in_header and (self._has_begun or self._header_bytes > 0)

    def _parsed(self, part: bytes) -> bytes:
        """Show the parser a part; what it has to see again comes back."""
        progress, rest = self._progress, b""
        try:
            self.parser.feed_data(part)
        except httptools.HttpParserUpgrade as upgrade:
            rest = self._without_upgrade() + part[upgrade.args[0] :]
        except httptools.HttpParserError:
            self._refuse(HTTPStatus.BAD_REQUEST, "This is not a request of HTTP/1.1.")
        self._header_bytes = self._header_bytes + len(part) if progress == self._progress else 0
        if self._header_bytes >= HEADER_LIMIT_BYTES and self._refusal is None:
            text = f"The header is larger than {HEADER_LIMIT_BYTES:,} bytes."
            self._refuse(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, text)
        if len(self.pipeline) > _LONGEST_PIPELINE and self._refusal is None:
            text = f"More than {_LONGEST_PIPELINE} requests were sent on one connection before an answer."
            self._refuse(HTTPStatus.TOO_MANY_REQUESTS, text)
        return rest

    def _without_upgrade(self) -> bytes:
        """The header again, of a request that stays what it is (RFC 9110, 7.8): its body is still to come.

        httptools reads no body after a header that asks for an upgrade, as Java's client does by default.
        """
        method = self.parser.get_method()
        if method == b"CONNECT":
            self._refuse(HTTPStatus.BAD_REQUEST, "This service is no proxy.")
            return b""
        lines = [b"%s %s HTTP/%s" % (method, self.url, self.parser.get_http_version().encode())]
        for name, value in self.headers:
            if name == b"connection":
                options = [option.strip() for option in value.split(b",")]
                value = b", ".join(option for option in options if option.lower() not in _UPGRADE)  # noqa: PLW2901
            if name not in _UPGRADE:
                lines.append(name + b": " + value)
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        return b"\r\n".join([*lines, b"", b""])

    def _await_header(self) -> None:
        self._began = self.loop.time()
        self._waiting.for_header(self)
        self._start_timer(self._header_is_late)

    def _await_request(self) -> None:
        self._waiting.for_request(self)
        self.timeout_keep_alive_task = self.loop.call_later(self._limits.idle_seconds, self.timeout_keep_alive_handler)

    def _header_is_late(self) -> None:
        if self._is_half_open:
            text = f"The header did not arrive within {self._limits.header_seconds:g} seconds."
            self._refuse(HTTPStatus.REQUEST_TIMEOUT, text)
        else:
            self.transport.close()

    def _refuse(self, status: HTTPStatus, detail: str) -> None:
        """Hear nothing more, and say why: after the answers to what was asked before."""
        self._refusal = status, detail
        self._stop_timer()
        self._unset_keepalive_if_required()
        self._waiting.leave(self)
        is_asked = self.cycle is not None and not self.cycle.response_complete
        if is_asked and not (self._is_in_header or self.pipeline or self.cycle.response_started):
            # The request that is answered now is the one that goes on too long.
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            is_asked = False
            self._is_in_header = True
        if not is_asked:
            self._part(status, detail)

    def _part(self, status: HTTPStatus, detail: str) -> None:
        if self.transport.is_closing():
            return
        if self._is_in_header:  # otherwise its request has its answer
            self.transport.write(self._refusal_bytes(status, detail))
        # A connection that is closed while bytes arrive is reset, and its client may never see the answer.
        self.transport.write_eof()
        self._waiting.for_goodbye(self)
        self._timer = self.loop.call_later(_FAREWELL_SECONDS, self.transport.abort)

    def _refusal_bytes(self, status: HTTPStatus, detail: str) -> bytes:
        request_id, seconds = uuid4().hex, self.loop.time() - self._began
        answer = problem(status, detail, request_id=request_id)
        headers = [
            *self.server_state.default_headers,
            *answer.raw_headers,
            (HEADER.encode(), request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"connection", b"close"),
        ]
        self._meters.answered(route="other", method="other", status=status, seconds=seconds)
        about = fields(
            request_id=request_id,
            method="other",
            route="other",
            status=int(status),
            milliseconds=round(seconds * 1000, 2),
            response_bytes=len(answer.body),
        )
        _log.info("answered", extra=about)
        lines = b"".join(b"%s: %s\r\n" % header for header in headers)
        return STATUS_LINE[status] + lines + b"\r\n" + bytes(answer.body)

    def _start_timer(self, act: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(self._limits.header_seconds, act)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
