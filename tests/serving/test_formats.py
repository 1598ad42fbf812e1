"""Every command that prints data, in every format: one JSON document, CSV with a header, a table in 40 columns."""

from __future__ import annotations

import csv
import io
import json
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import pandas as pd
import pytest
from click.testing import CliRunner

import serving.routine.nightly  # noqa: F401 - before anything is stubbed: what it imports by name stays
from features.audit.findings import OnlineAudit, OnlineDifference, StoreAudit
from features.home.home import Home
from features.settings.load import load_settings
from serving.cli import main
from tests.serving.conftest import CUTOFF, NOW, Place
from tests.serving.test_refused_at_once import COMMANDS
from training.flow import TrainReport
from training.judging.backtest import look_back
from training.labels.excluded import Excluded
from training.labels.targets import target
from training.models.bands import BandRate
from training.models.bundle import Comparison, Verdict
from training.registry.champions import Champion
from training.registry.promotion import PromoteReport
from training.watching.audit import Audit
from training.watching.backtesting import Backtested

WIDTH = 40
NO_DATA = {"init", "demo", "serve"}
# Command to the words after it and the home it is run on: one with a champion, or one of three calls.
RUNS: dict[str, tuple[str, str]] = {
    "backtest": ("--target churn", "small"),
    "backtest --part scores": ("--target churn", "small"),
    "doctor": ("", "small"),
    "explain": ("acct_003", "scored"),
    "features apply": ("", "small"),
    "features audit": ("", "small"),
    "features build": ("", "small"),
    "features build --plan": ("--every 1d", "small"),
    "features check": ("", "scored"),
    "features describe": ("--group usage", "small"),
    "features materialize": ("", "scored"),
    "ingest": ("--events FOLDER/calls.csv --backfill", "small"),
    "ingest --dry-run": ("--events FOLDER/calls.csv --backfill", "small"),
    "nightly": ("--as-of 2024-03-04", "small"),
    "promote": ("", "scored"),
    "score": ("", "scored"),
    "settings": ("", "small"),
    "simulate": ("--out FOLDER/FORMAT --accounts 2 --days 30 --end 2026-01-05", "small"),
    "train": ("", "small"),
}
# What takes long and prints nothing is done once for all formats.
WORK = (
    "features.ingest.dry_run.dry_run",
    "features.ingest.ingest.ingest",
    "serving.quality.check_features",
    "serving.routine.batch.score_account",
    "serving.routine.batch.score_batch",
)
DONE: dict[str, Any] = {}


@dataclass(frozen=True)
class Homes:
    """Two homes that the commands are run on, and the folder they lie in."""

    folder: Path
    small: Home
    scored: Home


@pytest.fixture(scope="module")
def homes(place: Place, tmp_path_factory: pytest.TempPathFactory) -> Homes:
    folder = tmp_path_factory.mktemp("formats")
    days = ("2024-01-20", "2024-02-20", "2024-03-03")
    rows = "".join(f"acme,{day}T10:00:00Z,200\n" for day in days)
    (folder / "calls.csv").write_text(f"account_id,event_time,status\n{rows}acme,never,200\n")
    small = Home(load_settings(home=folder / "small", threads=1))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("features.cli._now", lambda: NOW)
        for line in (f"ingest --events {folder}/calls.csv --backfill", "features build", "features apply"):
            assert CliRunner().invoke(main, line.split(), obj=small).exit_code == 0
    DONE.clear()
    return Homes(folder, small, place.copy_to(folder / "scored").home)


