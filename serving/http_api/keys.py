"""Lets in who sends a key that may ask; without keys, whoever is on this machine."""

import hashlib
import hmac
import ipaddress
from collections.abc import Sequence
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.http_api.connections import PEER
from serving.http_api.failed_keys import FailedKeys
from serving.http_api.meters import Meters
from serving.http_api.operations import OPERATION
from serving.http_api.problems import HttpProblemError

__all__ = ["Keys"]


class Keys:
    """Pure ASGI: 401 without a key, and with another after a while; open operations answer everybody.

    Parameters
    ----------
    digests
        SHA-256 (hex) of each key that may be sent as a bearer token; without any, everybody on this machine may ask
        and nobody else.
    failed_keys
        What slows those who send wrong ones.
    meters
        What counts them.
    """

    def __init__(self, app: ASGIApp, *, digests: Sequence[str], failed_keys: FailedKeys, meters: Meters) -> None:
        self._app = app
        self._failed_keys = failed_keys
        self._meters = meters
        self._digests = tuple(digest.lower().encode() for digest in digests)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or raise the problem it is."""
        if not scope[OPERATION].is_open:
            if self._digests:
                await self._check(Headers(scope=scope).get("authorization"), scope)
            elif not _is_here(scope.get("client")):
                # `bentoml serve` binds every address; `bellwether serve` would have refused that.
                raise HttpProblemError(
                    HTTPStatus.FORBIDDEN,
                    "Without keys only this machine may ask. Whoever runs the service sets BELLWETHER_API_KEYS.",
                )
        await self._app(scope, receive, send)

    async def _check(self, authorization: str | None, scope: Scope) -> None:
        kind, _, key = (authorization or "").partition(" ")
        if kind.lower() != "bearer" or not key.strip():
            raise HttpProblemError(HTTPStatus.UNAUTHORIZED, "Send a key: `Authorization: Bearer KEY`.")
        # Headers are decoded as latin-1; this gives the bytes that were sent.
        sent = hashlib.sha256(key.strip().encode("latin-1")).hexdigest().encode()
        # Every digest is compared, each in constant time: the time says nothing about the key.
        matches = [hmac.compare_digest(sent, digest) for digest in self._digests]
        if not any(matches):
            self._meters.failed_key()
            # Not the client a proxy names: whoever sends the header could be another one each time.
            peer = scope.get(PEER) or scope.get("client") or ("",)
            await self._failed_keys.slow(str(peer[0]))
            text = "This key is not one of those that may ask."
            raise HttpProblemError(HTTPStatus.UNAUTHORIZED, text, challenge='Bearer error="invalid_token"')


def _is_here(client: Sequence[object] | None) -> bool:
    """Whether a request came from this machine; one from a socket file, without an address, did not prove it."""
    try:
        address = ipaddress.ip_address(str(client[0])) if client else None
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and address.is_loopback
