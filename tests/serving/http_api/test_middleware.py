from __future__ import annotations

import asyncio
import hashlib
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from serving.http_api.limits import BODY_LIMIT_BYTES
from serving.http_api.middleware import Gatekeeper
from serving.http_api.operations import DOCUMENTED
from serving.http_api.problems import HttpProblemError
from serving.http_api.request_id import REQUEST_ID
from serving.http_api.work_queue import WorkQueue

KEY = "a-long-secret"
DIGEST = hashlib.sha256(KEY.encode()).hexdigest()
JSON = {"content-type": "application/json"}


class Client:
    """Asks an ASGI application, without a server."""

    def __init__(self, app: Any, *, address: str = "127.0.0.1") -> None:
        self.app = app
        self.address = address

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False, client=(self.address, 1))
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as opened:
                return await opened.request(method, path, **given)

        return asyncio.run(ask())

    def get(self, path: str, **given: Any) -> httpx.Response:
        return self.request("GET", path, **given)

    def post(self, path: str, **given: Any) -> httpx.Response:
        return self.request("POST", path, **given)


async def echo(request: Request) -> JSONResponse:
    """Stands for the service: says what reached it."""
    body = await request.body()
    return JSONResponse({"path": request.url.path, "size": len(body), "id": request.scope[REQUEST_ID]})


def client(*, address: str = "127.0.0.1", **options: Any) -> Client:
    inner = Starlette(
        routes=[
            Route("/v1/score", echo, methods=["POST"]),
            Route("/livez", echo),
            Route("/docs.json", echo),
            Route("/", echo),
            Route("/v1/models", echo),
        ]
    )
    return Client(Gatekeeper(inner, **options), address=address)


def is_problem(answer: Any, status: int) -> bool:
    body = answer.json()
    return (
        answer.status_code == status == body["status"]
        and answer.headers["content-type"] == "application/problem+json"
        and set(body) == {"type", "title", "status", "detail", "request_id", "errors"}
        and answer.headers["x-request-id"] == body["request_id"]
    )


def test_bentomls_route_becomes_ours() -> None:
    answer = client().post("/score", content=b"{}", headers=JSON).json()
    assert (answer["path"], answer["size"]) == ("/v1/score", 2)


@pytest.mark.parametrize("path", ["/", "/docs.json", "/static_content/x.js", "/v1", "/v1/score/", "/v1/accounts/x"])
def test_a_path_that_is_not_ours_does_not_exist(path: str) -> None:
    assert is_problem(client().get(path), 404)


@pytest.mark.parametrize(("method", "path", "allow"), [("GET", "/v1/score", "POST"), ("DELETE", "/livez", "GET, HEAD")])
def test_a_method_that_is_not_ours_names_those_that_are(method: str, path: str, allow: str) -> None:
    answer = client().request(method, path)
    assert is_problem(answer, 405)
    assert answer.headers["allow"] == allow


@pytest.mark.parametrize(
    "media",
    ["", "text/plain", "application/vnd.bentoml+pickle", "application/json; charset=latin-1", "multipart/form-data"],
)
def test_only_json_comes_in(media: str) -> None:
    assert is_problem(client().post("/v1/score", content=b"{}", headers={"content-type": media}), 415)


def test_an_encoded_body_is_refused() -> None:
    assert is_problem(client().post("/v1/score", content=b"{}", headers={**JSON, "content-encoding": "gzip"}), 415)


@pytest.mark.parametrize(("size", "status"), [(BODY_LIMIT_BYTES, 200), (BODY_LIMIT_BYTES + 1, 413)])
def test_the_size_is_checked_by_the_header(size: int, status: int) -> None:
    assert client().post("/v1/score", content=b" " * size, headers=JSON).status_code == status


