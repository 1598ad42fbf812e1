"""Requests that are wrong in every way we could think of: one shape of error, nothing repeated, nothing broken."""

from __future__ import annotations

import gzip
import json
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from features.home.home import Home
from serving.http_api.answers import Answerer
from serving.http_api.live_champions import LiveChampions
from serving.http_api.meters import Meters
from serving.http_api.middleware import Gatekeeper
from serving.http_api.readiness import Readiness
from serving.http_api.routes import make_api
from serving.http_api.work_queue import WorkQueue
from serving.ledger.ledger import open_ledger
from tests.serving.conftest import NOW, Place
from tests.serving.http_api.test_middleware import Client, is_problem
from tests.serving.server import JSON, Running

CANARY = "zqcanary"
"""Stands for a secret or a customer's name: no answer and no line of the log may repeat it."""


@pytest.fixture(scope="module")
def app(place: Place) -> Iterator[Client]:
    """The whole application but BentoML, with a real store and a real champion."""
    from features.feature_store.store import open_store

    champions, ledger, work_queue = LiveChampions(Home(place.settings)), open_ledger(place.home), WorkQueue()
    store = open_store(place.home)
    champions.refresh()
    api = make_api(
        Home(place.settings),
        answerer=Answerer(Home(place.settings), store, champions),
        champions=champions,
        ledger=ledger,
        work_queue=work_queue,
        meters=Meters(),
        readiness=Readiness(store, champions, ledger),
        clock=lambda: NOW,
    )
    yield Client(Gatekeeper(api))
    work_queue.close()
    ledger.close()


def body(**changes: Any) -> bytes:
    return json.dumps({"account_ids": ["acct_001"], **changes}).encode()


def ids(*accounts: object) -> bytes:
    return json.dumps({"account_ids": accounts}).encode()


