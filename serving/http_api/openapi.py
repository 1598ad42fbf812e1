"""The OpenAPI document: exactly the routes there are, generated from the schemas."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from features.version import bellwether_version
from serving.http_api.schemas import AccountList, AccountQuery, ModelList, Problem, ScoreRequest, ScoreResponse

__all__ = ["OPERATIONS", "Operation", "openapi"]


@dataclass(frozen=True)
class Operation:
    """One route, for the document and its page."""

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
    is_open: bool = False


_MODEL = {"name": "bellwether-churn", "version": "3"}
_REASON = {
    "code": "usage_falling",
    "contribution": 1.72,
    "direction": "raises",
    "actionable": True,
    "text": "Calls fell 58 % against the four weeks before (12,410 to 5,212).",
    "features": [
        {"name": "calls_28d_vs_prior_28d", "value": 0.42, "contribution": 1.31},
        {"name": "calls_weekly_slope_91d", "value": -0.11, "contribution": 0.41},
    ],
}
_REQUEST = {"account_ids": ["acct_000042"], "targets": ["churn"], "reasons": 1}
_RESPONSE = {
    "results": [
        {
            "account_id": "acct_000042",
            "features_as_of": "2026-06-29T00:00:00+00:00",
            "data_age_hours": 6.2,
            "scores": {
                "churn": {
                    "status": "scored",
                    "probability": 0.61,
                    "band": "high",
                    "horizon_days": 30,
                    "lead_days": 7,
                    "margin": 0.45,
                    "base_margin": -2.94,
                    "reasons": [_REASON],
                    "model": _MODEL,
                }
            },
        }
    ],
    "request_id": "0f8d1c2e9b7a4f0b9f3c5d6e7a8b9c0d",
}
_ACCOUNTS = {
    "target": "churn",
    "features_as_of": "2026-06-29T00:00:00+00:00",
    "data_age_hours": 6.2,
    "scored_at": "2026-06-29T06:10:00+00:00",
    "horizon_days": 30,
    "lead_days": 7,
    "model": _MODEL,
    "accounts": [
        {
            "account_id": "acct_000042",
            "name": "Northwind Robotics",
            "owner": "sam",
            "segment": "mid-market",
            "status": "scored",
            "detail": None,
            "offer": None,
            "probability": 0.61,
            "band": "high",
            "mrr": 1200.0,
            "mrr_at_risk": 732.0,
            "reason": "Calls fell 58 % against the four weeks before (12,410 to 5,212).",
        }
    ],
    "next_cursor": None,
    "request_id": "0f8d1c2e9b7a4f0b9f3c5d6e7a8b9c0d",
}

_SCORE_TEXT = (
    "Probabilities are calibrated and reach over the horizon after the lead. Reasons are exact contributions to the "
    "margin (log-odds), summed by family: base margin plus all contributions is the margin, and the probability is a "
    "monotone map of it. An account nobody knows is a result with status `unknown_account` in a list, and 404 alone. "
    "An upsell score of an account whose churn band is high keeps its numbers and has `offer` false."
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "post",
        "/v1/score",
        "Score accounts now, with reasons",
        _SCORE_TEXT,
        ScoreResponse,
        (400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503, 504),
        request=ScoreRequest,
        request_example=_REQUEST,
        response_example=_RESPONSE,
    ),
    Operation(
        "post",
        "/score",
        "The same, where BentoML clients look for it",
        "`bentoml.SyncHTTPClient(address).score(account_ids=[…])` calls this route. Bodies are those of `/v1/score`.",
        ScoreResponse,
        (400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 500, 503, 504),
        request=ScoreRequest,
        request_example=_REQUEST,
    ),
    Operation(
        "get",
        "/v1/accounts",
        "Accounts of the latest score run, the largest first",
        "Pages stay on the run the first page came from, so a new run in between loses and repeats nothing.",
        AccountList,
        (400, 401, 403, 404, 405, 422, 429, 500, 503, 504),
        query=AccountQuery,
        query_example="?target=churn&band=high&limit=20",
        response_example=_ACCOUNTS,
    ),
    Operation(
        "get",
        "/v1/models",
        "The models that answer",
        "The champion of each target: how it was judged against rules a person could use, and what it reads.",
        ModelList,
        (401, 403, 405, 500),
    ),
    Operation("get", "/livez", "Whether the process is alive", "An empty 200.", "text/plain", (405,), is_open=True),
    Operation(
        "get",
        "/readyz",
        "Whether it can score",
        "200 when there is at least one verified champion and the feature store answers; 503 otherwise, in plain text.",
        "text/plain",
        (405,),
        is_open=True,
    ),
    Operation(
        "get",
        "/metrics",
        "Prometheus metrics",
        "`bellwether_requests_total` and `bellwether_request_seconds` by route, `bellwether_served_model` (the version "
        "each worker serves) and `bellwether_refused_models_total` (promoted models that did not verify).",
        "text/plain",
        (401, 403, 405, 500),
    ),
    Operation("get", "/docs", "This page", "Loads nothing from anywhere else.", "text/html", (401, 403, 405, 500)),
    Operation(
        "get",
        "/openapi.json",
        "The OpenAPI document",
        "Of exactly these routes.",
        "application/json",
        (401, 403, 405, 500),
    ),
)


def openapi() -> dict[str, Any]:
    """The document, as JSON values (OpenAPI 3.1)."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Bellwether",
            "version": bellwether_version(),
            "description": "Which accounts are about to leave, and why. Times are ISO-8601 with offset.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> dict[str, Any]:
    incoming = models_json_schema([(ScoreRequest, "validation")], ref_template=_REFERENCE)[1]["$defs"]
    outgoing = models_json_schema(
        [(model, "serialization") for model in (ScoreResponse, AccountList, ModelList, Problem)],
        ref_template=_REFERENCE,
    )[1]["$defs"]
    return {**incoming, **outgoing}


