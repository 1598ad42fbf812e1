"""What must hold between the rooms, on the simulated world: one score by two ways, and a report that finds nothing."""

import numpy as np
import pandas as pd
import pytest

from tests.conftest import World


@pytest.mark.slow
def test_offline_and_online_scores_of_500_accounts_are_equal(trained: World) -> None:
    from features.feature_store.store import open_store
    from serving.scoring.score import load_scorer, score_rows
    from training.registry.champions import champion

    store, scorer = open_store(trained.home), load_scorer(champion(trained.home, "churn"))
    everybody = pd.read_parquet(trained.files / "accounts.parquet")["account_id"]
    online = store.online(everybody.tolist())
    accounts = [account for account, is_known in zip(online.account_ids, online.known, strict=True) if is_known][:500]
    assert len(accounts) == 500

    entities = pd.DataFrame({"account_id": accounts, "event_timestamp": pd.Timestamp(trained.newest)})
    offline = store.historical(entities)
    by_batch = score_rows(scorer, {name: offline[name].to_numpy() for name in scorer.bundle.features})
    by_service = score_rows(scorer, store.online(accounts).values)
    np.testing.assert_allclose(by_service.probability, by_batch.probability, rtol=1e-9, atol=0)
    np.testing.assert_allclose(by_service.contributions, by_batch.contributions, rtol=1e-9, atol=1e-12)
    for scores in (by_batch, by_service):
        np.testing.assert_allclose(scores.base_margin + scores.contributions.sum(axis=1), scores.margin, atol=1e-6)


@pytest.mark.slow
def test_the_quality_report_finds_nothing_wrong_in_the_world(trained: World) -> None:
    from serving.quality import check_features

    report = check_features(trained.home, now=trained.now)
    assert report.wrong == []
    assert {part for part, _ in report.findings} <= {"shift"}  # what a year of growth does
    shift = next(section for part, section in report.sections if part.name == "shift")
    assert {row["target"] for row in shift.rows} == {"churn"}
    assert len(shift.rows) > 60
