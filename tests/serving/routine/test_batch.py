from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.exceptions import DependencyError, InputError, WorkFailedError
from features.home.home import Home
from features.schema import EVENTS
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.storage.manifest import Manifest
from features.storage.store import ManifestStore
from features.windows import DAY, utc
from serving.ledger.runs import ScoredAccount, run_id
from serving.routine.terminal import explanation, riskiest
from serving.scoring.freshness import Status
from tests.serving.conftest import (
    CUTOFF,
    EVERYBODY,
    NOW,
    USUAL,
    Place,
    make_bundle,
    register_bundle,
    with_scorecard,
    world_columns,
    write_features,
    write_records,
)
from tests.shared import flip_a_bit
from training.models.bundle import Verdict

pytestmark = pytest.mark.slow


def test_a_run_scores_everybody_the_model_applies_to(copied: Place) -> None:
    from serving.routine.batch import score_batch

    (run,) = score_batch(copied.home, now=NOW).targets
    assert [account.account_id for account in run.accounts] == sorted(EVERYBODY)
    by_id = {account.account_id: account for account in run.accounts}
    assert {by_id[name].status for name in USUAL} == {Status.SCORED}
    assert by_id["cancelled"].status == by_id["too_new"].status == Status.NOT_APPLICABLE
    assert by_id["never_called"].status == Status.INSUFFICIENT_DATA
    assert by_id["unsubscribed"].detail == "no_subscription: no subscription of this account is known."
    one = by_id["acct_001"]
    assert (one.name, one.owner, one.segment) == ("The acct_001 company", "kim", "small")
    assert one.mrr_at_risk == pytest.approx(one.mrr * one.probability)


def test_the_same_run_again_writes_nothing_and_says_the_same(copied: Place) -> None:
    from serving.ledger.ledger import open_ledger
    from serving.routine.batch import score_batch

    first, again = (score_batch(copied.home, as_of=CUTOFF, now=NOW + DAY * later) for later in (0, 1))
    assert [part.written for part in first.targets] == [True]
    assert [part.written for part in again.targets] == [False]
    assert "nothing written" in again.targets[0].in_words
    assert list(first.targets[0].accounts) == list(again.targets[0].accounts)
    ledger = open_ledger(copied.home)
    latest = ledger.latest("churn")
    assert latest is not None
    assert latest.scored_at == NOW
    rows = ledger.page(latest.run_id, sort="probability", limit=100)
    ledger.close()
    assert [row.account_id for row in rows] == [
        row["account_id"] for row in riskiest(first.targets[0], limit=100, sort="probability")
    ]


@pytest.fixture(params=["booster", "booster and scorecard"])
def served(request: pytest.FixtureRequest, copied: Place, tmp_path: Path) -> Place:
    """A home whose champion is a booster alone, and one whose champion has a scorecard beside it."""
    from training.registry.promotion import promote

    if request.param != "booster":
        compared = Verdict("passes", "Made for tests.", champion="1")
        bundle = replace(with_scorecard(make_bundle()), verdict=compared, fingerprint="5" * 64)
        _, version = register_bundle(copied.settings, bundle, tmp_path)
        promote(copied.home, "churn", version=version)
    return copied


def test_offline_and_online_scores_are_equal(served: Place) -> None:
    from features.feature_store.store import open_store
    from serving.http_api.answers import Answerer
    from serving.http_api.live_champions import LiveChampions
    from serving.http_api.schemas import ScoreRequest
    from serving.routine.batch import score_batch

    (run,) = score_batch(served.home, now=NOW).targets
    champions = LiveChampions(Home(served.settings))
    champions.refresh()
    answerer = Answerer(Home(served.settings), open_store(served.home), champions)
    results = answerer.score(ScoreRequest(account_ids=list(EVERYBODY)), now=NOW)
    offline = {account.account_id: account for account in run.accounts}
    for result in results:
        online, batch = result["scores"]["churn"], offline[result["account_id"]]
        assert online["status"] == batch.status
        for name in ("probability", "margin", "base_margin"):
            expected = getattr(batch, name)
            assert online.get(name) == (None if expected is None else pytest.approx(expected, rel=1e-9, abs=1e-12))
        assert [reason["text"] for reason in online["reasons"]] == [reason.text for reason in batch.reasons]


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet"])
def test_export_writes_a_row_per_account(copied: Place, tmp_path: Path, name: str) -> None:
    from serving.routine.batch import score_batch
    from serving.routine.export import export

    export(score_batch(copied.home, now=NOW), tmp_path / name)
    path = tmp_path / name
    frame = pd.read_csv(path) if name.endswith("csv") else pd.read_parquet(path)
    assert len(frame) == len(EVERYBODY)
    assert frame.loc[frame["account_id"] == "acct_001", ["raises_1", "lowers_1"]].notna().any(axis=None)
    with pytest.raises(InputError, match=r"ends in neither \.csv nor \.parquet"):
        export(score_batch(copied.home, now=NOW), tmp_path / "scores.xlsx")


def test_an_explanation_holds_every_reason_and_adds_up(place: Place) -> None:
    from serving.routine.batch import score_account

    (run,) = score_account(place.home, "acct_003", now=NOW).targets
    (account,) = run.accounts
    text = "\n".join(explanation(run, "acct_003"))
    assert ": about 1 in 6 of these left, [12, 21] in 100." in text
    who = "acct_003 (The acct_003 company, owner kim)"
    window = "between 7 and 37 days from 2026-06-29 (2026-07-06 to 2026-08-04)"
    assert text.startswith(f"{who}: churn {window}\n")
    for reason in account.reasons:
        assert reason.text in text
    assert "█" in text
    (nothing,) = score_account(place.home, "cancelled", now=NOW).targets
    assert explanation(nothing, "cancelled")[1:] == [
        "  No score. The subscription had ended by the time of these features."
    ]
    assert run.in_words.startswith(f"churn {window}: 1 scored")


