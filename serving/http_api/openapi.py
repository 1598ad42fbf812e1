"""The OpenAPI document: exactly the operations of the contract, generated from their schemas."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from features.version import bellwether_version
from serving.http_api.operations import DOCUMENTED, Operation
from serving.http_api.schemas import Problem

__all__ = ["openapi"]


def openapi() -> dict[str, Any]:
    """The document, as JSON values (OpenAPI 3.1)."""
    paths: dict[str, dict[str, Any]] = {}
    for operation in DOCUMENTED:
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
    requests = dict.fromkeys(operation.request for operation in DOCUMENTED if operation.request is not None)
    answers = dict.fromkeys(operation.returns for operation in DOCUMENTED if not isinstance(operation.returns, str))
    return {**_defined(requests, "validation"), **_defined([*answers, Problem], "serialization")}


def _defined(models: Iterable[type[BaseModel]], mode: Literal["validation", "serialization"]) -> dict[str, Any]:
    definitions: dict[str, Any] = models_json_schema([(model, mode) for model in models], ref_template=_REFERENCE)[1]
    return dict(definitions["$defs"])


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
            **{str(status): {"description": _TITLES[status], **problem} for status in operation.statuses},
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
    400: "This is no HTTP, the body is not JSON, or the cursor is none",
    401: "No key, or an unknown one; several unknown ones are answered the later the more there are",
    403: "No keys are set, and the request comes from another machine",
    404: "Nothing there",
    405: "The path takes another method; see Allow",
    408: "The header or the body did not arrive in time",
    413: "The body is over 1 MiB",
    415: "The body is not application/json",
    421: "The host is not this service's; see the setting `public_url`",
    422: "The body or query does not fit the schema",
    429: "Too many requests, accounts or wrong keys at once; see Retry-After",
    431: "The header is over 64 KiB",
    500: "A fault of the service",
    503: "No champion, a store is away, or too many connections; see Retry-After",
    504: "No answer within the deadline",
}
