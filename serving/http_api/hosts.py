"""Answers only to the service's own names, so that a page of another site cannot read it through a rebound name."""

import ipaddress
import re
from collections.abc import Sequence
from http import HTTPStatus
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from features.settings.fields import Settings
from serving.http_api.problems import HttpProblemError

__all__ = ["Hosts", "names_of"]

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")  # RFC 9110, 7.2, without user names


class Hosts:
    """Pure ASGI: 421 for a request to another host than this one (DNS rebinding; OWASP, and RFC 9110, 15.5.20).

    A request without the header passes: no browser leaves it out.

    Parameters
    ----------
    names
        Names and addresses of this service beside those of loopback and the address a client has connected to.
    """

    def __init__(self, app: ASGIApp, *, names: Sequence[str] = ()) -> None:
        self._app = app
        self._names = frozenset({"localhost", *(_plain(name) for name in names)})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through, or raise the problem it is."""
        server = scope.get("server") or ("",)
        if not all(self._is_ours(host, str(server[0])) for host in Headers(scope=scope).getlist("host")):
            raise HttpProblemError(
                HTTPStatus.MISDIRECTED_REQUEST,
                "This service does not answer to that host. Whoever runs it sets BELLWETHER_PUBLIC_URL to the address "
                "people use.",
            )
        await self._app(scope, receive, send)

    def _is_ours(self, host: str, connected: str) -> bool:
        if not _HOST.fullmatch(host):
            return False
        name = _plain(urlsplit(f"//{host}").hostname or "")
        return name in self._names or name == _plain(connected) or _is_loopback(name)


def names_of(settings: Settings) -> tuple[str, ...]:
    """The hosts a service of these settings answers to, beside those of this machine."""
    return tuple(filter(None, (settings.host, urlsplit(settings.public_url).hostname)))


def _plain(name: str) -> str:
    """A name in lower case, an address in its shortest form."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower().rstrip(".")


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