@pytest.mark.parametrize(("more", "status"), [(0, 200), (1, 413), (65536, 413)])
def test_the_size_is_checked_while_it_streams(more: int, status: int) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(16):
            yield b" " * (BODY_LIMIT_BYTES // 16)
        yield b" " * more

    assert client().post("/v1/score", content=chunks(), headers=JSON).status_code == status


@pytest.mark.parametrize("sent", ["", "Bearer", "Bearer ", "Basic abc", KEY])
def test_without_a_key_the_answer_is_401(sent: str) -> None:
    answer = client(key_digests=[DIGEST]).get("/v1/models", headers={"authorization": sent})
    assert is_problem(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_with_a_key_everything_answers_and_health_does_without() -> None:
    keyed = client(key_digests=["0" * 64, DIGEST.upper()])
    assert keyed.get("/v1/models", headers={"authorization": f"Bearer {KEY}"}).status_code == 200
    assert keyed.get("/livez").status_code == 200


@pytest.mark.parametrize(
    ("address", "status"),
    [("127.0.0.1", 200), ("::1", 200), ("::ffff:127.0.0.1", 200), ("10.0.0.7", 403), ("::", 403), ("socket", 403)],
)
def test_without_keys_only_this_machine_may_ask(address: str, status: int) -> None:
    answer = client(address=address).get("/v1/models")
    assert answer.status_code == status
    assert client(address=address).get("/livez").status_code == 200
    if status == 403:
        assert is_problem(answer, 403)
        assert "BELLWETHER_API_KEYS" in answer.text
    with_key = client(address=address, key_digests=[DIGEST]).get(
        "/v1/models", headers={"authorization": f"Bearer {KEY}"}
    )
    assert with_key.status_code == 200


def test_a_key_is_compared_by_its_bytes() -> None:
    key = "schlüssel".encode()
    keyed = client(key_digests=[hashlib.sha256(key).hexdigest()])
    assert keyed.get("/v1/models", headers={"authorization": b"Bearer " + key}).status_code == 200


@pytest.mark.parametrize("media", ["application/json; version=1", 'application/json; version=1; charset="UTF-8"'])
def test_parameters_of_the_media_type_other_than_charset_do_not_matter(media: str) -> None:
    assert client().post("/v1/score", content=b"{}", headers={"content-type": media}).status_code == 200


def test_a_body_that_does_not_arrive_is_408() -> None:
    async def scene() -> int:
        statuses: list[int] = []

        async def send(message: Any) -> None:
            statuses.append(message.get("status", 0))

        async def never() -> Any:
            await asyncio.Event().wait()

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/v1/score",
            "headers": [(b"content-type", b"application/json")],
            "client": ("127.0.0.1", 1),
        }
        await Gatekeeper(_raises, body_seconds=0.0)(scope, never, send)
        return statuses[0]

    assert asyncio.run(scene()) == 408


def test_our_bug_is_a_500_that_tells_nothing() -> None:
    inner = Gatekeeper(_raises)
    answer = Client(inner).get("/metrics")
    assert is_problem(answer, 500)
    assert "secret" not in answer.text


async def _raises(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("/secret/path")


def test_more_work_than_places_is_429_and_a_place_is_free_again_when_work_ends() -> None:
    async def scene() -> tuple[int, list[int]]:
        work_queue = WorkQueue(threads=1, places=1, deadline_seconds=30)
        loop = asyncio.get_running_loop()
        may_end, begun = asyncio.Event(), asyncio.Event()

        def work() -> int:
            loop.call_soon_threadsafe(begun.set)
            asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result()
            return 7

        first = asyncio.create_task(work_queue.run(work))
        await begun.wait()
        with pytest.raises(HttpProblemError) as refused:
            await work_queue.run(lambda: 0)
        may_end.set()
        results = [await first, await work_queue.run(lambda: 8)]
        work_queue.close()
        return refused.value.status, results

    assert asyncio.run(scene()) == (429, [7, 8])


def _submit_waits(work_queue: WorkQueue) -> threading.Event:
    """An event the first work sets: until then its submission does not return, so that it cannot be cancelled."""
    has_begun, submit = threading.Event(), work_queue._pool.submit

    def submitted(work: Any) -> Any:
        future = submit(work)
        assert has_begun.wait(60)
        return future

    work_queue._pool.submit = submitted  # type: ignore[method-assign]
    return has_begun


def test_work_past_its_deadline_is_504_and_keeps_its_place_until_it_ends() -> None:
    async def scene() -> list[int]:
        work_queue = WorkQueue(threads=1, places=1, deadline_seconds=0)
        has_begun = _submit_waits(work_queue)
        loop = asyncio.get_running_loop()
        may_end = asyncio.Event()
        ended = asyncio.Event()

        def work() -> None:
            has_begun.set()
            asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result()
            loop.call_soon_threadsafe(ended.set)

        statuses = []
        for _ in range(2):
            with pytest.raises(HttpProblemError) as refused:
                await work_queue.run(work)
            statuses.append(refused.value.status)
        may_end.set()
        await ended.wait()
        work_queue.close()
        return statuses

    assert asyncio.run(scene()) == [504, 429]


def test_work_that_waited_too_long_never_begins_and_a_closed_door_is_503() -> None:
    async def scene() -> tuple[list[int], list[str]]:
        work_queue = WorkQueue(threads=1, places=9, deadline_seconds=0)
        has_begun = _submit_waits(work_queue)
        loop = asyncio.get_running_loop()
        may_end, ended, begun = asyncio.Event(), asyncio.Event(), []

        def work() -> None:
            has_begun.set()
            asyncio.run_coroutine_threadsafe(may_end.wait(), loop).result()
            loop.call_soon_threadsafe(ended.set)

        statuses = []
        for waiting in (work, lambda: begun.append("late")):
            with pytest.raises(HttpProblemError) as refused:
                await work_queue.run(waiting)
            statuses.append(refused.value.status)
        may_end.set()
        await ended.wait()
        work_queue.close()
        for _ in range(3):
            with pytest.raises(HttpProblemError) as refused:
                await work_queue.run(lambda: None)
            statuses.append(refused.value.status)
        return statuses, begun

    assert asyncio.run(scene()) == ([504, 429, 503, 503, 503], [])


def test_the_document_and_the_page_say_the_same_routes_and_load_nothing() -> None:
    from serving.http_api.docs_page import docs_page
    from serving.http_api.openapi import openapi

    document = openapi()
    page = docs_page(document, address="http://127.0.0.1:3000")
    assert set(document["paths"]) == {operation.path for operation in DOCUMENTED}
    for operation in DOCUMENTED:
        assert operation.path in page
    assert "<script" not in page
    assert " src=" not in page
    assert "url(" not in page
    referred = set(json.dumps(document).split('"#/components/schemas/')[1:])
    assert {text.split('"')[0] for text in referred} <= set(document["components"]["schemas"])


def test_the_examples_of_the_document_fit_its_schemas() -> None:
    from serving.http_api.schemas import AccountList, ScoreRequest, ScoreResponse

    for operation in DOCUMENTED:
        if operation.request_example is not None:
            ScoreRequest.model_validate_json(json.dumps(operation.request_example))
        if operation.returns is ScoreResponse and operation.response_example is not None:
            ScoreResponse.model_validate_json(json.dumps(operation.response_example))
        if operation.returns is AccountList:
            AccountList.model_validate_json(json.dumps(operation.response_example))


@pytest.mark.parametrize("sent", ["my.request-0001", "a" * 64, "01_02-03"])
def test_a_well_formed_request_id_of_the_client_is_kept(sent: str) -> None:
    answer = client().post("/v1/score", content=b"{}", headers={**JSON, "x-request-id": sent})
    assert (answer.headers["x-request-id"], answer.json()["id"]) == (sent, sent)
    assert is_problem(client().get("/nowhere", headers={"x-request-id": sent}), 404)


@pytest.mark.parametrize(
    "sent", ["", "short", "a" * 65, "zq zq zq zq", "zq<b>zq</b>", "zq/../../zq", "zq\u00e9\u00e9\u00e9\u00e9\u00e9"]
)
def test_any_other_request_id_is_replaced(sent: str) -> None:
    answer = client().get("/nowhere", headers=[(b"x-request-id", sent.encode())])
    assert is_problem(answer, 404)
    assert "zq" not in answer.text
    assert len(answer.headers["x-request-id"]) == 32


def test_an_answer_leaves_one_line_without_what_the_client_made_up(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "bellwether.serving")
    client().request("ZQ", "/v1/zq?zq=1", headers={"authorization": "Bearer zq", "zq": "zq"})
    (record,) = caplog.records
    about = record.bellwether_fields  # type: ignore[attr-defined]
    assert (about["route"], about["method"], about["status"]) == ("other", "other", 404)
    assert about["response_bytes"] > 0
    assert "zq" not in str(about).lower()
    client().get("/livez")
    assert len(caplog.records) == 1


def test_a_query_that_is_too_long_is_422() -> None:
    assert client().get(f"/v1/models?{'a' * 8192}").status_code == 200
    assert is_problem(client().get(f"/v1/models?{'a' * 8193}"), 422)


def test_more_requests_in_hand_than_places_are_429_and_health_answers_still() -> None:
    full = client(places=0)
    answer = full.post("/v1/score", content=b"{}", headers=JSON)
    assert is_problem(answer, 429)
    assert answer.headers["retry-after"] == "5"
    assert full.get("/livez").status_code == 200
    assert client(places=1).post("/v1/score", content=b"{}", headers=JSON).status_code == 200


def test_a_websocket_is_closed() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(Gatekeeper(_raises)({"type": "websocket", "path": "/", "headers": []}, None, send))  # type: ignore[arg-type]
    assert sent == [{"type": "websocket.close", "code": 1008}]
