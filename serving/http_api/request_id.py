"""Gives every request an id, which its answer and every line of log about it carry."""

import re
import uuid

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

__all__ = ["HEADER", "REQUEST_ID", "RequestId"]


REQUEST_ID = "bellwether.request_id"
"""Key of the request's id in the ASGI scope."""

HEADER = "x-request-id"
_PLAIN_WORD = re.compile(rb"[A-Za-z0-9._-]{8,64}")


class RequestId:
    """Pure ASGI: the id in the scope of the request and among the headers of its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let every request through, with its id."""
        request_id = _request_id(scope)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[HEADER] = request_id
            await send(message)

        await self._app({**scope, REQUEST_ID: request_id}, receive, send_with_id)


def _request_id(scope: Scope) -> str:
    """The client's own id when it is a plain word, so that its log and ours agree; a new one otherwise."""
    sent = [value for name, value in scope["headers"] if name == HEADER.encode()]
    return sent[0].decode() if len(sent) == 1 and _PLAIN_WORD.fullmatch(sent[0]) else uuid.uuid4().hex
