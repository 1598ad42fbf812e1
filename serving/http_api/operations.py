"""Every operation of the API, declared once: routes, gatekeeper, document and page are made from this list."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

from serving.http_api.examples import ACCOUNT_LIST, SCORE_REQUEST, SCORE_RESPONSE
from serving.http_api.schemas import AccountList, AccountQuery, ModelList, ScoreRequest, ScoreResponse

__all__ = ["ALLOWED_METHODS", "DOCUMENTED", "OPERATION", "OPERATIONS", "Operation", "operation_at"]


OPERATION = "bellwether.operation"
"""Key of the request's operation in the ASGI scope, once the gatekeeper knows it."""


@dataclass(frozen=True)
class Operation:
    """One method of one path.

    Attributes
    ----------
    returns
        Schema of the answer, or its media type where that is no JSON of ours.
    problems
        Statuses of the errors it may answer with, beside those of :attr:`statuses`.
    request, query
        Schemas of what may come in.
    handler
        Name of what answers in :func:`serving.http_api.routes.make_api`; None where BentoML answers.
    rewritten_to
        Path whose operation answers in its place.
    inner_path
        Path of the handler behind the gatekeeper, where BentoML has an answer of its own at this one.
    is_open
        Whether it answers without a key, and however many others are in hand.
    is_quiet
        Whether machines ask all day: its answers are counted, and logged only when they are no success.
    is_documented
        Whether it is part of the contract.
    """

    method: Literal["get", "post"]
    path: str
    summary: str
    description: str
    returns: type[BaseModel] | str
    problems: tuple[int, ...]
    request: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    request_example: Mapping[str, Any] | None = None
    query_example: str = ""
    response_example: Any = None
    handler: str | None = None
    rewritten_to: str | None = None
    inner_path: str | None = None
    is_open: bool = False
    is_quiet: bool = False
    is_documented: bool = True

    @property
    def statuses(self) -> tuple[int, ...]:
        """Those of every error, with what is answered before anybody knows which operation is meant."""
        return tuple(sorted({*self.problems, 400, 408, 431, 503}))

    @property
    def methods(self) -> frozenset[str]:
        """The methods of HTTP it answers: what can be read can be asked for its headers alone."""
        return frozenset({"GET", "HEAD"} if self.method == "get" else {"POST"})


_SCORE_TEXT = (
    "Probabilities are calibrated and reach over the horizon after the lead. Reasons are exact contributions to the "
    "margin (log-odds), summed by family: base margin plus all contributions is the margin, and the probability is a "
    "monotone map of it. An account nobody knows is a result with status `unknown_account` in a list, and 404 alone. "
    "An upsell score has `offer` true in the highest band the model has, and false while the account's churn band is "
    "high, which leaves its numbers as they are."
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "post",
        "/v1/score",
        "Score accounts now, with reasons",
        _SCORE_TEXT,
        ScoreResponse,
        (400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 500, 503, 504),
        request=ScoreRequest,
        request_example=SCORE_REQUEST,
        response_example=SCORE_RESPONSE,
        handler="score",
    ),
    Operation(
        "post",
        "/score",
        "The same, where BentoML clients look for it",
        "`bentoml.SyncHTTPClient(address).score(account_ids=[…])` calls this route. Bodies are those of `/v1/score`.",
        ScoreResponse,
        (400, 401, 403, 404, 405, 408, 413, 415, 421, 422, 429, 500, 503, 504),
        request=ScoreRequest,
        request_example=SCORE_REQUEST,
        rewritten_to="/v1/score",
    ),
    Operation(
        "get",
        "/v1/accounts",
        "Accounts of the latest score run, the largest first",
        "Pages stay on the run the first page came from, so a new run in between loses and repeats nothing.",
        AccountList,
        (400, 401, 403, 404, 405, 421, 422, 429, 500, 503, 504),
        query=AccountQuery,
        query_example="?target=churn&band=high&limit=20",
        response_example=ACCOUNT_LIST,
        handler="accounts",
    ),
    Operation(
        "get",
        "/v1/models",
        "The models that answer",
        "The champion of each target, a model or a rule: how it was judged, and what it reads.",
        ModelList,
        (401, 403, 405, 421, 500),
        handler="models",
    ),
    Operation(
        "get",
        "/livez",
        "Whether the process is alive",
        "An empty 200.",
        "text/plain",
        (405, 421),
        is_open=True,
        is_quiet=True,
    ),
    Operation(
        "get",
        "/readyz",
        "Whether it can score",
        "An empty 200 when there is at least one verified champion and every store is there; 503 otherwise, and "
        "`errors` name what is away. Requests may be answered all the same: for some seconds from a store that is "
        "being replaced, and for as long as it takes by a model whose registry is away.",
        "text/plain",
        (405, 421, 500, 503),
        handler="ready",
        inner_path="/-/readyz",
        is_open=True,
        is_quiet=True,
    ),
    Operation(
        "get",
        "/metrics",
        "Prometheus metrics",
        "`bellwether_requests_total` and `bellwether_request_seconds` by route, `bellwether_served_model` (the version "
        "each worker serves), `bellwether_refused_models_total` (promoted models that did not verify), "
        "`bellwether_failed_keys_total` (wrong keys that were sent) and `bellwether_source_late` (1 where the last "
        "night scored nobody, since the call log ends too early).",
        "text/plain",
        (401, 403, 405, 421, 500),
        handler="metrics",
        is_quiet=True,
    ),
    Operation(
        "get",
        "/docs",
        "This page",
        "Loads nothing from anywhere else.",
        "text/html",
        (401, 403, 405, 421, 500),
        handler="docs",
    ),
    Operation(
        "get",
        "/openapi.json",
        "The OpenAPI document",
        "Of exactly these routes.",
        "application/json",
        (401, 403, 405, 421, 500),
        handler="openapi_document",
    ),
    # BentoML's own client asks for these two.
    Operation(
        "get",
        "/schema.json",
        "What BentoML clients read first",
        "BentoML's own description of the service.",
        "application/json",
        (401, 403, 405, 421, 500),
        is_documented=False,
    ),
    Operation(
        "get",
        "/healthz",
        "The same as /livez, where BentoML clients look for it",
        "An empty 200.",
        "text/plain",
        (405, 421),
        is_open=True,
        is_quiet=True,
        is_documented=False,
    ),
)
"""All there are; BentoML's others (a page that loads a tracker, among them) do not exist."""

DOCUMENTED: tuple[Operation, ...] = tuple(operation for operation in OPERATIONS if operation.is_documented)

ALLOWED_METHODS: Mapping[str, frozenset[str]] = {
    path: frozenset().union(*(operation.methods for operation in OPERATIONS if operation.path == path))
    for path in dict.fromkeys(operation.path for operation in OPERATIONS)
}
"""Every path there is, and the methods it takes."""

_BY_METHOD = {(operation.path, method): operation for operation in OPERATIONS for method in operation.methods}


def operation_at(path: str, method: str) -> Operation | None:
    """The operation that answers there, or None."""
    return _BY_METHOD.get((path, method))
