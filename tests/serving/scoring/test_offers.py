"""Two targets of the same accounts, in the batch, the ledger and the service: what churn risk does to an upgrade."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from features.definitions.catalog import SERVICES
from features.home.home import Home
from features.settings.fields import Settings
from features.storage.store import ManifestStore
from features.windows import DAY
from serving.ledger.runs import ScoredAccount
from serving.routine.terminal import explanation, riskiest
from serving.scoring.assess import Assessed
from serving.scoring.freshness import Status
from serving.scoring.offers import HELD_BACK, with_offers
from serving.scoring.reasons import reasons_for
from serving.scoring.score import Scores
from tests.serving.conftest import CUTOFF, EVERYBODY, NOW, Place, make_bundle, register_bundle
from training.models.bundle import Bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def both(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with a champion of churn and one of upsell; every account but the odd ones may upgrade to team."""
    from training.registry.promotion import promote

    root = tmp_path_factory.mktemp("both")
    settings = place.copy_to(root / "home").settings.model_copy(update={"plan_ranks": ("pro", "team")})
    upsell = replace(make_bundle(seed=3), target="upsell", service="upsell_v2", title="upgrade")
    _, version = register_bundle(settings, upsell, root)
    promote(Home(settings), "upsell", version=version)
    return settings


@pytest.fixture(scope="module")
def scored(both: Settings) -> dict[str, list[ScoredAccount]]:
    """Every account's answers, by target."""
    return by_target(both)


def by_target(settings: Settings) -> dict[str, list[ScoredAccount]]:
    from serving.routine.batch import score_batch

    return {run.target: list(run.accounts) for run in score_batch(Home(settings), now=NOW).targets}


def test_an_upgrade_is_held_back_while_churn_risk_is_high(scored: dict[str, list[ScoredAccount]]) -> None:
    pairs = [(churn, upsell) for churn, upsell in zip(scored["churn"], scored["upsell"], strict=True) if upsell.band]
    assert {upsell.offer for _, upsell in pairs} == {True, False}
    for churn, upsell in pairs:
        assert churn.account_id == upsell.account_id
        assert churn.offer is None
        assert upsell.offer is (upsell.band == "high" and churn.band != "high")
        is_held_back = upsell.band == "high" and churn.band == "high"
        assert (upsell.detail or "").startswith("churn_risk_high:") is is_held_back
        assert upsell.status == Status.SCORED
        assert upsell.probability is not None


def assessed(*bands: str | None) -> Assessed:
    """Answers with these bands; None has no score."""
    has = [band for band in bands if band is not None]
    numbers = np.zeros(len(has))
    scores = Scores(numbers, numbers, numbers, np.array(has, dtype=str), (), np.zeros((len(has), 0)))
    place = np.cumsum([band is not None for band in bands]) - 1
    return Assessed(
        [f"a{number}" for number in range(len(bands))],
        [Status.SCORED] * len(bands),
        [None] * len(bands),
        np.where([band is None for band in bands], -1, place),
        scores,
        reasons_for((), {}, np.zeros((len(has), 0)), limit=0),
    )


@pytest.mark.parametrize(
    ("highest", "upsell", "churn", "offer"),
    [
        ("high", "high", "low", True),
        ("high", "high", "medium", True),
        ("high", "high", "high", False),
        ("high", "high", None, None),  # nobody knows the churn risk
        ("high", "medium", "low", False),
        ("high", "medium", None, False),
        ("high", "low", "high", False),
        ("high", None, "low", None),
        ("medium", "medium", "low", True),
        ("medium", "medium", "high", False),
        (None, "low", "low", False),  # scores differ too little for anybody to stand out
    ],
)
def test_an_upgrade_is_offered_in_the_highest_band_that_exists(
    highest: str | None, upsell: str | None, churn: str | None, offer: bool | None
) -> None:
    answered, offers = with_offers(assessed(upsell), assessed(churn), highest_band=highest)
    assert offers == [offer]
    assert answered.detail == ([HELD_BACK] if churn == "high" and upsell == highest else [None])


def test_without_a_churn_model_nobody_is_offered_an_upgrade() -> None:
    assert with_offers(assessed("high", "low", None), None, highest_band="high")[1] == [None, False, None]


def test_only_churn_puts_mrr_at_risk(scored: dict[str, list[ScoredAccount]]) -> None:
    assert all(account.mrr_at_risk is None for account in scored["upsell"])
    assert any(account.mrr_at_risk for account in scored["churn"])