def test_a_name_in_an_explanation_cannot_move_the_terminal() -> None:
    account = ScoredAccount("a1", "unavailable", "No contract.", name="Ac\x1b[2Jme\nLtd")
    run = SimpleNamespace(
        accounts=[account],
        title="churn",
        lead_days=0,
        horizon_days=30,
        as_of=CUTOFF,
        model="bellwether-churn",
        version="1",
    )
    assert explanation(run, "a1")[0].startswith(r"a1 (Ac\x1b[2Jme\nLtd): churn within 30 days from 2026-06-29")


def test_an_account_that_is_not_there_gets_ids_that_look_alike(place: Place) -> None:
    from serving.routine.batch import score_account

    with pytest.raises(InputError, match=r"no account 'acct_0003' as of 2026-06-29\. Did you mean: acct_003"):
        score_account(place.home, "acct_0003", now=NOW)
    with pytest.raises(InputError, match="`bellwether score` lists the accounts"):
        score_account(place.home, "zzzzzzzz", now=NOW)


def test_a_cutoff_that_is_not_built_is_refused(place: Place) -> None:
    from serving.routine.batch import score_batch

    with pytest.raises(InputError, match=r"2026-01-05 is not built\. Built, newest first: 2026-06-29"):
        score_batch(place.home, as_of=utc(2026, 1, 5), now=NOW)


def test_a_cutoff_of_silence_is_scored_only_when_it_is_named(copied: Place) -> None:
    from serving.routine.batch import score_account, score_batch

    write_event(copied.settings, CUTOFF - 4 * DAY)
    message = r"2026-06-29 lies 4 days after the newest event.*everybody would look silent"
    with pytest.raises(InputError, match=message):
        score_batch(copied.home, now=NOW)
    with pytest.raises(InputError, match=message):
        score_account(copied.home, "acct_003", now=NOW)
    assert score_batch(copied.home, as_of=CUTOFF, now=NOW).as_of == CUTOFF


def test_a_log_that_ended_years_ago_is_scored_as_of_its_end(copied: Place) -> None:
    from serving.routine.batch import score_batch

    write_event(copied.settings, CUTOFF - timedelta(hours=2))
    assert score_batch(copied.home, now=NOW + 800 * DAY).as_of == CUTOFF


def write_event(settings: Settings, moment: datetime) -> None:
    """Make one call the whole log."""
    row = {"event_id": "1", "account_id": "acct_003", "event_time": moment, "ingested_at": moment, "synthetic": False}
    with Home(settings).stores.events.writer() as writer:
        staged = writer.scratch / "events"
        pq.write_table(pa.Table.from_pylist([dict.fromkeys(EVENTS.schema.names) | row], EVENTS.schema), staged)
        writer.replace(f"day={moment:%Y-%m-%d}", {"events": staged})


def test_without_a_champion_nothing_is_scored(tmp_path: Path) -> None:
    from serving.routine.batch import score_batch

    settings = load_settings(home=tmp_path)
    write_features(settings, world_columns(), EVERYBODY)
    write_records(settings)
    with pytest.raises(DependencyError, match="No target has a champion yet"):
        score_batch(Home(settings), now=NOW)


def test_a_run_id_depends_on_each_of_its_parts() -> None:
    parts = {
        "as_of": CUTOFF,
        "target": "churn",
        "model": "m",
        "version": "1",
        "bundle_sha256": "a",
        "fingerprint": "f",
    }
    others = {**dict.fromkeys(parts, "x"), "as_of": CUTOFF + DAY}
    ids = {run_id(**parts), *(run_id(**{**parts, name: others[name]}) for name in parts)}
    assert len(ids) == len(parts) + 1
    assert all(re.fullmatch(r"[0-9a-f]{32}", one) for one in ids)


def test_a_score_run_reads_each_manifest_once(copied: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    from serving.routine.batch import score_batch

    reads: Counter[str] = Counter()
    read = ManifestStore.manifest

    def counted(store: ManifestStore) -> Manifest:
        reads[store.root.name] += 1
        return read(store)

    monkeypatch.setattr(ManifestStore, "manifest", counted)
    score_batch(copied.home, now=NOW)
    assert reads == {"features": 1, "raw": 1, "events": 1, "quarantine": 1}


@pytest.mark.parametrize("file", ["features/errors", "features/usage", "raw/accounts", "raw/subscriptions"])
def test_a_flipped_bit_ends_the_run_and_nothing_is_written(copied: Place, file: str) -> None:
    from serving.ledger.ledger import open_ledger
    from serving.routine.batch import score_account, score_batch

    flip_a_bit(next((copied.settings.home / file).rglob("*.parquet")))
    with pytest.raises(WorkFailedError, match=rf"1 file is damaged or missing: .*{file}.*\."):
        score_batch(copied.home, now=NOW)
    with pytest.raises(WorkFailedError, match=rf"1 file is damaged or missing: .*{file}.*\."):
        score_account(copied.home, USUAL[0], now=NOW)
    assert open_ledger(copied.home).latest("churn") is None
