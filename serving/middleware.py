"""What every request passes first: known paths, keys, sizes, media types; one shape for errors, one line of log."""

import asyncio
import hashlib
import hmac
import ipaddress
import logging
import re
import time
import uuid
from collections.abc import Mapping, Sequence
from http import HTTPStatus

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http_api.logs import fields
from serving.http_api.meters import Meters
from serving.http_api.problems import OUR_FAULT, HttpProblemError, problem

__all__ = ["BODY_LIMIT_BYTES", "REQUEST_ID", "ROUTES", "Gatekeeper"]

BODY_LIMIT_BYTES = 1024 * 1024
REQUEST_ID = "bellwether.request_id"
"""Key of the request's id in the ASGI scope."""

ROUTES: Mapping[str, frozenset[str]] = {
    "/v1/score": frozenset({"POST"}),
    "/score": frozenset({"POST"}),
    **dict.fromkeys(
        ("/v1/accounts", "/v1/models", "/docs", "/openapi.json", "/livez", "/readyz", "/metrics"),
        frozenset({"GET", "HEAD"}),
    ),
    # BentoML's own client asks for these two.
    **dict.fromkeys(("/schema.json", "/healthz"), frozenset({"GET", "HEAD"})),
}
"""Every path there is; BentoML's others (a page that loads a tracker, among them) do not exist."""

_OPEN = frozenset({"/livez", "/readyz", "/healthz"})
_QUIET = frozenset({*_OPEN, "/metrics"})
"""Paths that machines ask all day: their answers are counted, and logged only when they are no success."""

_REWRITTEN = {"/score": "/v1/score"}
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_LONGEST_QUERY_BYTES = 8192
_LENGTH_DIGITS = len(str(BODY_LIMIT_BYTES))
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{8,64}")

_log = logging.getLogger("bellwether.serving")


