"""Connections that send too much, too slowly or nothing at all, against the running service."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from serving.http_api.connections import HEADER_LIMIT_BYTES
from serving.http_api.schemas import Problem
from tests.serving.conftest import BARE_CONNECTIONS, BARE_KEY
from tests.serving.server import Running

pytestmark = pytest.mark.slow

GET = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n"
POST = b"POST /v1/score HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
BODY = json.dumps({"account_ids": ["acct_001"], "targets": ["churn"], "reasons": 1}).encode()
H2C = b"connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n"
WEBSOCKET = b"connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: eA==\r\n"


@contextlib.contextmanager
def connected(server: Running) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.port), timeout=15) as connection:
        yield connection


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def answer_on(connection: socket.socket) -> Answer:
    """The next answer that comes, and not a byte of the one after it."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += connection.recv(1) or pytest.fail(f"the connection ended after {head!r}")
    first, *lines = head.decode().split("\r\n")[:-2]
    headers = dict(line.lower().split(": ", 1) for line in lines)
    body = connection.recv(int(headers["content-length"]), socket.MSG_WAITALL)
    return Answer(int(first.split()[1]), headers, body)


def refusal_on(connection: socket.socket, status: int) -> Problem:
    """The problem that is the next answer, after which the service says nothing more."""
    answer = answer_on(connection)
    assert answer.status == status, answer
    problem = Problem.model_validate_json(answer.body)
    assert problem.status == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["x-request-id"] == problem.request_id
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["connection"] == "close"
    assert is_ended(connection)
    return problem


def is_ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(65536) == b""
    except ConnectionResetError:
        return True


def header_of(size: int) -> bytes:
    start = GET + b"x-filler: "
    return start + b"a" * (size - len(start) - 4) + b"\r\n\r\n"


def test_a_header_of_64_kib_is_read_and_not_a_byte_more(server: Running) -> None:
    with connected(server) as connection:
        for _ in range(2):  # a connection that is kept counts each header anew
            connection.sendall(header_of(HEADER_LIMIT_BYTES))
            assert answer_on(connection).status == 200
        connection.sendall(header_of(HEADER_LIMIT_BYTES + 1))
        assert "65,536 bytes" in refusal_on(connection, 431).detail


@pytest.mark.parametrize(
    "sent",
    [
        GET + b"x: y\r\n" * 20_000,
        b"GET /" + b"a" * 100_000,
        b"\r\n" * 50_000,
        GET + b"\r\n" + GET + b"x: " + b"y" * 200_000,
        POST + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\nx: " + b"y" * 100_000,
        POST + b"transfer-encoding: chunked\r\n\r\n2;" + b"y" * 100_000,
    ],
    ids=[
        "many headers",
        "a path",
        "empty lines",
        "a second header",
        "a header after the body",
        "an extension of a chunk",
    ],
)
def test_whatever_is_no_body_has_the_same_limit(server: Running, sent: bytes) -> None:
    with connected(server) as connection:
        connection.sendall(sent)
        if sent.count(b"GET") > 1:
            assert answer_on(connection).status == 200
        refusal_on(connection, 431)


def test_headers_after_a_body_do_not_become_headers_of_the_request(bare: Running) -> None:
    trailer = f"authorization: Bearer {BARE_KEY}\r\n\r\n".encode()
    with connected(bare) as connection:
        connection.sendall(POST + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n" + trailer)
        assert answer_on(connection).status == 401


@pytest.mark.parametrize("upgrade", [H2C, WEBSOCKET], ids=["h2c", "websocket"])
@pytest.mark.parametrize("is_chunked", [False, True])
def test_an_upgrade_is_passed_over_and_the_request_answered(server: Running, upgrade: bytes, is_chunked: bool) -> None:
    if is_chunked:
        body = b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
    else:
        body = b"content-length: %d\r\n\r\n%s" % (len(BODY), BODY)
    with connected(server) as connection:
        for sent in (POST + upgrade + body, GET + upgrade + b"\r\n", POST + body):
            for part in (sent[:40], sent[40:300], sent[300:]):
                connection.sendall(part)
            assert answer_on(connection).status == 200


def test_what_is_no_request_is_a_problem(server: Running) -> None:
    for sent in (
        b"zq\r\n\r\n",
        b"CONNECT example.com:443 HTTP/1.1\r\nhost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ):
        with connected(server) as connection:
            connection.sendall(sent)
            assert "zq" not in refusal_on(connection, 400).model_dump_json()
    assert 'bellwether_requests_total{method="other",route="other",status="400"}' in server.get("/metrics").text


def test_requests_that_do_not_wait_for_answers_are_answered_in_turn_and_bounded(server: Running) -> None:
    with connected(server) as connection:
        connection.sendall((GET + b"\r\n") * 20 + b"zq\r\n\r\n")
        assert [answer_on(connection).status for _ in range(20)] == [200] * 20
        refusal_on(connection, 400)
    with connected(server) as connection:
        connection.sendall((GET + b"\r\n") * 2000)
        statuses = [200]
        while statuses[-1] == 200:
            statuses.append(answer_on(connection).status)
        assert statuses[-1] == 429
        assert 32 < len(statuses) < 1000


def test_a_header_that_does_not_end_is_408(bare: Running) -> None:
    with connected(bare) as connection:
        connection.sendall(GET)
        assert "header" in refusal_on(connection, 408).detail
    with connected(bare) as connection:  # neither does an answer before it give more time
        connection.sendall(GET + b"\r\n" + GET)
        assert answer_on(connection).status == 200
        refusal_on(connection, 408)


@pytest.mark.parametrize(
    "sent",
    [b"", GET + b"\r\n", POST + b"content-length: 9\r\n\r\n", POST + b"transfer-encoding: chunked\r\n\r\n"],
    ids=["nothing", "one request", "half a body of a request that was refused", "no chunk of it"],
)
def test_a_connection_that_says_nothing_more_is_closed(bare: Running, sent: bytes) -> None:
    with connected(bare) as connection:
        connection.sendall(sent)
        if sent:
            answer_on(connection)
        assert is_ended(connection)


def test_of_too_many_half_open_connections_the_oldest_goes_and_who_asks_is_answered(bare: Running) -> None:
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(connected(bare)) for _ in range(BARE_CONNECTIONS // 2 + 2)]
        for connection in slow:
            connection.sendall(GET)
        assert "Too many" in refusal_on(slow[0], 503).detail
        assert bare.get("/livez").status_code == 200


def test_of_too_many_open_connections_the_longest_idle_goes(bare: Running) -> None:
    with contextlib.ExitStack() as stack:
        idle = []
        for _ in range(BARE_CONNECTIONS + 1):
            idle.append(stack.enter_context(connected(bare)))
            idle[-1].sendall(GET + b"\r\n")
            assert answer_on(idle[-1]).status == 200
        assert is_ended(idle[0])
        idle[-1].sendall(GET + b"\r\n")
        assert answer_on(idle[-1]).status == 200
