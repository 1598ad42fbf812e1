"""The contract of the running service, BentoML and all, over HTTP on a loopback port."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.settings import Settings
from serving.launch import launch
from serving.schemas import AccountList, ModelList, Problem, ScoreResponse
from tests.serving.conftest import NOW, USUAL, Place

pytestmark = pytest.mark.slow

JSON = {"content-type": "application/json"}
KEY = "a-long-secret"
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Running:
    """A server process and the address it answers at."""

    address: str
    place: Place

    def get(self, path: str, **given: Any) -> httpx.Response:
        return httpx.get(f"{self.address}{path}", timeout=60, **given)

    def score(self, body: object, path: str = "/v1/score", **given: Any) -> httpx.Response:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.post(f"{self.address}{path}", content=content, timeout=60, **{"headers": JSON, **given})


@contextmanager
def running(place: Place, log: Path, *, code: Path = ROOT, **changes: Any) -> Iterator[Running]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings: Settings = place.settings.model_copy(update={"port": port, "workers": 1})
    chosen = launch(
        settings, config=None, environment={**os.environ, "BELLWETHER_STALE_AFTER_HOURS": "1e6", **changes}, code=code
    )
    with log.open("wb") as file:
        server = subprocess.Popen(
            chosen.arguments, env=dict(chosen.environment), stdout=file, stderr=file, cwd=code, start_new_session=True
        )
    try:
        found = Running(f"http://127.0.0.1:{port}", place)
        wait_for(lambda: found.get("/livez").status_code == 200, server, log)
        yield found
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(timeout=60)


def wait_for(claim: Any, server: subprocess.Popen[bytes] | None, log: Path, seconds: float = 180.0) -> None:
    give_up = time.monotonic() + seconds
    while time.monotonic() < give_up:
        with contextlib.suppress(httpx.HTTPError):
            if claim():
                return
        if server is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                pytest.fail(f"the server ended with {server.wait(timeout=0.2)}: {log.read_text()[-2000:]}")
    pytest.fail(f"not within {seconds} seconds: {log.read_text()[-2000:]}")


@pytest.fixture(scope="module")
def server(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server on a copy of the home, with one score run in its ledger."""
    from serving.batch import score_batch

    root = tmp_path_factory.mktemp("server")
    copy = place.copy_to(root / "home")
    score_batch(copy.settings, now=NOW)
    with running(copy, root / "log.txt") as found:
        wait_for(lambda: found.get("/readyz").status_code == 200, None, root / "log.txt")
        yield found