class Gatekeeper:
    """Pure ASGI, around the whole service, BentoML's own routes included.

    Parameters
    ----------
    key_digests
        SHA-256 (hex) of each key that may be sent as a bearer token; without any, everybody on this machine may ask
        and nobody else.
    meters
        What counts the answers.
    body_seconds
        How long a client may take to send its body.
    places
        Requests that may be in hand at once; each may hold a body in memory.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        key_digests: Sequence[str] = (),
        meters: Meters | None = None,
        body_seconds: float = 20.0,
        places: int = 256,
    ) -> None:
        self._app = app
        self._meters = meters or Meters()
        self._body_seconds = body_seconds
        self._places = places
        self._in_hand = 0
        self._digests = tuple(digest.lower().encode() for digest in key_digests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a problem, or let the request through."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, request_id = time.perf_counter(), _request_id(scope)
        answer = _Answer(send, request_id)
        self._in_hand += 1
        try:
            await self._answer(scope, receive, answer, request_id)
        finally:
            self._in_hand -= 1
            self._note(scope, answer, request_id, time.perf_counter() - began)

    async def _answer(self, scope: Scope, receive: Receive, answer: "_Answer", request_id: str) -> None:
        try:
            self._check(scope)
            inner = {**scope, REQUEST_ID: request_id}
            if scope["path"] in _REWRITTEN:
                inner |= {"path": _REWRITTEN[scope["path"]], "raw_path": _REWRITTEN[scope["path"]].encode()}
            if scope["method"] == "POST":
                receive = _replayed(await self._received(receive), receive)
            await self._app(inner, receive, answer)
        except HttpProblemError as error:
            allow = ", ".join(sorted(ROUTES[scope["path"]])) if error.status == HTTPStatus.METHOD_NOT_ALLOWED else None
            response = problem(error.status, error.detail, request_id=request_id, errors=error.errors, allow=allow)
            await response(scope, receive, answer)
        except Exception:
            _log.exception("A request failed.", extra=fields(request_id=request_id))
            if answer.status is not None:
                raise
            response = problem(HTTPStatus.INTERNAL_SERVER_ERROR, OUR_FAULT, request_id=request_id)
            await response(scope, receive, answer)

    def _note(self, scope: Scope, answer: "_Answer", request_id: str, seconds: float) -> None:
        """Count the answer and write its line; a path or method the client made up is not repeated."""
        route = scope["path"] if scope["path"] in ROUTES else "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        status = answer.status or 0  # the client went away before there was any
        self._meters.answered(route=route, method=method, status=status, seconds=seconds)
        if route in _QUIET and status == HTTPStatus.OK:
            return
        about = fields(
            request_id=request_id,
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 2),
            response_bytes=answer.size,
        )
        _log.log(logging.WARNING if status >= 500 else logging.INFO, "answered", extra=about)

    def _check(self, scope: Scope) -> None:
        path, headers = scope["path"], Headers(scope=scope)
        if path not in ROUTES:
            raise HttpProblemError(HTTPStatus.NOT_FOUND, "There is no such path. GET /docs lists those there are.")
        if scope["method"] not in ROUTES[path]:
            allowed = ", ".join(sorted(ROUTES[path]))
            raise HttpProblemError(HTTPStatus.METHOD_NOT_ALLOWED, f"This path answers {allowed} only.")
        if path not in _OPEN:
            if self._digests:
                self._check_key(headers.get("authorization"))
            elif not _is_here(scope.get("client")):
                # `bentoml serve` binds every address; `bellwether serve` would have refused that.
                raise HttpProblemError(
                    HTTPStatus.FORBIDDEN,
                    "Without keys only this machine may ask. Whoever runs the service sets BELLWETHER_API_KEYS.",
                )
            if self._in_hand > self._places:
                raise HttpProblemError(
                    HTTPStatus.TOO_MANY_REQUESTS, "Too many requests at once. Try again in a moment."
                )
        if len(scope.get("query_string", b"")) > _LONGEST_QUERY_BYTES:
            text = f"The query is longer than {_LONGEST_QUERY_BYTES:,} bytes."
            raise HttpProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, text)
        if scope["method"] == "POST":
            _check_media(headers)

    def _check_key(self, authorization: str | None) -> None:
        kind, _, key = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            raise HttpProblemError(HTTPStatus.UNAUTHORIZED, "Send a key: `Authorization: Bearer KEY`.")
        # Headers are decoded as latin-1; this gives the bytes that were sent.
        sent = hashlib.sha256(key.strip().encode("latin-1")).hexdigest().encode()
        # Every digest is compared, each in constant time: the time says nothing about the key.
        matches = [hmac.compare_digest(sent, digest) for digest in self._digests]
        if not any(matches):
            raise HttpProblemError(HTTPStatus.FORBIDDEN, "This key is not one of those that may ask.")

    async def _received(self, receive: Receive) -> bytes:
        try:
            return await asyncio.wait_for(_body(receive), self._body_seconds)
        except TimeoutError as error:
            text = f"The body did not arrive within {self._body_seconds:g} seconds."
            raise HttpProblemError(HTTPStatus.REQUEST_TIMEOUT, text) from error


class _Answer:
    """Sends the response on, with the request's id among its headers."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._request_id = request_id
        self.status: int | None = None
        self.size = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            headers["x-request-id"] = self._request_id
            headers["x-content-type-options"] = "nosniff"  # names are text, whatever a browser makes of them
        else:
            self.size += len(message.get("body", b""))
        await self._send(message)


def _request_id(scope: Scope) -> str:
    """The client's own id when it is a plain word, so that its log and ours agree; a new one otherwise."""
    sent = [value for name, value in scope["headers"] if name == b"x-request-id"]
    return sent[0].decode() if len(sent) == 1 and _REQUEST_ID.fullmatch(sent[0]) else uuid.uuid4().hex


def _is_here(client: Sequence[object] | None) -> bool:
    """Whether a request came from this machine; one from a socket file, without an address, did not prove it."""
    try:
        address = ipaddress.ip_address(str(client[0])) if client else None
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and address.is_loopback


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
