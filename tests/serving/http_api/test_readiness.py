"""``/readyz`` names what is away, and a service that runs goes on with the stores that take the place of its own."""

from __future__ import annotations

import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from features.exceptions import DependencyError
from features.feature_store.sqlite_files import copy_database
from features.home.home import Home
from features.settings.load import load_settings
from serving.http_api.meters import Meters
from serving.http_api.middleware import Gatekeeper
from serving.http_api.readiness import Readiness
from serving.http_api.routes import make_api
from tests.serving.conftest import CUTOFF
from tests.serving.http_api.test_middleware import Client
from tests.serving.server import Running, problem_of

AWAY = SimpleNamespace(name="feast/online.db", fault="is missing")
LOST = SimpleNamespace(name="ledger.db", fault="is damaged: file is not a database")


def asked(
    tmp_path: Path, *, store: list[Any], ledger: Any = None, ping: Exception | None = None, models: int = 1
) -> Any:
    """The answer of ``/readyz`` over stores with these faults."""

    def pinged() -> None:
        if ping is not None:
            raise ping

    readiness: Any = Readiness(
        SimpleNamespace(ping=pinged, faults=lambda: store),  # type: ignore[arg-type]
        SimpleNamespace(fault=lambda: None, scorers=dict.fromkeys(range(models))),  # type: ignore[arg-type]
        SimpleNamespace(fault=lambda: ledger),  # type: ignore[arg-type]
    )
    unused: Any = None
    api = make_api(
        Home(load_settings(home=tmp_path)),
        answerer=unused,
        champions=unused,
        ledger=unused,
        work_queue=unused,
        meters=Meters(),
        readiness=readiness,
        clock=unused,
    )
    return Client(Gatekeeper(api)).get("/readyz")


def test_where_nothing_is_away_the_answer_is_empty(tmp_path: Path) -> None:
    answer = asked(tmp_path, store=[])
    assert (answer.status_code, answer.content) == (200, b"")


def test_every_store_that_is_away_is_named(tmp_path: Path) -> None:
    problem = problem_of(asked(tmp_path, store=[AWAY], ledger=LOST, models=0), 503)
    assert problem.detail == (
        "Not ready: feast/online.db is missing; ledger.db is damaged: file is not a database; "
        "champion is missing or does not verify."
    )
    assert [(error.where, error.what) for error in problem.errors] == [
        ("/feast/online.db", "Is missing."),
        ("/ledger.db", "Is damaged: file is not a database."),
        ("/champion", "Is missing or does not verify."),
    ]


def test_a_store_that_does_not_answer_is_told_without_its_folder(tmp_path: Path) -> None:
    problem = problem_of(asked(tmp_path, store=[], ping=DependencyError("/secret/place cannot be used")), 503)
    assert [error.where for error in problem.errors] == ["/feast"]
    assert "secret" not in problem.model_dump_json()


def test_the_path_behind_the_gatekeeper_is_none_outside(tmp_path: Path) -> None:
    unused: Any = None
    assert Client(Gatekeeper(unused)).get("/-/readyz").status_code == 404


# ---- the running service ----


@contextmanager
def asked_all_the_time(server: Running) -> Iterator[list[int]]:
    """Ask for a score and a list again and again; the status of every answer."""
    statuses: list[int] = []
    enough = threading.Event()

    def ask() -> None:
        while not enough.wait(0.05):
            statuses.append(server.score({"account_ids": ["acct_001"]}).status_code)
            statuses.append(server.get("/v1/accounts", params={"limit": 1}).status_code)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        enough.set()
        thread.join()


@contextmanager
def replaced(database: Path, change: str, aside: Path) -> Iterator[None]:
    """A changed copy renamed to the place of a database; afterwards what was there before, by rename again."""
    for copy in (aside / "changed.db", aside / "before.db"):
        copy_database(database, copy)
    with closing(sqlite3.connect(aside / "changed.db")) as connection, connection:
        connection.execute(change)
    (aside / "changed.db").replace(database)
    yield
    (aside / "before.db").replace(database)


@pytest.mark.slow
def test_stores_replaced_under_the_service_are_opened_without_a_failed_request(server: Running, tmp_path: Path) -> None:
    from features.feature_store.keys import entity_keys
    from features.feature_store.store import open_store

    home, within = server.place.home, 10.0
    other = server.place.copy_to(tmp_path / "home").home
    shutil.rmtree(other.feast)
    rebuilt = open_store(other)
    rebuilt.apply()
    rebuilt.materialize(CUTOFF)

    def owned() -> list[Any]:
        return list(server.get("/v1/accounts", params={"owner": "new"}).json()["accounts"])

    def note() -> str | None:
        (model,) = server.get("/v1/models").json()["models"]
        return model["note"]

    (key,) = entity_keys(["acct_000"])
    with asked_all_the_time(server) as statuses:
        with replaced(home.feast_online, f"DELETE FROM bellwether_usage WHERE entity_key = x'{key.hex()}'", tmp_path):
            server.wait_for(lambda: mixture(server) == "stale", within)
        server.wait_for(lambda: mixture(server) == "scored", within)
        with replaced(home.ledger, "UPDATE scores SET owner = 'new'", tmp_path):
            server.wait_for(lambda: bool(owned()), within)
        server.wait_for(lambda: not owned(), within)
        with replaced(home.mlflow_database, "DELETE FROM registered_model_aliases", tmp_path):
            server.wait_for(lambda: note() is not None, within)
        server.wait_for(lambda: note() is None, within)
        home.feast.rename(tmp_path / "feast.before")
        away = problem_of(server.get("/readyz"), 503)
        other.feast.rename(home.feast)
        server.wait_for(lambda: server.get("/readyz").status_code == 200, within)
        assert mixture(server) == "scored"
    assert {error.where for error in away.errors} == {"/feast/registry.db", "/feast/online.db"}
    assert set(statuses) == {200}
    assert len(statuses) > 20


def mixture(server: Running) -> str:
    """The status of the account whose rows of one view a replaced store lacks."""
    (result,) = server.score({"account_ids": ["acct_000"]}).json()["results"]
    return str(result["scores"]["churn"]["status"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ledger.db", "mlflow/mlflow.db", "feast/registry.db"])
def test_a_store_taken_away_under_the_service_is_named_until_it_is_back(
    server: Running, tmp_path: Path, name: str
) -> None:
    (server.place.home.root / name).rename(tmp_path / "elsewhere")
    away = problem_of(server.get("/readyz"), 503)
    statuses = {server.score({"account_ids": ["acct_001"]}).status_code, server.get("/v1/accounts").status_code}
    (tmp_path / "elsewhere").rename(server.place.home.root / name)
    assert [(error.where, error.what) for error in away.errors] == [(f"/{name}", "Is missing.")]
    assert statuses == {200}
    assert server.get("/readyz").status_code == 200
