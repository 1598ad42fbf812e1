"""Ten promotions under a running service of two workers, while clients keep asking."""

from __future__ import annotations

import itertools
import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from features.home.home import Home
from serving.http_api.live_champions import Served
from tests.serving.conftest import NOW, USUAL, Place, make_bundle
from tests.serving.server import Running
from training.models.bundle import Bundle, write

pytestmark = [pytest.mark.slow, pytest.mark.delivery]

PROMOTIONS, CLIENTS, REQUESTS_PER_SECOND, SECONDS_TO_REACH_EVERYBODY = 10, 4, 50, 10.0
ACCOUNTS = USUAL[:2]
BODY = {"account_ids": list(ACCOUNTS), "targets": ["churn"], "reasons": 3}


@dataclass
class Clients:
    """Ask at a steady pace until told to stop; keep each answer's status and scores."""

    server: Running
    stop: threading.Event = field(default_factory=threading.Event)
    answers: list[tuple[int, Any]] = field(default_factory=list)

    def ask(self, offset: int) -> None:
        began = time.monotonic()
        with httpx.Client(base_url=self.server.address, timeout=30) as opened:
            for number in itertools.count(offset, CLIENTS):
                if self.stop.wait(max(began + number / REQUESTS_PER_SECOND - time.monotonic(), 0)):
                    return
                # Every other request on a connection of its own, which any worker may take.
                answer = opened.post("/v1/score", json=BODY) if number % 2 else self.server.score(BODY)
                scores = [one["scores"] for one in answer.json()["results"]] if answer.is_success else answer.text
                self.answers.append((answer.status_code, scores))


def known(place: Place, version: str, bundle: Bundle, folder: Path, sha256: str) -> list[dict[str, Any]]:
    """What a version has to answer, made here."""
    assert write(bundle, folder) == sha256
    from features.feature_store.store import open_store
    from serving.http_api.answers import Answerer
    from serving.http_api.schemas import ScoreRequest
    from serving.scoring.score import load_scorer
    from training.registry.champions import Champion

    model: Any = Served({"churn": load_scorer(Champion("bellwether-churn", version, folder, sha256))})
    results = Answerer(Home(place.settings), open_store(place.home), model).score(ScoreRequest(**BODY), now=NOW)
    return [result["scores"] for result in json.loads(json.dumps(results))]


def served_by(server: Running) -> dict[str, set[str]]:
    """Worker (process id) to the versions it serves: one each."""
    found: dict[str, set[str]] = {}
    pattern = r'bellwether_served_model\{pid="(\d+)",target="churn",version="(\d+)"\} 1\.0'
    for pid, version in re.findall(pattern, server.get("/metrics").text):
        found.setdefault(pid, set()).add(version)
    return found


def test_ten_promotions_reach_both_workers_and_no_answer_fails_or_is_mixed(
    two_workers: Running, tmp_path: Path
) -> None:
    from training.registry.promotion import promote

    place = two_workers.place
    right = {
        "1": known(place, "1", make_bundle(), tmp_path / "1", place.champion_sha256),
        "2": known(place, "2", make_bundle(seed=2), tmp_path / "2", place.challenger_sha256),
    }
    assert right["1"][0]["churn"]["probability"] != right["2"][0]["churn"]["probability"]
    clients = Clients(two_workers)
    late = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        asking = [pool.submit(clients.ask, offset) for offset in range(CLIENTS)]
        try:
            for number in range(PROMOTIONS):
                version = "21"[number % 2]
                promote(place.home, "churn", version=version)
                promoted = time.monotonic()
                two_workers.wait_for(
                    lambda version=version: list(served_by(two_workers).values()) == [{version}] * 2, 60
                )
                took = time.monotonic() - promoted
                if took > SECONDS_TO_REACH_EVERYBODY:
                    late.append((version, took))
        finally:
            clients.stop.set()
        for one in asking:
            one.result()
    assert {status for status, _ in clients.answers} == {200}
    mixed = [scores for _, scores in clients.answers if scores != right[scores[0]["churn"]["model"]["version"]]]
    assert not mixed
    assert {scores[0]["churn"]["model"]["version"] for _, scores in clients.answers} == {"1", "2"}
    assert len(clients.answers) > 10 * PROMOTIONS
    assert not late