BODIES: dict[str, tuple[bytes, int]] = {
    # not JSON
    "empty": (b"", 400),
    "blank": (b" \n\t ", 400),
    "cut short": (b'{"account_ids": ["zqcanary"', 400),
    "a word": (b"zqcanary", 400),
    "single quotes": (b"{'account_ids': ['zqcanary']}", 400),
    "no quotes": (b"{account_ids: [zqcanary]}", 400),
    "trailing comma": (b'{"account_ids": ["zqcanary"],}', 400),
    "two values": (b'{"account_ids": ["a"]}{"account_ids": ["zqcanary"]}', 400),
    "a comment": (b'{"account_ids": ["a"]} // zqcanary', 400),
    "a form": (b"account_ids=zqcanary", 400),
    "xml": (b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><x>&e;</x>", 400),
    "nul": (b"\x00", 400),
    "not utf-8": (b'{"account_ids": ["\xff\xfezqcanary"]}', 400),
    "half a character": (b'{"account_ids": ["\xc3"]}', 400),
    "a surrogate in utf-8": (b'{"account_ids": ["\xed\xa0\x80"]}', 400),
    "an overlong character": (b'{"account_ids": ["\xc0\xaf"]}', 400),
    "latin-1": ('{"account_ids": ["zqcanaryé"]}'.encode("latin-1"), 400),
    "utf-16": ('{"account_ids": ["zqcanary"]}'.encode("utf-16"), 400),
    "utf-32": ('{"account_ids": ["zqcanary"]}'.encode("utf-32"), 400),
    "a byte order mark": (b"\xef\xbb\xbf" + ids("zqcanary"), 400),
    "gzip": (gzip.compress(ids("zqcanary")), 400),
    "a control character": (b'{"account_ids": ["zq\ncanary"]}', 400),
    "an unknown escape": (rb'{"account_ids": ["\zqcanary"]}', 400),
    "lists in lists": (b"[" * 100_000, 400),
    "objects in objects": (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, 400),
    "a key twice": (b'{"account_ids": ["a"], "account_ids": ["zqcanary"]}', 400),
    "a key twice, escaped": (rb'{"account_ids": ["a"], "account\u005fids": ["zqcanary"]}', 400),
    "a lone surrogate": (rb'{"account_ids": ["\ud800zqcanary"]}', 400),
    "a number of 100,000 digits": (b'{"account_ids": ["a"], "reasons": ' + b"9" * 100_000 + b"}", 400),
    # JSON of another shape
    "null": (b"null", 422),
    "true": (b"true", 422),
    "a number": (b"17", 422),
    "text": (b'"zqcanary"', 422),
    "a list": (b'["zqcanary"]', 422),
    "an empty object": (b"{}", 422),
    "deep, closed": (b"[" * 150 + b"]" * 150, 422),
    # account_ids
    "no accounts": (ids(), 422),
    "null accounts": (body(account_ids=None), 422),
    "a text for accounts": (body(account_ids=CANARY), 422),
    "an object for accounts": (body(account_ids={CANARY: 1}), 422),
    "a number for accounts": (body(account_ids=7), 422),
    "1,001 accounts": (ids(*[f"a{number}" for number in range(1001)]), 422),
    "an empty id": (ids(""), 422),
    "a blank id": (ids(" "), 422),
    "a number for an id": (ids(1), 422),
    "null for an id": (ids(None), 422),
    "true for an id": (ids(True), 422),
    "a list for an id": (ids([CANARY]), 422),
    "an object for an id": (ids({"id": CANARY}), 422),
    "an id of 129 characters": (ids("a" * 129), 422),
    "an id of 100,000 characters": (ids(CANARY * 12_500), 422),
    "an id with a space": (ids(f"{CANARY} x"), 422),
    "an id with a newline at its end": (ids(f"{CANARY}\n"), 422),
    "an id with a nul": (ids(f"{CANARY}\0"), 422),
    "an id with an escape sequence": (ids(f"\x1b[31m{CANARY}"), 422),
    "an id of letters that are not ASCII": (ids(f"{CANARY}é"), 422),
    "an id of full-width digits": (ids("\uff11\uff12"), 422),
    "an id written from right to left": (ids(f"\u202e{CANARY}"), 422),
    "an emoji": (ids("🦆"), 422),
    "sql": (ids(f"'; DROP TABLE {CANARY}; --"), 422),
    "html": (ids(f"<script>{CANARY}</script>"), 422),
    "a path": (ids(f"../../{CANARY}"), 422),
    "a template": (ids("{{" + CANARY + "}}"), 422),
    "a formula": (ids(f"=cmd|' /C {CANARY}'!A0"), 422),
    "a lookup": (ids("${jndi:ldap://" + CANARY + "/a}"), 422),
    # targets and reasons
    "no targets": (body(targets=[]), 422),
    "a text for targets": (body(targets="churn"), 422),
    "an unknown target": (body(targets=[CANARY]), 422),
    "a target with a bad name": (body(targets=[f"{CANARY}!"]), 422),
    "a number for a target": (body(targets=[1]), 422),
    "17 targets": (body(targets=["churn"] * 17), 422),
    "null reasons": (body(reasons=None), 422),
    "reasons below 0": (body(reasons=-1), 422),
    "21 reasons": (body(reasons=21), 422),
    "half a reason": (body(reasons=2.5), 422),
    "a text for reasons": (body(reasons="5"), 422),
    "true for reasons": (body(reasons=True), 422),
    "a huge int": (body(reasons=10**400), 422),
    "a huge float": (b'{"account_ids": ["a"], "reasons": 1e400}', 422),
    "NaN": (b'{"account_ids": ["a"], "reasons": NaN}', 422),
    "Infinity": (b'{"account_ids": ["a"], "reasons": -Infinity}', 422),
    # what nobody declared
    "another field": (body(**{CANARY: CANARY}), 422),
    "a field in capitals": (body(Account_Ids=[CANARY]), 422),
    "a prototype": (body(__proto__={CANARY: 1}), 422),
    "a thousand fields": (body(**{f"{CANARY}{number}": 1 for number in range(1000)}), 422),
}

every_body = pytest.mark.parametrize(("sent", "status"), BODIES.values(), ids=list(BODIES))


def is_clean(answer: httpx.Response, status: int) -> bool:
    """A problem of this status that repeats nothing, in its headers neither."""
    said = answer.text + str(answer.headers)
    return is_problem(answer, status) and "zq" not in said.lower() and len(answer.content) < 8192


@every_body
def test_a_bad_body_is_a_problem_that_repeats_nothing(
    app: Client, sent: bytes, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    assert is_clean(app.post("/v1/score", content=sent, headers=JSON), status)
    assert "zq" not in str([record.__dict__ for record in caplog.records if record.name.startswith("bellwether")])


def test_there_are_sixty_and_each_is_another() -> None:
    assert len({sent for sent, _ in BODIES.values()}) == len(BODIES) >= 60


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": CANARY}, 415),
        ({"content-type": "application/json; charset=utf-16"}, 415),
        ({"content-type": "application/json; charset=zqcanary"}, 415),
        ({"content-type": "application/vnd.bentoml+pickle"}, 415),
        ({"content-type": "multipart/form-data; boundary=zqcanary"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({**JSON, "content-encoding": "gzip"}, 415),
        ({**JSON, "content-encoding": "zqcanary"}, 415),
        ({**JSON, "content-encoding": "gzip, identity"}, 415),
        ({**JSON, "content-length": "zqcanary"}, 400),
        ({**JSON, "content-length": "-1"}, 400),
        ({**JSON, "content-length": "1e3"}, 400),
        ({**JSON, "content-length": "99999999999999999999"}, 413),
        ({**JSON, "content-length": "9" * 4400}, 413),
        ({**JSON, "content-length": "zq" * 2200}, 400),
        ({**JSON, "content-length": b"\xb2"}, 400),
    ],
    ids=lambda value: str(value)[:80],
)
def test_bad_headers_are_a_problem(app: Client, headers: dict[str, str | bytes], status: int) -> None:
    assert is_clean(app.post("/v1/score", content=body(), headers=headers), status)


def test_zeros_before_the_length_of_a_body_do_not_make_it_large(app: Client) -> None:
    sent = body(reasons=1)
    answer = app.post("/v1/score", content=sent, headers={**JSON, "content-length": "0" * 4400 + str(len(sent))})
    assert answer.status_code == 200


def test_a_body_in_pieces_is_one_body_and_has_the_same_limit(app: Client) -> None:
    async def pieces(of: bytes, size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(of), size):
            yield of[start : start + size]

    whole = body(reasons=1)
    assert app.post("/v1/score", content=pieces(whole, 1), headers=JSON).status_code == 200
    assert is_clean(app.post("/v1/score", content=pieces(b" " * (2**20 + 1), 2**16), headers=JSON), 413)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/score", 405),
        ("OPTIONS", "/v1/score", 405),
        ("PUT", "/v1/score", 405),
        ("PATCH", "/v1/score", 405),
        ("DELETE", "/v1/accounts", 405),
        ("POST", "/v1/models", 405),
        ("TRACE", "/v1/models", 405),
        ("CONNECT", "/v1/models", 405),
        ("ZQCANARY", "/v1/models", 405),
        ("POST", "/metrics", 405),
        ("GET", "/", 404),
        ("GET", "/zqcanary", 404),
        ("GET", "/v1/accounts/zqcanary", 404),
        ("GET", "/v1/accounts%2Fzqcanary", 404),
        ("GET", "/v1/../v1/zqcanary", 404),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/v1//models", 404),
        ("GET", "/v1/models/", 404),
        ("GET", "/V1/MODELS", 404),
        ("GET", "/v1/models%00zqcanary", 404),
        ("GET", "/v1/models%0d%0aset-cookie:%20zqcanary", 404),
        ("GET", "/v1/models;zqcanary", 404),
        ("GET", "/%ff%fezqcanary", 404),
        ("GET", "/" + "zq" * 5000, 404),
    ],
)
def test_other_paths_and_methods_are_a_problem(app: Client, method: str, path: str, status: int) -> None:
    assert is_clean(app.request(method, path), status)


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("limit=0", 422),
        ("limit=1001", 422),
        ("limit=-1", 422),
        ("limit=zqcanary", 422),
        ("limit=1.5", 422),
        ("limit=" + "9" * 5000, 422),
        ("limit=", 422),
        ("sort=zqcanary", 422),
        ("sort=probability;DROP%20TABLE%20zqcanary", 422),
        ("band=zqcanary", 422),
        ("band=HIGH", 422),
        ("target=zqcanary!", 422),
        ("target=%00", 422),
        ("owner=", 422),
        ("owner=" + "zq" * 101, 422),
        ("segment=" + "a" * 9000, 422),
        ("zqcanary.=1", 422),  # only a plain word is named
        ("limit=1&limit=2", 422),
        ("band=high&band=low", 422),
        ("__proto__=1", 422),
        ("cursor=zqcanary", 400),
        ("cursor=", 422),
        ("cursor=" + "zq" * 501, 422),
        ("cursor=%F0%9F%A6%86", 400),
        ("cursor=bnVsbA==", 400),
        ("cursor=WzEsMiwzLDRd", 400),
        ("target=zq_canary", 404),
        ("owner=%ff", 404),
    ],
)
def test_a_bad_query_is_a_problem(app: Client, query: str, status: int) -> None:
    assert is_clean(app.get(f"/v1/accounts?{query}"), status)