_REFERENCE = "#/components/schemas/{model}"


def _referred(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _described(operation: Operation) -> dict[str, Any]:
    answer: dict[str, Any]
    if isinstance(operation.returns, str):
        answer = {"content": {operation.returns: {}}}
    else:
        body: dict[str, Any] = {"schema": _referred(operation.returns)}
        if operation.response_example is not None:
            body["example"] = operation.response_example
        answer = {"content": {"application/json": body}}
    problem = {"content": {"application/problem+json": {"schema": _referred(Problem)}}}
    described: dict[str, Any] = {
        "summary": operation.summary,
        "description": operation.description,
        "operationId": f"{operation.method}_{operation.path.strip('/').replace('/', '_').replace('.', '_')}",
        "responses": {
            "200": {"description": "Done", **answer},
            **{str(status): {"description": _TITLES[status], **problem} for status in operation.problems},
        },
        "security": [] if operation.is_open else [{"key": []}, {}],
    }
    if operation.request is not None:
        content = {"schema": _referred(operation.request), "example": dict(operation.request_example or {})}
        described["requestBody"] = {"required": True, "content": {"application/json": content}}
    if operation.query is not None:
        described["parameters"] = _parameters(operation.query)
    return described


def _parameters(query: type[BaseModel]) -> list[dict[str, Any]]:
    properties = query.model_json_schema()["properties"]
    return [
        {
            "name": name,
            "in": "query",
            "required": False,
            "description": schema.get("description", ""),
            "schema": {key: value for key, value in schema.items() if key not in {"description", "title"}},
        }
        for name, schema in properties.items()
    ]


_TITLES = {
    400: "The body is not JSON, or the cursor is none",
    401: "No key",
    403: "An unknown key; or no keys are set, and the request comes from another machine",
    404: "Nothing there",
    405: "The path takes another method; see Allow",
    408: "The body did not arrive in time",
    413: "The body is over 1 MiB",
    415: "The body is not application/json",
    422: "The body or query does not fit the schema",
    429: "Too many requests at once; see Retry-After",
    500: "A fault of the service",
    503: "No champion, or a store is away; see Retry-After",
    504: "No answer within the deadline",
}