@pytest.fixture
def stubbed(homes: Homes, monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes long gives what it gives; what is printed of it is what is looked at."""
    figures = {"roc_auc": 0.782, "pr_auc": 0.105, "base_rate": 0.0223, "ece": 0.003, "calibration_slope": 1.04}
    figures |= {"predicted_over_observed": float("nan"), "brier_skill": 0.086, "precision_at_capacity": 0.125}
    figures |= {"lift_at_capacity": 5.6, "recall_at_capacity": 0.28, "recall_at_capacity_with_lead": 0.3}
    figures |= {"low_score": 0.025, "high_score": 0.033}
    counts = {
        f"{part} {what}": 12
        for part in ("fitting", "judged", "closed")
        for what in ("cutoffs", "rows", "accounts", "events")
    }
    report = TrainReport(
        target="churn",
        name="bellwether-churn",
        version="3",
        sha256="0" * 64,
        fingerprint="1" * 64,
        rounds=40,
        rows_per_leaf=100,
        calibration="platt",
        halves="The scorecard adds nothing.",
        spans={"fitting": ("2026-01-05", "2026-03-30"), "judged": ("2026-05-04", "2026-05-25")},
        counts=counts | {"folds": 5, "rows left out: event in the lead": 145},
        left_out={"sdk_versions_28d": "constant"},
        metrics=figures,
        intervals={
            "roc_auc": (0.71, 0.84),
            "recall_at_capacity": (0.2, 0.36),
            "share_of_true_risk_roc_auc": (0.9, 0.98),
        },
        comparisons=tuple(
            Comparison("requests in the last 7 days, lowest first", metric, 0.78, 0.73, 0.05, 0.01, 0.1)
            for metric in ("roc_auc", "pr_auc")
        ),
        rules=("requests in the last 7 days, lowest first",),
        verdict=Verdict("passes", "It is shown to rank better than every rule.", ("Its scores may be too bold.",)),
        truth={"true_risk_roc_auc": 0.83, "share_of_true_risk_roc_auc": 0.941},
        happened="left",
        bands={"high": 0.2, "medium": 0.1},
        band_rates={"high": BandRate(264, 90, 1 / 6, 0.124, 0.214)},
        excluded=(Excluded("2026-03-02", "2026-03-04", "outage", 9),),
        ui_command="mlflow ui",
    )
    monkeypatch.setattr("training.flow.train", lambda *_, **__: report)
    promoted = PromoteReport("bellwether-churn", "3", "2", ("Beats the rule.",))
    monkeypatch.setattr("training.registry.promotion.promote", lambda *_, **__: promoted)
    online = OnlineAudit(CUTOFF, 10, (OnlineDifference("acme", "calls_7d", 1.0, 2.0),))
    audited = Audit(StoreAudit(7, 90, {CUTOFF: 10}, {CUTOFF: 3}, {}, (), online, ()), ())
    monkeypatch.setattr("training.watching.audit.audit", lambda *_, **__: audited)
    days = pd.to_datetime(["2026-05-04", "2026-03-02"], utc=True)
    scores = pd.DataFrame({"account_id": ["acme"], "cutoff": days[:1], "probability": [0.2], "fitted_until": days[1:]})
    labels = scores[["account_id", "cutoff"]].assign(
        label=1, event_time=days[:1] + pd.Timedelta(days=20), in_lead=False
    )
    past = look_back(scores, labels, capacity_share=0.05, names={"acme": "Acme"})
    looked = Backtested(target("churn", homes.small), Champion("bellwether-churn", "3", Path(), ""), scores, past)
    monkeypatch.setattr("training.watching.backtesting.backtest", lambda *_, **__: looked)
    for asked in ("require_candidate", "require_version"):  # there is no registry behind what is stubbed
        monkeypatch.setattr(f"training.registry.recorded.{asked}", lambda *_, **__: None)
    for name in WORK:
        monkeypatch.setattr(name, once(name))
    for module in ("features.cli", "serving.cli"):
        monkeypatch.setattr(f"{module}._now", lambda: NOW)


def once(name: str) -> Callable[..., Any]:
    """The function of that name, which gives again what it gave first."""
    work = pkgutil.resolve_name(name)

    def known(*arguments: Any, **given: Any) -> Any:
        if name not in DONE:
            DONE[name] = work(*arguments, **given)
        return DONE[name]

    return known


def printed(homes: Homes, command: str, output: str) -> str:
    words, home = RUNS[command]
    line = [
        *command.split(),
        *words.replace("FOLDER", str(homes.folder)).replace("FORMAT", output).split(),
        "--format",
        output,
    ]
    result = CliRunner().invoke(main, line, obj=getattr(homes, home))
    if command == "nightly":  # a night on three old calls finds no champion, and says all the same what it did
        assert result.exit_code == 3, result.output
    else:
        assert result.exit_code in {0, 1}, result.output  # 1: something was found
    return result.stdout


def test_every_command_that_prints_data_is_run() -> None:
    assert {name for name in COMMANDS if name not in NO_DATA} == {name.partition(" --")[0] for name in RUNS}


@pytest.mark.slow
@pytest.mark.usefixtures("stubbed")
@pytest.mark.parametrize("command", RUNS)
def test_json_is_one_document_and_csv_has_a_header(homes: Homes, command: str) -> None:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    document = json.loads(printed(homes, command, "json"), parse_constant=refuse)
    assert isinstance(document, dict | list)
    text = printed(homes, command, "csv")
    header, *rows = list(csv.reader(io.StringIO(text)))
    assert header
    assert {len(row) for row in rows} <= {len(header)}
    if isinstance(document, list):
        assert len(document) == len(rows)
        assert {tuple(row) for row in document} <= {tuple(header)}
        cells = [cell for row in document for cell in row.values()]
        assert not any(isinstance(cell, str) and cell.endswith(" %") for cell in cells)  # numbers as they are


@pytest.mark.slow
@pytest.mark.usefixtures("stubbed")
@pytest.mark.parametrize("command", RUNS)
def test_a_table_fits_the_terminal(homes: Homes, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("features.console", "serving.cli", "training.cli"):
        monkeypatch.setattr(f"{module}.terminal_width", lambda: WIDTH)
    lines = printed(homes, command, "table").splitlines()
    assert lines or command == "doctor"  # which says on stderr that nothing is wrong
    # A path is broken nowhere: it is there to be copied.
    assert [line for line in lines if len(line) > WIDTH and "/" not in line.split()[-1]] == []


@pytest.mark.slow
@pytest.mark.usefixtures("stubbed")
def test_accounts_are_listed_with_name_and_owner_and_percentages_in_words(homes: Homes) -> None:
    table = printed(homes, "score", "table")
    assert table.split("  ")[0] == "account id"
    assert "The acct_003 company  kim" in table
    rows: list[dict[str, Any]] = json.loads(printed(homes, "score", "json"))
    assert list(rows[0])[:4] == ["account_id", "name", "owner", "target"]
    assert all(0 <= row["probability"] <= 1 for row in rows)
    assert f" {100 * rows[0]['probability']:.0f} %" in table


@pytest.mark.slow
@pytest.mark.usefixtures("stubbed")
def test_an_explanation_is_what_the_service_answers(homes: Homes) -> None:
    explained = json.loads(printed(homes, "explain", "json"))
    assert list(explained)[:3] == ["account_id", "name", "owner"]
    score = explained["scores"]["churn"]
    assert (score["lead_days"], score["horizon_days"]) == (7, 30)
    assert list(score["model"]) == ["name", "version", "kind", "rule", "verdict", "unproven"]
    assert score["model"]["verdict"] in ("passes", "not_shown")
    rows = list(csv.DictReader(io.StringIO(printed(homes, "explain", "csv"))))
    assert [row["code"] for row in rows] == [reason["code"] for reason in score["reasons"]]
    assert sum(float(row["contribution"]) for row in rows) == pytest.approx(
        sum(reason["contribution"] for reason in score["reasons"])
    )


def test_the_formats_are_those_of_one_option() -> None:
    from features.console import format_option

    @click.command()
    @format_option
    def it(output: str) -> None:
        click.echo(output)

    assert CliRunner().invoke(it).output == "table\n"
