"""The routes without a server: what a cursor may hold, and how old a list may be."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.home.home import Home
from features.settings.load import load_settings
from features.storage.state_file import remember
from features.windows import DAY
from serving.http_api.meters import Meters
from serving.http_api.middleware import Gatekeeper
from serving.http_api.problems import HttpProblemError
from serving.http_api.routes import make_api, score_body
from serving.http_api.schemas import AccountList
from serving.http_api.work_queue import WorkQueue
from serving.ledger.ledger import open_ledger
from tests.serving.http_api.test_middleware import Client, is_problem
from tests.serving.ledger.test_ledger import AS_OF, FIVE, account, run


@pytest.fixture
def listing(tmp_path: Path) -> Any:
    """Asks for ``/v1/accounts`` of a ledger with one run, some days after its as-of."""
    settings = load_settings(home=tmp_path)
    ledger, work_queue = open_ledger(Home(settings)), WorkQueue()
    ledger.append(run(*FIVE))

    def ask(query: str = "", *, days: int = 1, path: str = "/v1/accounts") -> Any:
        unused: Any = None
        app = make_api(
            Home(settings),
            answerer=unused,
            champions=unused,
            ledger=ledger,
            work_queue=work_queue,
            meters=Meters(),
            readiness=unused,
            clock=lambda: AS_OF + days * DAY,
        )
        return Client(Gatekeeper(app)).get(f"{path}{query}")

    yield ask
    work_queue.close()
    ledger.close()


def test_scores_of_a_late_nightly_run_are_stale_in_the_list(listing: Any) -> None:
    fresh, late = (AccountList.model_validate_json(listing(days=days).content) for days in (1, 3))
    assert (fresh.data_age_hours, late.data_age_hours) == (24.0, 72.0)
    assert {(one.status, one.detail) for one in fresh.accounts} == {("scored", None)}
    assert {one.status for one in late.accounts} == {"stale"}
    assert "old_features: the features are 72 hours old" in str(late.accounts[0].detail)


def test_after_a_night_that_found_the_source_late_old_scores_say_so_and_a_meter_too(
    listing: Any, tmp_path: Path
) -> None:
    home = Home(load_settings(home=tmp_path))
    refused = {"state": "source_late", "as_of": (AS_OF + 3 * DAY).isoformat()}
    remember(home.nightly_state, refused)
    late = AccountList.model_validate_json(listing(days=3).content)
    assert {one.status for one in late.accounts} == {"stale"}
    assert "source_late: the night of 2026-07-02 found the call log to end too early" in str(late.accounts[0].detail)
    assert b"bellwether_source_late 1.0" in listing(days=3, path="/metrics").content
    remember(home.nightly_state, {**refused, "state": "done"})
    assert "old_features" in listing(days=3).text
    assert b"bellwether_source_late 0.0" in listing(days=3, path="/metrics").content


def test_scores_of_a_time_that_has_not_come_are_stale(listing: Any) -> None:
    ahead = AccountList.model_validate_json(listing(days=-300).content)
    assert {one.status for one in ahead.accounts} == {"stale"}
    assert "clock_ahead: the features are of 2026-06-29, which has not come" in str(ahead.accounts[0].detail)


FILTERS = ["churn", None, None, None, "mrr_at_risk"]


@pytest.mark.parametrize(
    "content",
    [
        ["a", FILTERS, 10**400, "a"],
        ["a", FILTERS, float("inf"), "a"],
        ["a", FILTERS, float("nan"), "a"],
        ["\ud800", FILTERS, 1.0, "a"],
        ["a", FILTERS, 1.0, "\ud800"],
        ["a", FILTERS, 1.0, "no account id"],
        [1, FILTERS, 1.0, "a"],
        [1, 2],
        17,
    ],
    ids=repr,
)
def test_a_cursor_we_did_not_give_is_400(listing: Any, content: object) -> None:
    cursor = base64.urlsafe_b64encode(json.dumps(content).encode()).decode()
    assert is_problem(listing(f"?cursor={cursor}"), 400)


@pytest.mark.parametrize("cursor", ["zq", "%C3%A9%C3%A9%C3%A9%C3%A9", "W1tb"])
def test_a_cursor_that_is_no_json_is_400(listing: Any, cursor: str) -> None:
    assert is_problem(listing(f"?cursor={cursor}"), 400)


@pytest.mark.parametrize("body", [b'{"account_ids": ["a"], "account_ids": ["b"]}', b"{", b"\xff", b"[" * 100_000])
def test_a_body_that_is_no_json_or_names_a_key_twice_is_400(body: bytes) -> None:
    unused: Any = None
    with pytest.raises(HttpProblemError, match="not JSON, or names a key twice") as refused:
        score_body(unused, body, "id", AS_OF)
    assert refused.value.status == 400


HOSTILE = {
    "html": "<script>alert(1)</script>",
    "quote": '"><img src=x onerror=alert(1)>',
    "rtl": "\u202egnp.exe",
    "emoji": "🦆 \u200d\ufe0f Zoë's",
    "lines": "first\r\nset-cookie: a=b\n\ttab",
    "formula": "=1+1",
    "nul": "a\u0000b",
    "sql": "'; DROP TABLE scores; --",
    "long": "x" * 10_000,
}


def test_hostile_names_come_back_as_they_are_and_stay_out_of_the_page(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path)
    ledger, work_queue = open_ledger(Home(settings)), WorkQueue()
    rows = [replace(account(key, 0.9, 10.0), name=name, owner=name[:200]) for key, name in HOSTILE.items()]
    ledger.append(run(*rows))
    unused: Any = None
    app = make_api(
        Home(settings),
        answerer=unused,
        champions=unused,
        ledger=ledger,
        work_queue=work_queue,
        meters=Meters(),
        readiness=unused,
        clock=lambda: AS_OF + DAY,
    )
    client = Client(Gatekeeper(app))
    answer = client.get("/v1/accounts")
    assert {one.account_id: one.name for one in AccountList.model_validate_json(answer.content).accounts} == HOSTILE
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "set-cookie" not in answer.headers
    for key, name in HOSTILE.items():
        (found,) = client.get("/v1/accounts", params={"owner": name[:200]}).json()["accounts"]
        assert found["account_id"] == key
    page = client.get("/docs")
    assert not [name for name in HOSTILE.values() if name in page.text]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    work_queue.close()
    ledger.close()
