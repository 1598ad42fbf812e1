"""A real log from its mapping file to a judged model: nothing leaks, no better than it can be, no worse than a rule."""

from pathlib import Path

import pytest

from features.home.home import Home
from features.settings.fields import Settings
from tests.benchmarks.real_log import NOW, prepared
from training.flow import train
from training.watching.audit import audit

RULE = "days since the last call"


@pytest.fixture(scope="module")
def settings(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The log, ingested and built."""
    return prepared(tmp_path_factory.mktemp("real"), shared_data)


@pytest.mark.slow
def test_the_audit_finds_nothing(settings: Settings) -> None:
    found = audit(Home(settings), sample=25, seed=7)
    assert (found.store.moving, found.store.differences) == ({}, ())
    assert sum(found.store.exchanged_rows.values()) > 1000
    (label,) = found.labels
    assert (label.target, label.alarms, label.skipped) == ("churn_inactivity", (), None)
    assert found.is_clean


@pytest.mark.slow
def test_silence_is_foretold_from_a_foreign_log_alone(settings: Settings) -> None:
    report = train(Home(settings), "churn_inactivity", now=NOW)

    # A job in the last 28 days, no job in [c + 7 d, c + 37 d); judged in five blocks of six Mondays.
    assert (report.counts["judged rows"], report.counts["judged accounts"]) == (4584, 350)
    assert (report.counts["blocks"], report.counts["judged cutoffs"], report.counts["fitting cutoffs"]) == (5, 30, 28)
    assert report.metrics["base_rate"] == pytest.approx(0.311, abs=0.005)
    assert report.name == "bellwether-churn-inactivity"

    # Far above 0.85 the future would have leaked in.
    assert 0.70 < report.metrics["roc_auc"] < 0.85
    ahead = {row.rival: row for row in report.comparisons if row.metric == "roc_auc"}
    # Of those who had just called fewer fall silent, and they are harder to tell.
    assert 0 < report.metrics["recent_callers_rows"] < 4584
    assert 0 < report.metrics["recent_callers_base_rate"] < 0.311
    assert 0.5 < report.metrics["recent_callers_roc_auc"] < report.metrics["roc_auc"]
    assert ahead["logistic regression"].difference > -0.005
    assert ahead["calls fell by half"].low > 0.1
    # Fitted on a month of so small a log the model is no better than recency, and the gate says so.
    assert ahead[RULE].low < 0 < ahead[RULE].high
    assert {"plan", "mrr", "tenure_days", "active_tokens_28d"} <= set(report.left_out)
    assert report.verdict.answer == "not_shown"
    assert f'not shown to rank better than "{RULE}"' in report.verdict.reason
