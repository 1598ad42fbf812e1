"""The page at ``/docs``: the OpenAPI document for people, in one file that loads nothing."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from features.templates import template
from serving.http_api.operations import DOCUMENTED, Operation

__all__ = ["docs_page"]


_PROBLEM = {
    "type": "about:blank",
    "title": "Unprocessable Content",
    "status": 422,
    "detail": "1 place in the body cannot be used. See /docs for what fits.",
    "request_id": "0f8d1c2e9b7a4f0b9f3c5d6e7a8b9c0d",
    "errors": [{"where": "/account_ids", "what": "List should have at least 1 item after validation, not 0"}],
}


@dataclass(frozen=True)
class _Field:
    """A row of a table: a parameter, or a field of a body."""

    name: str
    kind: str
    meaning: str


@dataclass(frozen=True)
class _Schema:
    name: str
    description: str
    fields: list[_Field]


@dataclass(frozen=True)
class _Section:
    """What the page says of one operation; what is empty is left out."""

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    query: list[_Field]
    body: list[_Field]
    curl: str
    schemas: list[_Schema]
    examples: dict[str, str]
    errors: dict[int, str]


def docs_page(document: Mapping[str, Any], *, address: str) -> str:
    """HTML of the document; ``address`` is where its examples send their requests."""
    return template(Path(__file__).with_name("docs_page.html.j2")).render(
        info=document["info"],
        sections=[_section(operation, document, address) for operation in DOCUMENTED],
        problem=_schema("Problem", document),
        problem_example=json.dumps(_PROBLEM, indent=2),
    )


def _section(operation: Operation, document: Mapping[str, Any], address: str) -> _Section:
    described = document["paths"][operation.path][operation.method]
    is_product = operation.path.startswith("/v1")
    parameters = [
        _Field(parameter["name"], _kind(parameter["schema"], document), parameter["description"])
        for parameter in described.get("parameters", ())
    ]
    examples = {"Request": operation.request_example, "Response": operation.response_example}
    has_example = operation.response_example is not None
    return _Section(
        anchor=f"{operation.method}{operation.path.replace('/', '-').replace('.', '-')}",
        method=operation.method,
        path=operation.path,
        summary=operation.summary,
        description=operation.description,
        query=parameters,
        body=_fields(operation.request.__name__, document) if operation.request is not None and has_example else [],
        curl=_curl(operation, address) if is_product or operation.is_open else "",
        examples={
            title: json.dumps(example, indent=2)
            for title, example in examples.items()
            if has_example and example is not None
        },
        schemas=[
            _schema(name, document)
            for name in (
                _reached(operation.returns.__name__, document)
                if is_product and not isinstance(operation.returns, str)
                else ()
            )
        ],
        errors={status: described["responses"][str(status)]["description"] for status in operation.statuses},
    )


def _schema(name: str, document: Mapping[str, Any]) -> _Schema:
    about = document["components"]["schemas"][name].get("description", "")
    return _Schema(name, about, _fields(name, document))


def _curl(operation: Operation, address: str) -> str:
    url = f"{address}{operation.path}{operation.query_example}"
    if operation.request_example is None:
        return f"curl -s '{url}'"
    body = json.dumps(operation.request_example)
    return f"curl -s {url} \\\n  -H 'content-type: application/json' \\\n  -d '{body}'"


def _fields(name: str, document: Mapping[str, Any]) -> list[_Field]:
    schema = document["components"]["schemas"][name]
    required = set(schema.get("required", ()))
    return [
        _Field(
            field,
            _kind(described, document) + ("" if field in required else ", may be left out"),
            described.get("description", ""),
        )
        for field, described in schema.get("properties", {}).items()
    ]


def _reached(name: str, document: Mapping[str, Any]) -> Iterator[str]:
    """A schema and those it refers to that have fields, each once, outermost first."""
    schemas, waiting, seen = document["components"]["schemas"], [name], set()
    while waiting:
        current = waiting.pop(0)
        if current in seen:
            continue
        seen.add(current)
        if "properties" in schemas[current]:
            yield current
        waiting += _references(schemas[current])


def _references(value: Any) -> list[str]:
    if isinstance(value, Mapping):
        own = [value["$ref"].rsplit("/", 1)[-1]] if "$ref" in value else []
        return own + [name for item in value.values() for name in _references(item)]
    return [name for item in value for name in _references(item)] if isinstance(value, list) else []


def _kind(schema: Mapping[str, Any], document: Mapping[str, Any]) -> str:
    """A JSON type in plain words."""
    if "$ref" in schema:
        name = schema["$ref"].rsplit("/", 1)[-1]
        referred = document["components"]["schemas"][name]
        return _kind(referred, document) if "enum" in referred else name
    if "enum" in schema or "const" in schema:
        return " or ".join(str(value) for value in schema.get("enum", [schema.get("const")]))
    if "anyOf" in schema:
        return " or ".join(_kind(option, document) for option in schema["anyOf"])
    kind = schema.get("type", "anything")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}), document)}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), Mapping):
        return f"{_kind(schema['additionalProperties'], document)} by name"
    return "time" if schema.get("format") == "date-time" else str(kind)
