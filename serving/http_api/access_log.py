"""Counts every answer, and writes one line of log about it."""

import logging
import time
from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http_api.logs import fields
from serving.http_api.meters import Meters
from serving.http_api.operations import ALLOWED_METHODS, operation_at
from serving.http_api.request_id import REQUEST_ID

__all__ = ["AccessLog"]


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})

_log = logging.getLogger("bellwether.serving")


class AccessLog:
    """Pure ASGI: what was asked and answered, without a path or method that the client made up."""

    def __init__(self, app: ASGIApp, *, meters: Meters) -> None:
        self._app = app
        self._meters = meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let every request through, and note its answer."""
        began, status, size = time.perf_counter(), 0, 0  # a client that goes away before an answer leaves status 0

        async def noted(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noted)
        finally:
            self._note(scope, status, size, time.perf_counter() - began)

    def _note(self, scope: Scope, status: int, size: int, seconds: float) -> None:
        route = scope["path"] if scope["path"] in ALLOWED_METHODS else "other"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._meters.answered(route=route, method=method, status=status, seconds=seconds)
        operation = operation_at(scope["path"], scope["method"])
        if operation is not None and operation.is_quiet and status == HTTPStatus.OK:
            return
        about = fields(
            request_id=scope[REQUEST_ID],
            method=method,
            route=route,
            status=status,
            milliseconds=round(seconds * 1000, 2),
            response_bytes=size,
        )
        _log.log(logging.WARNING if status >= 500 else logging.INFO, "answered", extra=about)
