"""Errors over HTTP: one shape, problem+json (RFC 9457), that never repeats what came in."""

import json
import logging
import re
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

from pydantic import ValidationError
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from features.exceptions import BellwetherError, counted
from serving.http_api.logs import fields
from serving.http_api.request_id import REQUEST_ID

__all__ = ["OUR_FAULT", "RETRY_AFTER_SECONDS", "HttpProblemError", "Problems", "problem", "schema_problem"]


RETRY_AFTER_SECONDS = 5
OUR_FAULT = "This is our fault. The log has the details under the request id."
MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger("bellwether.serving")


class HttpProblemError(BellwetherError):
    """A request that cannot be answered; becomes one problem+json response.

    Attributes
    ----------
    allow
        The methods that the path takes, where it does not take the request's.
    challenge
        What a 401 asks for.
    retry_after
        Seconds after which a 429 or 503 is worth another try.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[tuple[str, str]] = (),
        allow: str | None = None,
        challenge: str = "Bearer",
        retry_after: int = RETRY_AFTER_SECONDS,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.allow = allow
        self.challenge = challenge
        self.retry_after = retry_after

    def response(self, request_id: str) -> Response:
        """What is answered."""
        return problem(
            self.status,
            self.detail,
            request_id=request_id,
            errors=self.errors,
            allow=self.allow,
            challenge=self.challenge,
            retry_after=self.retry_after,
        )


class Problems:
    """Pure ASGI: whatever is raised further in is answered as a problem, unless an answer has begun."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let every request through, and answer where that raises."""
        request_id, has_begun = scope[REQUEST_ID], False

        async def noted(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except HttpProblemError as error:
            await error.response(request_id)(scope, receive, noted)
        except Exception:
            _log.exception("A request failed.", extra=fields(request_id=request_id))
            if has_begun:
                raise
            response = problem(HTTPStatus.INTERNAL_SERVER_ERROR, OUR_FAULT, request_id=request_id)
            await response(scope, receive, noted)


_PLAIN_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,39}")


def problem(
    status: int,
    detail: str,
    *,
    request_id: str,
    errors: Sequence[tuple[str, str]] = (),
    allow: str | None = None,
    challenge: str = "Bearer",
    retry_after: int = RETRY_AFTER_SECONDS,
) -> Response:
    """The response for an error."""
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "request_id": request_id,
        "errors": [{"where": where, "what": what} for where, what in errors],
    }
    headers = {"cache-control": "no-store"}
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["retry-after"] = str(retry_after)
    if status == HTTPStatus.UNAUTHORIZED:
        headers["www-authenticate"] = challenge
    if allow is not None:
        headers["allow"] = allow
    return Response(json.dumps(body), status_code=status, headers=headers, media_type=MEDIA_TYPE)


def schema_problem(error: ValidationError, *, what: str) -> HttpProblemError:
    """422 for a body or query that does not fit its schema: where and what, without the value."""
    items: list[dict[str, Any]] = [dict(item) for item in error.errors(include_input=False, include_url=False)]
    errors = [(_place(item, is_query=what == "query"), _message(item)) for item in items[:20]]
    return HttpProblemError(
        HTTPStatus.UNPROCESSABLE_ENTITY,
        f"{counted(len(items), 'place|places')} in the {what} cannot be used. See /docs for what fits.",
        errors=errors,
    )


def _place(item: dict[str, Any], *, is_query: bool) -> str:
    # A field nobody declared is named by the client: its name is input, too. That of a parameter is in every log on the
    # way here, and is told where it is a plain word.
    parts = item["loc"]
    if item["type"] == "extra_forbidden" and not (is_query and _PLAIN_WORD.fullmatch(str(parts[-1]))):
        parts = parts[:-1]
    return "/" + "/".join(str(part) for part in parts)


def _message(item: dict[str, Any]) -> str:
    return "There is a field here that is not part of the schema." if item["type"] == "extra_forbidden" else item["msg"]
