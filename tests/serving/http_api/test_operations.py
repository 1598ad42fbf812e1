"""Every operation is routed, documented and let through, and nothing else is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse

from features.home.home import Home
from features.settings.load import load_settings
from serving.http_api.meters import Meters
from serving.http_api.middleware import Gatekeeper
from serving.http_api.openapi import openapi
from serving.http_api.operations import OPERATIONS, operation_at
from serving.http_api.routes import make_api
from tests.serving.http_api.test_middleware import JSON, Client

FOR_BENTOML_CLIENTS = {"/schema.json", "/healthz"}
ANSWERED_BY_BENTOML = {"/livez", *FOR_BENTOML_CLIENTS}

PATHS = tuple(dict.fromkeys(operation.path for operation in OPERATIONS))
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def test_each_is_declared_once() -> None:
    assert len(OPERATIONS) == len({(operation.path, operation.method) for operation in OPERATIONS})


def test_those_without_a_handler_are_bentomls_or_answered_elsewhere_under_the_same_rule() -> None:
    unanswered = {operation.path for operation in OPERATIONS if operation.handler is None}
    assert unanswered == ANSWERED_BY_BENTOML | {"/score"}
    for operation in OPERATIONS:
        if operation.rewritten_to is not None:
            target = operation_at(operation.rewritten_to, operation.method.upper())
            assert target is not None
            assert target.handler is not None
            assert target.is_open == operation.is_open


def test_those_with_a_handler_are_the_routes(tmp_path: Path) -> None:
    unused: Any = None
    api = make_api(
        Home(load_settings(home=tmp_path)),
        answerer=unused,
        champions=unused,
        ledger=unused,
        work_queue=unused,
        meters=Meters(),
        readiness=unused,
        clock=unused,
    )
    routed = {(route.path, frozenset(route.methods)) for route in api.routes}
    assert routed == {
        (operation.inner_path or operation.path, operation.methods)
        for operation in OPERATIONS
        if operation.handler is not None
    }


def test_the_document_has_all_but_the_two_for_bentomls_client() -> None:
    documented = {(path, method) for path, methods in openapi()["paths"].items() for method in methods}
    assert documented == {
        (operation.path, operation.method) for operation in OPERATIONS if operation.path not in FOR_BENTOML_CLIENTS
    }


@pytest.mark.parametrize("path", [*PATHS, "/", "/v1", "/v1/score/"])
def test_the_gatekeeper_lets_these_through_and_no_other(path: str) -> None:
    client = Client(Gatekeeper(PlainTextResponse("inside")))
    allowed = {name for operation in OPERATIONS if operation.path == path for name in operation.methods}
    for method in METHODS:
        answer = client.request(method, path, content=b"", headers=JSON)
        assert answer.status_code == (404 if not allowed else 200 if method in allowed else 405)


def test_open_ones_need_no_key_and_all_others_do() -> None:
    keyed = Client(Gatekeeper(PlainTextResponse("inside"), key_digests=["0" * 64]))
    for operation in OPERATIONS:
        answer = keyed.request(operation.method.upper(), operation.path, content=b"", headers=JSON)
        assert answer.status_code == (200 if operation.path in {"/livez", "/readyz", "/healthz"} else 401)


def _properties(document: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, schema in document["components"]["schemas"].items():
        for field, described in schema.get("properties", {}).items():
            yield f"{name}.{field}", described
    for path, methods in document["paths"].items():
        for operation in methods.values():
            for parameter in operation.get("parameters", []):
                yield f"{path}?{parameter['name']}", parameter


def test_every_property_and_parameter_is_described() -> None:
    properties = dict(_properties(openapi()))
    assert len(properties) > 60
    assert [name for name, described in properties.items() if not described.get("description")] == []


def test_every_operation_says_what_may_be_wrong_with_a_connection() -> None:
    for methods in openapi()["paths"].values():
        for operation in methods.values():
            assert {"400", "408", "431", "503"} <= set(operation["responses"])


def test_the_cursor_has_its_pattern_in_the_document() -> None:
    cursor = dict(_properties(openapi()))["/v1/accounts?cursor"]["schema"]
    assert cursor["pattern"] == "^[A-Za-z0-9_-]+={0,2}$"