def test_the_ledger_remembers_offers_and_lists_come_by_probability(both: Settings) -> None:
    from serving.ledger.ledger import open_ledger
    from serving.routine.batch import score_batch

    run = next(run for run in score_batch(Home(both), now=NOW).targets if run.target == "upsell")
    ledger = open_ledger(Home(both))
    rows = ledger.page(run.run_id, sort="probability", limit=100)
    ledger.close()
    assert {row.account_id: row.offer for row in rows} == {
        one.account_id: one.offer for one in run.accounts if one.band
    }
    listed = riskiest(run, limit=100)
    assert [row["offer"] for row in listed] == sorted((row["offer"] for row in listed), reverse=True)
    offered = [row["probability"] for row in listed if row["offer"]]
    assert offered == sorted(offered, reverse=True)


def test_one_account_explained_for_upsell_alone_still_knows_its_churn_risk(
    both: Settings, scored: dict[str, list[ScoredAccount]]
) -> None:
    from serving.routine.batch import score_account

    held_back = next(one.account_id for one in scored["upsell"] if HELD_BACK in (one.detail or ""))
    (run,) = score_account(Home(both), held_back, target="upsell", now=NOW).targets
    assert run.target == "upsell"
    text = "\n".join(explanation(run, held_back))
    assert "Mind: No upgrade is offered while the account is likely to leave" in text
    assert "at risk" not in text


@pytest.mark.parametrize("targets", [["upsell"], ["churn", "upsell"], None])
def test_the_service_says_the_same_whether_churn_is_asked_or_not(
    both: Settings, scored: dict[str, list[ScoredAccount]], targets: list[str] | None
) -> None:
    results = answers(both, targets=targets)
    expected = {one.account_id: (one.status, one.offer) for one in scored["upsell"]}
    assert {
        one["account_id"]: (one["scores"]["upsell"]["status"], one["scores"]["upsell"]["offer"]) for one in results
    } == expected
    assert {tuple(one["scores"]) for one in results} == {tuple(targets or ("churn", "upsell"))}


class FilledBetween:
    """The store of an answerer, filled with the next cutoff after its first read."""

    def __init__(self, answerer: Any) -> None:
        self.store, self.reads = answerer._store, 0
        answerer._store = self

    def online(self, account_ids: Sequence[str], *, service: str) -> Any:
        rows = self.store.online(account_ids, service=service)
        later = {view: days + self.reads for view, days in rows.cutoff_days.items()}
        self.reads += 1
        return replace(rows, cutoff_days=later)


@pytest.mark.parametrize("targets", [["upsell"], ["churn", "upsell"]])
def test_services_of_the_same_features_are_one_read(both: Settings, targets: list[str]) -> None:
    answerer = make_answerer(both)
    expected = ask(answerer, targets)
    store = FilledBetween(answerer)
    assert ask(answerer, targets) == expected
    assert store.reads == 1


def test_services_of_other_features_read_at_two_cutoffs_are_mixed(
    both: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SERVICES, "upsell_v2", tuple(reversed(SERVICES["upsell_v2"])))  # type: ignore[arg-type]
    answerer = make_answerer(both)
    whole = ask(answerer, ["churn", "upsell"])
    assert "mixed_cutoffs" not in str(whole)
    store = FilledBetween(answerer)
    mixed = ask(answerer, ["churn", "upsell"])
    assert store.reads == 2
    assert "scored" in {one["status"] for one in whole}
    for before, after in zip(whole, mixed, strict=True):
        if before["status"] == "scored":
            assert after["status"] == "stale"
            assert after["detail"].startswith("mixed_cutoffs:")
            assert after["probability"] is None
    store.reads = 0
    answer = answerer.score(request(["churn", "upsell"]), now=CUTOFF)
    assert {one["features_as_of"] for one in answer} == {CUTOFF.isoformat()}
    assert {one["scores"]["upsell"].get("offer") for one in answer} == {None}


def test_a_model_of_the_first_service_goes_on_answering_beside_one_of_the_newest(place: Place, tmp_path: Path) -> None:
    from training.registry.promotion import promote

    settings = place.copy_to(tmp_path / "home").settings.model_copy(update={"plan_ranks": ("pro", "team")})
    earlier = replace(make_bundle(seed=3, service="upsell_v1"), target="upsell", title="upgrade")
    _, version = register_bundle(settings, earlier, tmp_path)
    promote(Home(settings), "upsell", version=version)
    batch = {one.account_id: one.probability for one in by_target(settings)["upsell"] if one.status == Status.SCORED}
    online = {one["account_id"]: one["scores"]["upsell"] for one in answers(settings, targets=["churn", "upsell"])}
    scored = {name: found["probability"] for name, found in online.items() if found["status"] == "scored"}
    assert {found["model"]["version"] for found in online.values()} == {version}
    assert scored.keys() == batch.keys()
    assert list(scored.values()) == pytest.approx([batch[name] for name in scored], rel=1e-9)


