"""The service answers 200 while the online store is filled, while that is killed, and while it is done again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from features.home.home import Home
from tests.killing import finished, killed
from tests.serving.conftest import Place
from tests.serving.routine.conftest import END, NOW, YESTERDAY, Household
from tests.serving.server import Running, running

pytestmark = pytest.mark.slow

FILLING = "feast.infra.online_stores.sqlite:SqliteOnlineStore.online_write_batch"


@contextmanager
def asked_all_the_time(server: Running, accounts: list[str]) -> Iterator[list[int]]:
    """Ask for scores again and again; the status of every answer."""
    statuses: list[int] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.wait(0.1):
            statuses.append(server.score({"account_ids": accounts}).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        enough.set()
        thread.join()


def churn(server: Running, accounts: list[str]) -> list[dict[str, Any]]:
    results = server.score({"account_ids": accounts}).json()["results"]
    return [result["scores"]["churn"] | {"as_of": result["features_as_of"]} for result in results]


def test_answers_go_on_while_a_night_runs_is_killed_and_runs_again(own: Household, tmp_path: Path) -> None:
    from serving.scoring.accounts import built_accounts

    accounts = built_accounts(Home(own.settings), YESTERDAY)[:50]
    line = ["--home", str(own.settings.home), "nightly"]
    with running(Place(own.settings, "", ""), tmp_path / "log.txt") as server:
        server.wait_for(lambda: server.get("/readyz").status_code == 200)
        whole = churn(server, accounts)
        own.deliver(*own.newest_days)
        with asked_all_the_time(server, accounts) as statuses:
            killed(line, at=FILLING, call=2, after=True, now=NOW)  # two views are new, the others are not
            during = len(statuses)
            mixed = churn(server, accounts)
            again = finished(line, now=NOW)
        assert again.returncode == 0, again.stderr
        assert set(statuses) == {200}
        assert 0 < during < len(statuses)
        scored = [place for place, one in enumerate(whole) if one["status"] == "scored"]
        assert scored
        for place in scored:
            assert mixed[place]["status"] == "stale"
            assert mixed[place]["detail"].startswith("mixed_cutoffs")
            assert mixed[place]["as_of"] == YESTERDAY.isoformat()
        server.wait_for(lambda: {one["as_of"] for one in churn(server, accounts)} == {END.isoformat()})