@pytest.mark.slow
def test_the_running_service_says_the_same_and_its_log_repeats_nothing(server: Running) -> None:
    headers = {**JSON, "authorization": f"Bearer {CANARY}", "x-zq": CANARY, "user-agent": CANARY, "cookie": CANARY}
    for path in ("/v1/score", "/score"):
        for name in list(BODIES)[::3]:
            sent, status = BODIES[name]
            assert is_clean(server.score(sent, f"{path}?{CANARY}=1", headers=headers), status), name
    for path in (f"/{CANARY}", f"/v1/accounts?{CANARY}=1", f"/v1/accounts?cursor={CANARY}", f"/v1/accounts%2F{CANARY}"):
        assert 400 <= server.get(path, headers=headers).status_code < 500
    post = b"POST /v1/score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    for raw in (
        post + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        post + b"transfer-encoding: chunked\r\n\r\nzq\r\n",
        post + b"content-length: 3\r\ncontent-length: 5\r\n\r\nzqcanary",
        b"ZQCANARY / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET /zq canary HTTP/1.1\r\nhost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nzq canary\r\n\r\n",
        b"zqcanary\r\n\r\n",
        b"\x16\x03\x01\x00zqcanary\r\n\r\n",
    ):
        answer = _exchange(server.port, raw)
        assert answer.startswith(b"HTTP/1.1 4"), (raw, answer)
        assert b"zq" not in answer.lower()
    upgrade = {
        "upgrade": "websocket",
        "connection": "upgrade",
        "sec-websocket-version": "13",
        "sec-websocket-key": "eA==",
    }
    assert 400 <= server.get("/", headers=upgrade).status_code < 500
    assert server.get("/livez").status_code == 200
    assert "zq" not in server.get("/metrics").text.lower()
    lines = server.log.read_text().splitlines()
    assert "zq" not in "".join(lines).lower()
    assert {json.loads(line)["logger"].partition(".")[0] for line in lines} <= {"bellwether", "uvicorn"}


def _exchange(port: int, sent: bytes) -> bytes:
    """What comes back for these bytes, to the end of the head and what came with it."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(sent)
        return connection.recv(65536)
