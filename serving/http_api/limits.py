"""Bounds what a request may take: places, the length of its query, the kind, size and time of its body."""

import asyncio
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http_api.operations import OPERATION
from serving.http_api.problems import HttpProblemError

__all__ = ["BODY_LIMIT_BYTES", "Limits"]


BODY_LIMIT_BYTES = 1024 * 1024

_LONGEST_QUERY_BYTES = 8192
_LENGTH_DIGITS = len(str(BODY_LIMIT_BYTES))


class Limits:
    """Pure ASGI: what is over a limit is a problem before anything reads it.

    Parameters
    ----------
    body_seconds
        How long a client may take to send its body.
    places
        Requests that may be in hand at once; each may hold a body in memory. Open operations answer nevertheless.
    """

    def __init__(self, app: ASGIApp, *, body_seconds: float, places: int) -> None:
        self._app = app
        self._body_seconds = body_seconds
        self._places = places
        self._in_hand = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through with its whole body, or raise the problem it is."""
        self._in_hand += 1
        try:
            if self._in_hand > self._places and not scope[OPERATION].is_open:
                raise HttpProblemError(
                    HTTPStatus.TOO_MANY_REQUESTS, "Too many requests at once. Try again in a moment."
                )
            if len(scope.get("query_string", b"")) > _LONGEST_QUERY_BYTES:
                text = f"The query is longer than {_LONGEST_QUERY_BYTES:,} bytes."
                raise HttpProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, text)
            if scope["method"] == "POST":
                _check_media(Headers(scope=scope))
                receive = _replayed(await self._received(receive), receive)
            await self._app(scope, receive, send)
        finally:
            self._in_hand -= 1

    async def _received(self, receive: Receive) -> bytes:
        try:
            return await asyncio.wait_for(_body(receive), self._body_seconds)
        except TimeoutError as error:
            text = f"The body did not arrive within {self._body_seconds:g} seconds."
            raise HttpProblemError(HTTPStatus.REQUEST_TIMEOUT, text) from error


def _check_media(headers: Headers) -> None:
    media, *parameters = headers.get("content-type", "").split(";")
    named = dict(part.strip().lower().partition("=")[::2] for part in parameters)
    charset = named.get("charset", "").strip('"')
    if media.strip().lower() != "application/json" or charset not in {"", "utf-8", "utf8"}:
        raise HttpProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send JSON: `Content-Type: application/json`.")
    if headers.get("content-encoding", "identity").lower() != "identity":
        raise HttpProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send the body as it is, without an encoding.")
    length = headers.get("content-length", "0")
    if not length.isascii() or not length.isdigit():
        raise HttpProblemError(HTTPStatus.BAD_REQUEST, "The header Content-Length is not a number.")
    # Counted before it is read: Python refuses to read a number of thousands of digits.
    digits = length.lstrip("0") or "0"
    if len(digits) > _LENGTH_DIGITS or int(digits) > BODY_LIMIT_BYTES:
        raise _too_large()


async def _body(receive: Receive) -> bytes:
    """The whole body; stops reading at the limit, whatever the headers said."""
    parts, size = [], 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise HttpProblemError(HTTPStatus.BAD_REQUEST, "The request ended before its body did.")
        part = message.get("body", b"")
        size += len(part)
        if size > BODY_LIMIT_BYTES:
            raise _too_large()
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A ``receive`` that gives the body first, then what the server has to say."""
    pending = [body]

    async def replay() -> Message:
        if pending:
            return {"type": "http.request", "body": pending.pop(), "more_body": False}
        return await receive()

    return replay


def _too_large() -> HttpProblemError:
    return HttpProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"The body is larger than {BODY_LIMIT_BYTES:,} bytes. Send fewer accounts."
    )
