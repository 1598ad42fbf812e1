"""Declared features from end to end: a model goes on reading those it was trained on, whatever is declared since."""

import re
import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.build.build import build
from features.definitions.catalog import BUILT_IN, NEWEST_SERVICE
from features.definitions.sets import FeatureSet
from features.exceptions import DependencyError, InputError
from features.feature_store.store import open_store
from features.home.declared_sets import sets_read
from features.home.home import Home
from features.offline.cutoffs import built_cutoffs
from features.settings.fields import Settings
from features.storage.state_file import recall
from features.windows import DAY
from serving.http_api.answers import Answerer
from serving.http_api.schemas import ScoreRequest
from serving.routine.batch import features_fingerprint, score_batch
from serving.routine.nightly import run_nightly
from serving.scoring.score import load_scorer
from tests.serving.conftest import make_bundle, register_bundle
from tests.serving.routine.conftest import NOW, YESTERDAY, Household
from training.labels.targets import target
from training.models.bundle import Bundle, Verdict
from training.registry.champions import champion, champion_version
from training.registry.promotion import promote

pytestmark = pytest.mark.slow

FAILED = {"of": "share", "where": "status >= 500", "windows": ["28d"], "title": "failed report calls"}
REFUSED = {**FAILED, "where": "status between 400 and 499"}  # another meaning under the same name
POSTS = {"of": "count", "where": "method = 'POST'", "windows": ["7d"]}


def declaring(home: Path, **metrics: object) -> Settings:
    return Settings(home=home, stale_after_hours=1e6, metrics=metrics)


def bring_online(settings: Settings) -> None:
    build(Home(settings), [YESTERDAY], now=NOW)
    store = open_store(Home(settings))
    store.apply()
    store.materialize(YESTERDAY)


def compared(bundle: Bundle, champion: str) -> Bundle:
    """A bundle that was judged beside a champion, so that the gate lets it pass."""
    return replace(bundle, verdict=Verdict("passes", "Made for tests.", champion=champion))


