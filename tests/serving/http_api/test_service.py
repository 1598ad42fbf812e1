"""The contract of the running service, BentoML and all, over HTTP on a loopback port."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from serving.http_api.examples import ACCOUNT_LIST, SCORE_RESPONSE
from serving.http_api.schemas import AccountList, ModelList, ScoreResponse
from tests.serving.conftest import BARE_KEY, USUAL
from tests.serving.server import JSON, Running, problem_of

pytestmark = pytest.mark.slow


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


@pytest.mark.parametrize(
    "path", ["/", "/docs.json", "/static_content/swagger-ui.css", "/v2/score", "/metrics/", "/score/submit"]
)
def test_bentomls_other_pages_do_not_exist(server: Running, path: str) -> None:
    problem_of(server.get(path), 404)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/score"), ("PUT", "/score"), ("POST", "/v1/accounts"), ("POST", "/livez")]
)
def test_other_methods_are_405(server: Running, method: str, path: str) -> None:
    problem_of(server.request(method, path), 405)


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
        "zq.=1",
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
    assert model.bands == {"high": 0.8, "medium": 0.4}
    assert model.band_rates["high"].in_words == "about 1 in 6 of these left, [12, 21] in 100"
    assert (model.verdict, model.unproven, model.verdict_reasons) == ("passes", False, ["Made for tests."])


def test_health_metrics_and_documents(server: Running) -> None:
    for path in ("/livez", "/readyz", "/metrics", "/docs", "/openapi.json", "/schema.json", "/healthz"):
        assert server.get(path).status_code == 200, path
    assert 'bellwether_requests_total{method="GET",route="/docs",status="200"}' in server.get("/metrics").text


def test_without_a_champion_it_lives_and_is_not_ready(bare: Running) -> None:
    key = {"authorization": f"Bearer {BARE_KEY}"}
    assert bare.get("/livez").status_code == 200
    assert bare.get("/readyz").status_code == 503
    answer = bare.score({"account_ids": ["acct_001"]}, headers={**JSON, **key})
    assert "No target has a champion" in problem_of(answer, 503).detail
    assert answer.headers["retry-after"] == "5"
    assert bare.get("/v1/models", headers=key).json()["models"] == []
    problem_of(bare.get("/v1/accounts", headers=key), 404)


def failed_keys(server: Running) -> float:
    page = server.get("/metrics", headers={"authorization": f"Bearer {BARE_KEY}"}).text
    return sum(float(line.split()[1]) for line in page.splitlines() if line.startswith("bellwether_failed_keys_total"))


def test_keys_are_asked_for_everywhere_but_at_health(bare: Running) -> None:
    before = failed_keys(bare)
    for path in ("/v1/models", "/v1/accounts", "/metrics", "/docs", "/openapi.json", "/schema.json"):
        problem_of(bare.get(path), 401)
        problem_of(bare.get(path, headers={"authorization": "Bearer other"}), 401)
    problem_of(bare.score({"account_ids": ["a"]}, "/score"), 401)
    assert failed_keys(bare) == before + 6


def processes_of(server: Running) -> list[psutil.Process]:
    supervisor = psutil.Process(server.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def test_no_other_user_reaches_a_file_or_socket_of_the_service(server: Running) -> None:
    """Whatever it has open in its home or a passing folder is its user's alone, by itself or by its folder."""
    assert server.get("/v1/accounts").status_code == 200
    processes = processes_of(server)
    files = {Path(file.path) for process in processes for file in process.open_files()}
    sockets = {Path(one.laddr) for process in processes for one in process.net_connections(kind="unix") if one.laddr}
    home = server.place.settings.home
    assert {"ledger.db", "online.db"} <= {path.name for path in files if path.is_relative_to(home)}
    passing = {path for path in files | sockets if path.parent.parent == Path(tempfile.gettempdir())}
    assert {"control", "events"} <= {path.name for path in passing}
    assert [path for path in files if path.is_relative_to(home) and stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in passing} == {0o700}


def test_nothing_but_the_service_listens_and_its_control_is_its_owners(server: Running) -> None:
    supervisor = psutil.Process(server.process.pid)
    opened = {
        connection.laddr.port
        for process in processes_of(server)
        for connection in process.net_connections(kind="inet")
        if connection.status in {psutil.CONN_LISTEN, psutil.CONN_NONE}
    }
    assert opened == {server.port}
    sockets = [Path(one.laddr) for one in supervisor.net_connections(kind="unix") if "bellwether-control-" in one.laddr]
    assert {path.name for path in sockets} == {"control", "events"}
    assert {stat.S_IMODE(path.parent.stat().st_mode) for path in sockets} == {0o700}


def test_a_rebound_name_reads_nothing(server: Running) -> None:
    problem_of(server.get("/v1/accounts", headers={"host": f"evil.example:{server.port}"}), 421)
    assert server.get("/v1/accounts", headers={"host": f"localhost:{server.port}"}).status_code == 200


def shape(value: Any) -> Any:
    """Names and kinds of a JSON value; of a list its first entry."""
    if isinstance(value, dict):
        return {name: shape(entry) for name, entry in value.items()}
    if isinstance(value, list):
        return [shape(entry) for entry in value[:1]]
    return "number" if isinstance(value, int | float) and not isinstance(value, bool) else type(value).__name__


def test_the_example_of_the_document_is_as_an_answer_is(server: Running) -> None:
    answer = server.score({"account_ids": ["acct_001"], "targets": ["churn"], "reasons": 1}).json()
    assert shape(answer) == shape(SCORE_RESPONSE)


def test_what_has_no_value_is_null_in_both_routes(server: Running) -> None:
    answer = server.score({"account_ids": ["acct_001", "nobody-knows"], "targets": ["churn"]}).json()
    scored, unknown = (result["scores"]["churn"] for result in answer["results"])
    assert scored.keys() == unknown.keys()
    listed = server.get("/v1/accounts").json()["accounts"]
    assert {frozenset(account) for account in listed} == {frozenset(ACCOUNT_LIST["accounts"][0])}
    for name in scored.keys() & listed[0].keys():
        assert (scored[name] is None) == (listed[0][name] is None) or name == "status", name


def test_a_parameter_that_is_none_is_named_where_its_name_is_a_plain_word(server: Running) -> None:
    problem = problem_of(server.get("/v1/accounts", params={"bnad": "high", "limit": "0"}), 422)
    assert {item.where for item in problem.errors} == {"/bnad", "/limit"}
    problem = problem_of(server.get("/v1/accounts", params={"<script>": "x"}), 422)
    assert [item.where for item in problem.errors] == ["/"]


def test_a_client_that_names_itself_another_each_time_waits_all_the_same(bare: Running) -> None:
    began = time.monotonic()
    for number in range(9):  # uvicorn believes this header of a client on this machine
        headers = {"authorization": "Bearer wrong", "x-forwarded-for": f"10.0.0.{number}"}
        problem_of(bare.get("/v1/models", headers=headers), 401)
    assert time.monotonic() - began > 0.1 + 0.2 + 0.4 + 0.8
