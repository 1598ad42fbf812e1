"""What every request passes before it is answered, from the outside in; paths that are not ours end here."""

from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http_api.access_log import AccessLog
from serving.http_api.failed_keys import FailedKeys
from serving.http_api.hosts import Hosts
from serving.http_api.keys import Keys
from serving.http_api.limits import Limits
from serving.http_api.meters import Meters
from serving.http_api.operations import ALLOWED_METHODS, OPERATION, operation_at
from serving.http_api.problems import HttpProblemError, Problems
from serving.http_api.request_id import RequestId

__all__ = ["Gatekeeper"]


class Gatekeeper:
    """Pure ASGI, around the whole service, BentoML's own routes included.

    Parameters
    ----------
    key_digests
        SHA-256 (hex) of each key that may be sent as a bearer token; without any, everybody on this machine may ask
        and nobody else.
    hosts
        Names and addresses it answers to, beside those of this machine.
    meters
        What counts the answers, and wrong keys.
    failed_keys
        What slows those who send wrong keys.
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
        hosts: Sequence[str] = (),
        meters: Meters | None = None,
        failed_keys: FailedKeys | None = None,
        body_seconds: float = 20.0,
        places: int = 256,
    ) -> None:
        self._app = app
        limits = Limits(app, body_seconds=body_seconds, places=places)
        meters = meters or Meters()
        keys = Keys(limits, digests=key_digests, failed_keys=failed_keys or FailedKeys(), meters=meters)
        self._stack = RequestId(AccessLog(Problems(Hosts(_KnownPaths(keys), names=hosts)), meters=meters))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a problem, or let the request through."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await self._stack(scope, receive, _without_sniffing(send))
        else:
            await self._app(scope, receive, send)


class _KnownPaths:
    """Pure ASGI: 404 and 405 where there is no operation; the others learn which one it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through to its operation, or raise the problem it is."""
        methods = ALLOWED_METHODS.get(scope["path"])
        if methods is None:
            raise HttpProblemError(HTTPStatus.NOT_FOUND, "There is no such path. GET /docs lists those there are.")
        operation = operation_at(scope["path"], scope["method"])
        if operation is None:
            allowed = ", ".join(sorted(methods))
            text = f"This path answers {allowed} only."
            raise HttpProblemError(HTTPStatus.METHOD_NOT_ALLOWED, text, allow=allowed)
        inner = {**scope, OPERATION: operation}
        if (path := operation.rewritten_to or operation.inner_path) is not None:
            inner |= {"path": path, "raw_path": path.encode()}
        await self._app(inner, receive, send)


def _without_sniffing(send: Send) -> Send:
    """Answers that are what they say: names are text, whatever a browser makes of them."""

    async def declared(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message)["x-content-type-options"] = "nosniff"
        await send(message)

    return declared
