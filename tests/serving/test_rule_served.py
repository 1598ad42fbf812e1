"""A rule as champion, scored, explained and served like a model: every place that names a model says which rule."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.feature_store.store import open_store
from features.home.home import Home
from serving.champion_checks import CHAMPION_CHECKS
from serving.http_api.answers import Answerer
from serving.http_api.live_champions import LiveChampions
from serving.http_api.meters import Meters
from serving.http_api.middleware import Gatekeeper
from serving.http_api.routes import make_api
from serving.http_api.schemas import AccountList, ModelList, ScoreResponse
from serving.http_api.work_queue import WorkQueue
from serving.ledger.ledger import open_ledger
from serving.routine.batch import score_account, score_batch
from serving.routine.explained import explained_json
from serving.routine.nightly_report import target_night
from serving.routine.nightly_text import _scored, _target_json
from serving.routine.terminal import explanation
from serving.scoring.score import load_scorer, score_rows
from tests.serving.conftest import CUTOFF, NOW, USUAL, Place, as_rule, linked, make_bundle, random_rows, register_bundle
from tests.serving.http_api.test_middleware import JSON, Client
from tests.shared import made_once
from training.models.bundle import BundleError, Verdict
from training.registry.champions import champion
from training.registry.promotion import promote
from training.watching.quality import _shifted
from training.watching.registry_checks import REGISTRY_CHECKS

RULE = "days since the last call"


@pytest.fixture(scope="module")
def ruled(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """The home with the rule as champion, version 4, and one score run by it, after one by a model."""

    def make(root: Any) -> None:
        home = place.copy_to(root / "home").home
        unproven = replace(make_bundle(seed=3), verdict=Verdict("not_shown", "Little is shown.", champion="1"))
        register_bundle(home.settings, unproven, root, rule=as_rule(unproven))
        promote(home, "churn", version="3", unproven=True)
        score_batch(home, now=NOW)
        promote(home, "churn", rule=True)
        score_batch(home, now=NOW)

    root = made_once(tmp_path_factory, "ruled", make)
    return replace(place, settings=place.settings.model_copy(update={"home": root / "home"}))


@pytest.fixture
def asked(ruled: Place, tmp_path: Any) -> Any:
    """Asks the service, without a server."""
    linked(ruled.settings.home, tmp_path / "home")
    home = Home(ruled.settings.model_copy(update={"home": tmp_path / "home"}))
    champions, work_queue = LiveChampions(home), WorkQueue()
    champions.refresh()
    with closing(open_ledger(home)) as ledger:
        app = make_api(
            home,
            answerer=Answerer(home, open_store(home), champions),
            champions=champions,
            ledger=ledger,
            work_queue=work_queue,
            meters=Meters(),
            readiness=None,  # type: ignore[arg-type]
            clock=lambda: NOW,
        )
        yield Client(Gatekeeper(app))
    work_queue.close()


def test_its_one_family_carries_the_whole_margin(champion_of: Any) -> None:
    columns, scorer = random_rows(200, seed=4), load_scorer(champion_of(as_rule(make_bundle())))
    scores = score_rows(scorer, columns)
    assert (scorer.kind, scorer.rule, scores.features) == ("rule", RULE, ("days_since_last_call",))
    assert scores.base_margin + scores.contributions.sum(axis=1) == pytest.approx(scores.margin, abs=1e-9)
    assert np.ptp(scores.margin) > 1


def test_the_batch_scores_explains_and_keeps_it(ruled: Place) -> None:
    run = score_batch(ruled.home, now=NOW).targets[0]
    assert (run.version, run.rule, run.written) == ("4", RULE, False)
    scored = [account for account in run.accounts if account.probability is not None]
    assert len(scored) == len(USUAL)
    assert {reason.code for account in scored for reason in account.reasons} == {"silence"}
    with closing(open_ledger(ruled.home)) as ledger:
        head = ledger.latest("churn")
    assert head is not None
    assert (head.version, head.rule) == ("4", RULE)


def test_the_terminal_says_rule_where_it_would_name_a_model(ruled: Place) -> None:
    run = score_account(ruled.home, USUAL[0], now=NOW)
    lines = explanation(run.targets[0], USUAL[0])
    assert "(Rule: days since the last call; bellwether-churn version 4)" in lines[-1]
    answer = explained_json(run, (), now=NOW)["scores"]["churn"]["model"]
    who = {"name": "bellwether-churn", "version": "4", "kind": "rule", "rule": RULE}
    assert answer == {**who, "verdict": "not_shown", "unproven": True}
    with closing(open_ledger(ruled.home)) as ledger:
        night = target_night(run.targets[0], ledger)
    assert next(_scored(night)).startswith("churn, version 4 (Rule: days since the last call): ")
    assert _target_json(night)["rule"] == RULE


def test_every_answer_says_that_it_is_a_rule_and_which(asked: Client) -> None:
    body = {"account_ids": [USUAL[0]]}
    answer = ScoreResponse.model_validate_json(asked.post("/v1/score", json=body, headers=JSON).content)
    score = answer.results[0].scores["churn"]
    assert (score.model.kind, score.model.rule, score.model.version) == ("rule", RULE, "4")
    assert score.model.unproven is True
    assert score.probability is not None
    assert {share.name for reason in score.reasons for share in reason.features} == {"days_since_last_call"}
    (model,) = ModelList.model_validate_json(asked.get("/v1/models").content).models
    assert (model.kind, model.rule, model.features) == ("rule", RULE, ["days_since_last_call"])
    assert model.verdict_reasons == ['It is the rule "days since the last call".']
    page = AccountList.model_validate_json(asked.get("/v1/accounts").content)
    assert (page.model.kind, page.model.rule, page.model.version) == ("rule", RULE, "4")
    assert len(page.accounts) == len(USUAL)


def test_doctor_and_drift_take_it_for_a_champion_like_any(ruled: Place) -> None:
    checks = (*REGISTRY_CHECKS, *CHAMPION_CHECKS)
    found = [finding for check in checks for finding in check.look(ruled.home, NOW)]
    assert [finding.what for finding in found if not finding.is_remark] == []
    assert _shifted(ruled.home, "churn", "4", CUTOFF).version == "4"


def test_a_model_says_that_it_is_one(place: Place) -> None:
    scorer = load_scorer(champion(place.home, "churn"))
    assert (scorer.kind, scorer.rule) == ("model", None)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"service": "churn_v99"}, "the feature service churn_v99, which is no more"),
        ({"features": ("moon_phase",)}, "moon_phase, gone from the feature service churn_v2"),
    ],
)
def test_what_reads_something_that_is_gone_is_refused_by_name(
    champion_of: Any, change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(BundleError, match=f"bellwether-churn version 1 reads {reason}.* Train and promote"):
        load_scorer(champion_of(replace(as_rule(make_bundle()), **change)))