@pytest.fixture(scope="module")
def first(yesterday: Household, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A home with one metric, and a champion that reads it. Do not write to it."""
    root = tmp_path_factory.mktemp("declared")
    settings = declaring(yesterday.copy_to(root).settings.home, failed=FAILED)
    bring_online(settings)
    bundle = compared(make_bundle(declared=FeatureSet(settings.metrics)), "1")
    _, version = register_bundle(settings, bundle, root)
    promote(Home(settings), "churn", version=version)
    return settings


@pytest.fixture
def own(first: Settings, tmp_path: Path) -> Settings:
    shutil.copytree(first.home, tmp_path / "home")
    return first.model_copy(update={"home": tmp_path / "home"})


def probabilities(settings: Settings) -> dict[str, float | None]:
    (run,) = score_batch(Home(settings), as_of=YESTERDAY, now=NOW).targets
    return {account.account_id: account.probability for account in run.accounts}


def test_a_metric_reaches_training_scores_reasons_and_the_service(own):
    service = target("churn", Home(own)).service
    assert re.fullmatch(rf"{NEWEST_SERVICE}_[0-9a-f]{{8}}", service)
    assert target("upsell", Home(own)).service == service.replace("churn", "upsell")
    (run,) = score_batch(Home(own), as_of=YESTERDAY, now=NOW).targets
    said = [reason for account in run.accounts for reason in account.reasons if reason.code == "failed"]
    assert len(said) > len(run.accounts) / 4
    assert any(re.fullmatch(r"Failed report calls: \d+(\.\d)? % in the last 28 days\.", reason.text) for reason in said)
    batch = {account.account_id: account.probability for account in run.accounts}
    scored = [account for account, probability in batch.items() if probability is not None][:5]
    champions = SimpleNamespace(scorers={"churn": load_scorer(champion(Home(own), "churn"))})
    request = ScoreRequest(account_ids=scored, targets=["churn"], reasons=5)
    answers = Answerer(Home(own), open_store(Home(own)), champions).score(request, now=NOW)
    assert [one["scores"]["churn"]["probability"] for one in answers] == [batch[account] for account in scored]


def test_a_model_goes_on_reading_what_it_was_trained_on(own):
    before, service = probabilities(own), target("churn", Home(own)).service
    changed = declaring(own.home, failed=REFUSED, posts=POSTS)
    newest = target("churn", Home(changed)).service
    assert newest != service
    assert built_cutoffs(Home(changed)) == []
    with pytest.raises(InputError, match=r"built under other settings or definitions .* `bellwether features build`"):
        score_batch(Home(changed), as_of=YESTERDAY, now=NOW)
    bring_online(changed)
    assert probabilities(changed) == before
    store, accounts = open_store(Home(changed)), list(before)
    read = {one: store.online(accounts, service=one).values["failed_28d"] for one in (service, newest)}
    assert not np.array_equal(read[service], read[newest], equal_nan=True)
    np.testing.assert_array_equal(
        read[service],
        open_store(Home(own)).online(accounts, service=service).values["failed_28d"],
    )


def test_a_running_service_reads_a_set_that_was_applied_since_it_began(own):
    accounts, begun = list(probabilities(own)), open_store(Home(own))
    begun.online(accounts, service=target("churn", Home(own)).service)
    changed = declaring(own.home, posts=POSTS)
    bring_online(changed)
    sets_read(Home(changed).champion_sets, "upsell", [FeatureSet(changed.metrics).as_json])  # as its promotion does
    newest = target("churn", Home(changed)).service
    read = begun.online(accounts, service=newest)
    assert read.known.all()
    assert not read.mixed.any()
    expected = open_store(Home(changed)).online(accounts, service=newest).values["posts_7d"]
    np.testing.assert_array_equal(read.values["posts_7d"], expected)


def test_a_score_run_stays_the_same_whatever_else_is_declared(own):
    (before,) = score_batch(Home(own), as_of=YESTERDAY, now=NOW).targets
    changed = declaring(own.home, failed=FAILED, posts=POSTS)
    build(Home(changed), [YESTERDAY], now=NOW)
    assert len(Home(changed).catalog.groups) == len(BUILT_IN.groups) + 2
    (after,) = score_batch(Home(changed), as_of=YESTERDAY, now=NOW).targets
    assert (before.written, after.written) == (True, False)
    assert after.run_id == before.run_id


@pytest.mark.parametrize("service", BUILT_IN.services)
def test_without_declarations_a_score_run_is_named_by_all_groups(yesterday, service):
    settings = yesterday.settings
    assert features_fingerprint(Home(settings), YESTERDAY, service=service) == features_fingerprint(
        Home(settings), YESTERDAY
    )


def test_a_score_run_is_named_by_the_declared_features_its_model_reads(own):
    read = features_fingerprint(Home(own), YESTERDAY, service=target("churn", Home(own)).service)
    assert read != features_fingerprint(Home(own), YESTERDAY, service=NEWEST_SERVICE)


@pytest.mark.parametrize(
    "text", ["no json", "[]", '{"churn": 5}', '{"churn": [{"metrics": {"failed": {"of": "nothing"}}}]}']
)
def test_a_damaged_note_of_what_champions_read_says_what_helps(own, text):
    note, version = own.home / "feature_sets.json", champion_version(Home(own), "churn")
    intact = note.read_text()
    note.write_text(text)
    advice = r"feature_sets\.json .*backup.* move it away and promote each champion .*--version V.*features build`"
    with pytest.raises(DependencyError, match=f"(?s){advice}") as told:
        promote(Home(own), "churn", version=version)
    assert "found out again" not in str(told.value)
    with pytest.raises(DependencyError, match=f"(?s){advice}"):
        sets_read(Home(own).champion_sets, "churn", [])
    note.unlink()
    promote(Home(declaring(own.home)), "churn", version=version)
    assert note.read_text() == intact


def test_what_a_champion_reads_stays_without_a_declaration_until_another_takes_its_place(own, tmp_path):
    none = declaring(own.home)
    view = Home(own).catalog.groups[-1]
    assert Home(none).catalog.groups == (*BUILT_IN.groups, view)
    assert Home(none).catalog.features == BUILT_IN.features
    assert built_cutoffs(Home(none)) == [YESTERDAY]
    assert target("churn", Home(none)).service == NEWEST_SERVICE
    assert recall(own.home / "feature_sets.json")["churn"][0]["metrics"]["failed"]["of"] == "share"
    before = probabilities(none)
    _, version = register_bundle(none, compared(make_bundle(seed=3), "2"), tmp_path)
    bundle_of_none = promote(Home(none), "churn", version=version)
    assert bundle_of_none.remarks == ("Made for tests.",)
    assert Home(none).catalog is BUILT_IN
    bring_online(none)
    assert not [one for one in Home(none).stores.features.manifest().partitions if one.startswith(view)]
    assert probabilities(none) != before
    back = promote(Home(none), "churn", version=bundle_of_none.previous)
    assert "1 cutoff was built under other settings or definitions and left out" in " ".join(back.remarks)
    assert Home(none).catalog.groups[-1] == view


def test_a_model_of_declarations_nobody_knows_is_refused_in_words(own):
    (own.home / "feature_sets.json").unlink()
    none = declaring(own.home)
    with pytest.raises(
        DependencyError, match=rf"has no feature service {NEWEST_SERVICE}_[0-9a-f]{{8}}: the metrics and tables"
    ):
        score_batch(Home(none), as_of=YESTERDAY, now=NOW)


def test_a_night_makes_what_was_declared_since_and_says_all_it_lacks(own, monkeypatch):
    declared = Settings(
        home=own.home,
        stale_after_hours=1e6,
        metrics={"failed": REFUSED},
        tables={
            "health": {"path": "health/*.parquet", "columns": {"nps": {}}},
            "later": {"path": "later.parquet", "columns": {"seats": {}}},
        },
    )
    known = pa.array([NOW + DAY], pa.timestamp("us", tz="UTC"))
    row = {"account_id": ["a"], "event_timestamp": known, "known_at": known, "seats": [1]}
    pq.write_table(pa.table(row), own.home / "later.parquet")
    (own.home / "inbox/events").mkdir(parents=True, exist_ok=True)
    (own.home / "inbox/events/broken.parquet").write_bytes(b"PAR1 and then nothing")

    def with_a_failure(*arguments, **given):
        return replace(score_batch(*arguments, **given), failures=(DependencyError("upsell has no champion."),))

    monkeypatch.setattr("serving.routine.nightly.score_batch", with_a_failure)
    night = run_nightly(Home(declared), as_of=YESTERDAY, now=NOW)
    assert YESTERDAY in night.cutoffs_built
    assert night.accounts_online > 90
    assert [one.target for one in night.targets] == ["churn"]
    assert night.failure is not None
    said = str(night.failure.error)
    assert said.startswith("1 file was refused and left in ")
    assert "No file of the external table health is there" in said
    assert said.endswith("The rows taken before go on being used. upsell has no champion.")
    assert (night.failure.step, type(night.failure.error)) == ("ingest and score", DependencyError)
    assert [note for note in night.notes if note.startswith("Table later: 1 row has a known_at in the future")]