@pytest.fixture(scope="module")
def bare(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A server with a key, a feature store and no model."""
    import shutil

    root = tmp_path_factory.mktemp("bare")
    copy = place.copy_to(root / "home")
    shutil.rmtree(copy.settings.home / "mlflow")
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    with running(copy, root / "log.txt", BELLWETHER_API_KEYS=digest) as found:
        yield found


def problem_of(answer: httpx.Response, status: int) -> Problem:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = Problem.model_validate_json(answer.content)
    assert found.status == status
    assert found.request_id == answer.headers["x-request-id"]
    return found


def test_scores_come_in_the_order_asked_with_reasons(server: Running) -> None:
    asked = ["acct_005", "nobody-knows", "acct_001", "cancelled", "acct_005"]
    answer = server.score({"account_ids": asked, "targets": ["churn"], "reasons": 2})
    assert answer.status_code == 200, answer.text
    found = ScoreResponse.model_validate_json(answer.content)
    assert [result.account_id for result in found.results] == asked
    scores = [result.scores["churn"] for result in found.results]
    assert [score.status for score in scores] == ["scored", "unknown_account", "scored", "not_applicable", "scored"]
    assert scores[0] == scores[4]
    assert 1 <= len(scores[0].reasons) <= 2
    assert scores[0].model.version == "1"
    assert found.request_id == answer.headers["x-request-id"]


def test_base_and_all_reasons_reach_the_margin(server: Running) -> None:
    answer = server.score({"account_ids": list(USUAL), "reasons": 20})
    for result in ScoreResponse.model_validate_json(answer.content).results:
        score = result.scores["churn"]
        total = score.base_margin + sum(reason.contribution for reason in score.reasons)
        # What is missing are the families too small for a sentence.
        assert total == pytest.approx(score.margin, abs=0.05 * 14)
        for reason in score.reasons:
            parts = sum(feature.contribution for feature in reason.features)
            assert parts == pytest.approx(reason.contribution, abs=1e-9)


def test_bentomls_client_and_route_give_the_same_bodies(server: Running) -> None:
    body = {"account_ids": ["acct_001", "acct_002"], "reasons": 3}
    ours, theirs = server.score(body).json(), server.score(body, "/score").json()
    # In a process of its own: the client's imports and its temporary folder warn, and warnings are errors here.
    script = (
        "import bentoml, json, sys\nwith bentoml.SyncHTTPClient(sys.argv[1]) as client:"
        "\n    print(json.dumps(client.score(**json.loads(sys.argv[2]))))"
    )
    arguments = [sys.executable, "-W", "ignore", "-c", script, server.address, json.dumps(body)]
    called = json.loads(subprocess.run(arguments, capture_output=True, text=True, check=True).stdout)
    for other in (theirs, called):
        assert [result["scores"] for result in other["results"]] == [result["scores"] for result in ours["results"]]


def test_a_thousand_accounts_and_not_one_more(server: Running) -> None:
    ids = [f"acct_{number:04}" for number in range(1001)]
    assert len(server.score({"account_ids": ids[:1000]}).json()["results"]) == 1000
    assert problem_of(server.score({"account_ids": ids}), 422).errors[0].where == "/account_ids"


def test_an_unknown_account_alone_is_404(server: Running) -> None:
    assert "nobody" not in problem_of(server.score({"account_ids": ["nobody"]}), 404).model_dump_json()


SECRET = "zq-echo"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"zq-echo", 400),
        (b"\xff\xfe", 400),
        (b'{"account_ids": ["a"]} zq-echo', 400),
        (b"[" * 5000, 400),
        (b'{"account_ids": ["a"], "reasons": NaN}', 422),
        (b'{"account_ids": ["a"], "reasons": 1e400}', 422),
        (b"null", 422),
        (b"[]", 422),
        (b'"zq-echo"', 422),
        ({}, 422),
        ({"account_ids": []}, 422),
        ({"account_ids": "zq-echo"}, 422),
        ({"account_ids": [1]}, 422),
        ({"account_ids": [None]}, 422),
        ({"account_ids": [""]}, 422),
        ({"account_ids": ["zq-echo zq-echo"]}, 422),
        ({"account_ids": ["a" * 129]}, 422),
        ({"account_ids": ["a\u0000zq-echo"]}, 422),
        ({"account_ids": ["zq-echo\n"]}, 422),
        ({"account_ids": [["a"]]}, 422),
        ({"account_ids": ["a"], "zq-echo": 1}, 422),
        ({"account_ids": ["a"], "targets": []}, 422),
        ({"account_ids": ["a"], "targets": ["zq_echo"]}, 422),
        ({"account_ids": ["a"], "targets": "churn"}, 422),
        ({"account_ids": ["a"], "reasons": -1}, 422),
        ({"account_ids": ["a"], "reasons": 21}, 422),
        ({"account_ids": ["a"], "reasons": "5"}, 422),
        ({"account_ids": ["a"], "reasons": True}, 422),
        ({"account_ids": ["a"], "reasons": 2.5}, 422),
    ],
)
@pytest.mark.parametrize("path", ["/v1/score", "/score"])
def test_a_bad_body_is_a_problem_that_repeats_nothing(server: Running, path: str, body: object, status: int) -> None:
    answer = server.score(body, path)
    problem_of(answer, status)
    assert "zq" not in answer.text


@pytest.mark.parametrize(
    "path", ["/", "/docs.json", "/static_content/swagger-ui.css", "/v2/score", "/metrics/", "/score/submit"]
)
def test_bentomls_other_pages_do_not_exist(server: Running, path: str) -> None:
    problem_of(server.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/score"), ("PUT", "/score"), ("POST", "/v1/accounts"), ("POST", "/livez")]
)
def test_other_methods_are_405(server: Running, method: str, path: str) -> None:
    problem_of(httpx.request(method, f"{server.address}{path}", timeout=60), 405)


def test_the_body_is_limited_and_json(server: Running) -> None:
    problem_of(server.score(b" " * (1024 * 1024 + 1)), 413)
    problem_of(server.score(b"{}", headers={"content-type": "application/vnd.bentoml+pickle"}), 415)


def test_accounts_come_in_pages_of_one_run(server: Running) -> None:
    seen: list[str] = []
    cursor: str | None = None
    while True:
        given = {"limit": 10, "sort": "probability", **({"cursor": cursor} if cursor else {})}
        page = AccountList.model_validate_json(server.get("/v1/accounts", params=given).content)
        seen += [account.account_id for account in page.accounts]
        cursor = page.next_cursor
        if cursor is None:
            break
        assert len(page.accounts) == 10
    assert sorted(seen) == sorted(USUAL)


def test_accounts_are_filtered(server: Running) -> None:
    found = server.get("/v1/accounts", params={"owner": "sam", "segment": "large"}).json()["accounts"]
    assert found
    assert {(account["owner"], account["segment"]) for account in found} == {("sam", "large")}
    bands = server.get("/v1/accounts", params={"band": "high"}).json()["accounts"]
    assert {account["band"] for account in bands} <= {"high"}


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=1001",
        "limit=zq",
        "sort=zq",
        "band=zq",
        "target=ZQ",
        "zq=1",
        "band=high&band=low",
        "owner=",
    ],
)
def test_a_bad_query_is_422(server: Running, query: str) -> None:
    answer = server.get(f"/v1/accounts?{query}")
    problem_of(answer, 422)
    assert "zq" not in answer.text.lower()


def test_a_cursor_belongs_to_its_filters(server: Running) -> None:
    cursor = server.get("/v1/accounts?limit=1").json()["next_cursor"]
    problem_of(server.get(f"/v1/accounts?limit=1&owner=sam&cursor={cursor}"), 422)


def test_models_says_who_answers(server: Running) -> None:
    (model,) = ModelList.model_validate_json(server.get("/v1/models").content).models
    assert (model.name, model.target) == ("bellwether-churn", "churn")
    assert model.verdict == ["Made for tests."]


def test_health_metrics_and_documents(server: Running) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/schema.json", "/healthz"):
        assert server.get(path).status_code == 200, path
    assert 'bellwether_requests_total{method="GET",route="/docs",status="200"}' in server.get("/metrics").text


def test_a_promotion_reaches_a_running_service(server: Running) -> None:
    from training.registry import promote

    def version() -> str:
        return str(server.get("/v1/models").json()["models"][0]["version"])

    promote(server.place.settings, "churn", version="2")
    wait_for(lambda: version() == "2", None, server.place.settings.home.parent / "log.txt", 60)
    promote(server.place.settings, "churn", version="1")
    wait_for(lambda: version() == "1", None, server.place.settings.home.parent / "log.txt", 60)


def test_without_a_champion_it_lives_and_is_not_ready(bare: Running) -> None:
    key = {"authorization": f"Bearer {KEY}"}
    assert bare.get("/livez").status_code == 200
    assert bare.get("/readyz").status_code == 503
    answer = bare.score({"account_ids": ["acct_001"]}, headers={**JSON, **key})
    assert "No target has a champion" in problem_of(answer, 503).detail
    assert answer.headers["retry-after"] == "5"
    assert bare.get("/v1/models", headers=key).json()["models"] == []
    problem_of(bare.get("/v1/accounts", headers=key), 404)


def test_keys_are_asked_for_everywhere_but_at_health(bare: Running) -> None:
    for path in ("/v1/models", "/v1/accounts", "/metrics", "/docs", "/openapi.json", "/schema.json"):
        problem_of(bare.get(path), 401)
        problem_of(bare.get(path, headers={"authorization": "Bearer other"}), 403)
    problem_of(bare.score({"account_ids": ["a"]}, "/score"), 401)