def test_answers_fit_the_schema(both: Settings) -> None:
    from serving.http_api.schemas import ScoreResponse

    body = {"results": answers(both, targets=None), "request_id": "r"}
    ScoreResponse.model_validate_json(json.dumps(body))


def test_a_log_that_turns_out_to_end_early_is_a_new_run_and_a_stale_answer(both: Settings, tmp_path: Path) -> None:
    from serving.routine.batch import score_batch

    shutil.copytree(both.home, tmp_path / "home")
    settings = both.model_copy(update={"home": tmp_path / "home", "stale_after_hours": 36.0})
    answerer = make_answerer(settings)
    first = score_batch(Home(settings), now=NOW).targets
    complete(settings, days_before=5)
    second = score_batch(Home(settings), now=NOW).targets
    assert [run.written for run in second] == [True, True]
    assert not {run.run_id for run in first} & {run.run_id for run in second}
    assert [run.written for run in score_batch(Home(settings), now=NOW + DAY).targets] == [False, False]
    late = {one.status for one in second[0].accounts if one.probability is not None}
    assert late == {Status.STALE}
    online = ask(answerer, ["churn"])
    assert {(one["detail"] or "").split(":")[0] for one in online if one["status"] == "stale"} == {"source_late"}
    complete(settings, days_before=0)  # the missing days arrive
    assert {one["status"] for one in ask(answerer, ["churn"])} == {one["status"] for one in online} - {"stale"} | {
        "scored"
    }


def test_an_infinite_feature_costs_its_account_the_score_and_nobody_else(
    bundle: Bundle, rows: Callable[..., Any], champion_of: Any
) -> None:
    from serving.scoring.assess import FeatureRows, assess
    from serving.scoring.freshness import Freshness
    from serving.scoring.score import load_scorer

    columns = rows(3, seed=1)
    columns["days_since_last_call"] = np.ones(3)
    columns["mrr"] = np.array([10.0, np.inf, 10.0])
    found = assess(
        load_scorer(champion_of(bundle)),
        FeatureRows(("a", "b", "c"), columns, [CUTOFF] * 3, [None] * 3),
        freshness=Freshness(CUTOFF, 36.0, None),
        applies=["ok"] * 3,
        reasons=2,
    )
    assert found.status == [Status.SCORED, Status.INSUFFICIENT_DATA, Status.SCORED]
    assert (found.detail[1] or "").startswith("infinite_feature: infinite values make no score: mrr.")
    assert found.place.tolist() == [0, -1, 1]
    assert np.isfinite(found.scores.margin).all()


def make_answerer(settings: Settings) -> Any:
    from features.feature_store.store import open_store
    from serving.http_api.answers import Answerer
    from serving.http_api.live_champions import LiveChampions

    champions = LiveChampions(Home(settings))
    champions.refresh()
    return Answerer(Home(settings), open_store(Home(settings)), champions)


def answers(settings: Settings, *, targets: list[str] | None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = make_answerer(settings).score(request(targets), now=NOW)
    return found


def ask(answerer: Any, targets: list[str]) -> list[dict[str, Any]]:
    results = answerer.score(request(targets), now=CUTOFF)
    return [{"detail": None, **result["scores"][targets[0]]} for result in results]


def request(targets: list[str] | None) -> Any:
    from serving.http_api.schemas import ScoreRequest

    return ScoreRequest(account_ids=list(EVERYBODY), targets=targets)


def complete(settings: Settings, *, days_before: int) -> None:
    """As an ingest notes it: the call log is complete until then."""
    with ManifestStore(settings.home / "raw").writer() as writer:
        writer.notes["complete_until"] = {"events": (CUTOFF - days_before * DAY).isoformat()}


def test_a_comparison_that_cannot_be_measured_fits_the_schema() -> None:
    from serving.http_api.schemas import ModelComparison

    shown = {"rival": "calls fell by half", "metric": "roc_auc", "model": 0.8}
    numbers = dict.fromkeys(("other", "difference", "low", "high"))
    assert ModelComparison.model_validate({**shown, **numbers}).difference is None
