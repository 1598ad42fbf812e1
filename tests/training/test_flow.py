"""From a dataset to a champion: everything in MLflow, nothing elsewhere, and the gate in between."""

import dataclasses
import json
import shutil
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from click.testing import CliRunner

from features.exceptions import DependencyError, GateRefusedError, InputError, WorkFailedError
from features.home.home import Home
from features.schema import ACCOUNTS
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.windows import utc
from tests.training.conftest import company
from training import cli
from training.flow import train, train_dataset
from training.labels.excluded import Excluded
from training.labels.labels import Labels
from training.models import bundle as bundles
from training.models.bundle import Bundle, BundleError, Verdict
from training.models.matrix import matrix
from training.registry import registry
from training.registry.champions import champion, champion_version, champions
from training.registry.contests import contest_of
from training.registry.promotion import promote
from training.text import promote_lines, train_lines
from training.watching.backtesting import backtest

pytestmark = pytest.mark.slow
NOW = utc(2026, 1, 1)


@pytest.fixture
def home(registered, request) -> Settings:
    """The registered home; promotions of one test are taken back for the next."""
    settings = registered.settings
    client = client_of(settings)
    yield settings
    if "champion" in client.get_registered_model("bellwether-churn").aliases:
        client.delete_registered_model_alias("bellwether-churn", "champion")
    for version in client.search_model_versions("name='bellwether-churn'"):
        if version.tags.get("was_champion"):
            client.delete_model_version_tag(version.name, version.version, "was_champion")
    shutil.rmtree(settings.home / "bundles", ignore_errors=True)


def client_of(settings: Settings) -> mlflow.MlflowClient:
    return mlflow.MlflowClient(registry.tracking_address(Home(settings)), registry.tracking_address(Home(settings)))


def test_a_run_holds_figures_pictures_card_bundle_and_a_signed_model(registered):
    settings, report = registered.settings, registered.report
    client = client_of(settings)
    version = client.get_model_version_by_alias("bellwether-churn", "challenger")
    run = client.get_run(version.run_id)
    assert run.data.metrics["roc_auc"] == pytest.approx(report.metrics["roc_auc"])
    assert run.data.params["num_leaves"] == "8"
    assert run.data.params["abnormal_spans"] == "3 cutoffs near 2024-12-24 to 2025-01-02 (holidays)"
    assert run.data.params["cutoffs left out abnormal"] == "3"
    high = report.band_rates["high"]
    assert run.data.metrics["band_high_from"] == pytest.approx(report.bands["high"])
    assert run.data.metrics["band_high_rate"] == pytest.approx(high.rate)
    low, high = report.intervals["roc_auc"]
    assert (run.data.metrics["roc_auc_low"], run.data.metrics["roc_auc_high"]) == pytest.approx((low, high))
    anchor = next(r for r in report.comparisons if (r.rival, r.metric) == ("quick blend on plain counts", "roc_auc"))
    assert run.data.metrics["rival_anchor_roc_auc"] == pytest.approx(anchor.other)
    assert run.data.metrics["rival_anchor_roc_auc_difference_low"] == pytest.approx(anchor.low)
    assert {"rival_recency_roc_auc", "rival_free_trees_log_loss", "judged_recipes"} <= set(run.data.metrics)
    assert run.data.tags["verdict"] == report.verdict.answer
    assert report.verdict.reason in run.data.tags["mlflow.note.content"]
    assert run.info.run_name.startswith("churn until 2025-")
    (logged,) = run.inputs.dataset_inputs
    assert logged.dataset.name.startswith("churn_v3 2025-")
    assert report.fingerprint.startswith(logged.dataset.digest)
    experiment = client.get_experiment(run.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"
    artifacts = {artifact.path for artifact in client.list_artifacts(version.run_id)}
    assert artifacts >= {"bundle", "plots", "model_card.md"}
    plots = {Path(artifact.path).name for artifact in client.list_artifacts(version.run_id, "plots")}
    assert plots == {"precision_recall.png", "reliability.png", "lift.png", "contributions.png"}
    folder = mlflow.artifacts.download_artifacts(client.get_model_version_download_uri(version.name, version.version))
    signature = mlflow.models.Model.load(folder).signature
    assert {column.type for column in signature.inputs} == {mlflow.types.DataType.double}
    assert str(settings.home) in run.info.artifact_uri


def test_the_model_card_holds_the_figures_of_the_judgement(registered):
    report, bundle = registered.report, registered.bundle
    version = client_of(registered.settings).get_model_version_by_alias("bellwether-churn", "challenger")
    path = client_of(registered.settings).download_artifacts(version.run_id, "model_card.md")
    card = Path(path).read_text(encoding="utf-8")
    lines = card.splitlines()
    assert lines[0] == "# bellwether-churn"
    assert f"| roc auc | {report.metrics['roc_auc']:.4f} |" in lines
    assert f"| true risk roc auc | {report.truth['true_risk_roc_auc']:.4f} |" in lines
    assert "- 3 cutoffs near 2024-12-24 to 2025-01-02 (holidays)" in lines
    assert any(
        line.endswith(" rows left out: the account had already cancelled inside the warning time") for line in lines
    )
    assert any(line.startswith("- high from ") and " of these left, [" in line for line in lines)
    assert f"Features: {len(bundle.features)} of `{bundle.service}`. Dataset `{bundle.fingerprint[:16]}`." in lines
    assert {f"- `{name}`: {reason}" for name, reason in bundle.left_out.items()} <= set(lines)
    assert {f"- {sentence}" for sentence in report.verdict.sentences} <= set(lines)
    ends = [place for place, line in enumerate(lines) if line.startswith("|---")]
    assert len(ends) == 4
    assert all(lines[place + 1].startswith("| ") for place in ends)  # an empty line would end the table
    assert card.endswith("\nare what moved the score, not causes.\n")
    assert "\n\n\n" not in card


def test_the_report_reads_as_sentences(registered):
    report = registered.report
    text = "\n".join(train_lines(report))
    for part in ("registered as the challenger", '"calls fell by half"', "true risk", "Verdict: ", "mlflow ui"):
        assert part in text
    assert text.count(report.verdict.reason) == 1
    assert "Of those who left, " in text
    assert "rows left out: the account had already cancelled inside the warning time." in text
    assert "  Left out as abnormal: 3 cutoffs near 2024-12-24 to 2025-01-02 (holidays)." in text
    assert "days before, " not in text  # only silence is judged on those who had just called, too
    assert "  Band high from " in text
    assert " of these left, [" in text
    assert "a leaf, calibration" not in text
    assert "a leaf, calibration" in "\n".join(train_lines(report, verbose=True))


def test_the_report_says_no_more_than_was_measured(registered):
    def told(*, most, low, high):
        intervals = {**registered.report.intervals, "share_of_true_risk_roc_auc": (0.9, most)}
        metrics = {**registered.report.metrics, "low_score": low, "high_score": high}
        return "\n".join(train_lines(dataclasses.replace(registered.report, intervals=intervals, metrics=metrics)))

    wide = told(most=1.01, low=0.025, high=0.033)
    assert "the model reaches" not in wide
    assert "Its scores hardly differ: 2.5 % to 3.3 %." in wide
    narrow = told(most=0.99, low=0.02, high=0.033)
    assert "the model reaches" in narrow
    assert "hardly" not in narrow


@pytest.mark.parametrize(("answer", "code"), [("passes", 0), ("not_shown", 0), ("refused", 4)])
def test_the_command_leaves_with_what_the_gate_said(registered, monkeypatch, answer, code):
    report = dataclasses.replace(registered.report, verdict=Verdict(answer, "So it is."))
    monkeypatch.setattr("training.flow.train", lambda *_, **__: report)
    told = CliRunner().invoke(cli.train, ["--target", "churn"], obj=registered.home)
    assert (told.exit_code, f"Verdict: {answer.replace('_', ' ')}. So it is." in told.stdout) == (code, True)
    machine = CliRunner().invoke(cli.train, ["--target", "churn", "--format", "json"], obj=registered.home)
    assert (machine.exit_code, json.loads(machine.stdout)["verdict"]["answer"]) == (code, answer)


def test_promotion_copies_and_verifies_the_bundle(home, bundle):
    with pytest.raises(DependencyError, match=r"has no champion.*bellwether promote"):
        champion(Home(home), "churn")
    with pytest.raises(GateRefusedError, match=r"is not shown to be good enough\. .* rank better than .*--unproven"):
        promote(Home(home), "churn")
    report = promote(Home(home), "churn", unproven=True)
    assert (report.version, report.previous) == ("1", None)
    assert report.remarks == (f"Unproven: {bundle.verdict.reason}",)
    assert "version 1 is the champion; before it, nobody." in "\n".join(promote_lines(report))
    found = champion(Home(home), "churn")
    assert found.bundle_folder == home.home / "bundles" / found.sha256
    assert champions(Home(home)) == {"churn": found}


def _damage(path: Path) -> None:
    path.write_text(path.read_text().replace("0.", "1.", 1))


def test_the_backtest_looks_back_at_the_scores_that_were_kept(home, small_company, monkeypatch):
    dataset, _ = small_company
    labels = Labels(dataset.frame[["account_id", "cutoff", "label", "event_time", "in_lead"]], (), {})
    monkeypatch.setattr("training.watching.backtesting.closed_labels", lambda *_: labels)
    monkeypatch.setattr("training.watching.backtesting.read_records", lambda *_: ACCOUNTS.schema.empty_table())

    def told(*arguments):
        return CliRunner().invoke(cli.backtest, ["--target", "churn", *arguments], obj=Home(home))

    text = told()
    assert text.exit_code == 0
    assert "bellwether-churn version 1, judged on what it had not seen." in text.stdout
    assert "days of warning" in text.stdout
    parts = json.loads(told("--format", "json").stdout)
    assert [row["days_of_warning"] for row in parts["warning"]] == [7, 14, 30, 60, 90]
    scores = told("--part", "scores", "--format", "csv").stdout.splitlines()
    assert scores[0] == "account_id,cutoff,probability,fitted_until"
    assert len(scores) - 1 > len(dataset.frame) / 2
    with pytest.raises(InputError, match="has no version 9"):
        backtest(Home(home), "churn", version="9")
    assert told("--format", "csv").stdout.startswith("field,value\nmonths.0.month,")
    monkeypatch.setattr("training.watching.backtesting.out_of_time", lambda *_, **__: None)
    with pytest.raises(WorkFailedError, match=r"kept no out-of-time scores\. Run `bellwether train"):
        backtest(Home(home), "churn")


def test_a_damaged_local_copy_is_fetched_again(home):
    promote(Home(home), "churn", unproven=True)
    copy = champion(Home(home), "churn").bundle_folder / "model.txt"
    whole = copy.read_text()
    _damage(copy)
    champion(Home(home), "churn")
    assert copy.read_text() == whole
    assert [path.name for path in (home.home / "bundles").iterdir()] == [copy.parent.name]


def _register(settings: Settings, bundle: Bundle, scratch: Path) -> str:
    folder, pictures = scratch / f"bundle {bundle.rounds}", scratch / "pictures"
    pictures.mkdir(exist_ok=True)
    example = pd.DataFrame([[0.5] * len(bundle.columns)], columns=[column.name for column in bundle.columns])
    sha256 = bundles.write(bundle, folder)
    run = registry.TrainingRun("churn", bundle, folder, sha256, pictures, example, {}, ["lightgbm"])
    return registry.register(Home(settings), run)


def test_a_champion_lost_beyond_repair_is_refused_and_keeps_no_successor_away(bundle, settings, tmp_path):
    first = dataclasses.replace(bundle, verdict=Verdict("passes", "Made for tests."))
    _register(settings, first, tmp_path)
    promote(Home(settings), "churn")
    for path in settings.home.rglob("bundle.json"):  # the local copy and the artifact
        _damage(path)
    with pytest.raises(BundleError, match=r"/artifacts/bundle/bundle\.json is not the file"):  # not of a copy that goes
        champion(Home(settings), "churn")
    with pytest.raises(GateRefusedError, match="could not be checked, which is a refusal"):
        promote(Home(settings), "churn", version="1")
    contest = contest_of(Home(settings), "churn")
    assert (contest.champion, contest.reference) == (None, None)
    assert contest.remarks[0].startswith("The champion cannot be read")
    _register(settings, dataclasses.replace(first, rounds=first.rounds + 1), tmp_path)
    report = promote(Home(settings), "churn")
    assert (report.version, report.previous) == ("2", "1")
    assert "version 1, cannot be read" in report.remarks[-1]


@pytest.mark.parametrize("step", ["mlflow.lightgbm.log_model", "training.registry.registry.note_judged"])
def test_a_registration_that_is_broken_off_leaves_nothing(home, bundle, tmp_path, monkeypatch, step):
    before = registry.standing(Home(home), "churn")

    def broken_off(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(step, broken_off)
    with pytest.raises(KeyboardInterrupt):
        _register(home, bundle, tmp_path)
    assert registry.standing(Home(home), "churn") == before
    experiment = client_of(home).get_experiment_by_name("bellwether-churn").experiment_id
    runs = client_of(home).search_runs([experiment])
    assert len(runs) == len(before.versions)


def test_a_damaged_registry_is_a_dependency_that_is_away(settings):
    database = settings.home / "mlflow" / "mlflow.db"
    database.parent.mkdir(parents=True)
    database.write_bytes(b"no database " * 1000)
    for ask in (champion, champion_version, promote):
        with pytest.raises(DependencyError, match=r"mlflow\.db .*is no database any more\. Restore it"):
            ask(Home(settings), "churn")


def test_compare_and_set(home):
    with pytest.raises(GateRefusedError, match="champion of bellwether-churn is nobody, not version 3"):
        promote(Home(home), "churn", expect_current="3")
    assert promote(Home(home), "churn", expect_current="none", unproven=True).version == "1"
    assert promote(Home(home), "churn", version="1", expect_current="1").previous == "1"


@pytest.mark.parametrize("tag", ["bundle_sha256", "dataset_fingerprint", "verification"])
def test_a_version_without_its_proof_is_refused(home, tag):
    client = client_of(home)
    value = client.get_model_version("bellwether-churn", "1").tags[tag]
    client.delete_model_version_tag("bellwether-churn", "1", tag)
    try:
        with pytest.raises(GateRefusedError, match=f"lacks {tag}" if tag != "bundle_sha256" else "carries no bundle"):
            promote(Home(home), "churn")
    finally:
        client.set_model_version_tag("bellwether-churn", "1", tag, value)


def test_a_version_that_is_not_there_is_named(home):
    with pytest.raises(InputError, match="has no version 9"):
        promote(Home(home), "churn", version="9")


def test_a_refused_verdict_keeps_the_champion_and_going_back_is_free(home, bundle, tmp_path):
    promote(Home(home), "churn", unproven=True)
    worse = dataclasses.replace(bundle, verdict=Verdict("refused", "It is worse than the champion.", champion="1"))
    sha256 = bundles.write(worse, tmp_path / "bundle")
    (tmp_path / "pictures").mkdir()
    values = matrix(bundle, bundle.golden.features)
    version = registry.register(
        Home(home),
        registry.TrainingRun(
            target="churn",
            bundle=worse,
            bundle_folder=tmp_path / "bundle",
            sha256=sha256,
            pictures=tmp_path / "pictures",
            example=pd.DataFrame(values, columns=[column.name for column in bundle.columns]),
            parameters={},
            requirements=["lightgbm"],
        ),
    )
    for unproven in (False, True):
        with pytest.raises(GateRefusedError, match=r"is refused\. It is worse than the champion"):
            promote(Home(home), "churn", unproven=unproven)
    assert champion(Home(home), "churn").version == "1"
    assert "champion before" in promote(Home(home), "churn", version="1").remarks[0]
    client_of(home).set_registered_model_alias("bellwether-churn", "challenger", "1")
    assert version != "1"


def test_nothing_is_registered_when_nobody_left(settings):
    dataset, _ = company(settings, accounts=30, hazard=-50.0)
    with pytest.raises(WorkFailedError, match="No account of 30 left"):
        train_dataset(dataset, Home(settings), now=NOW)
    assert champion_version(Home(settings), "churn") is None
    assert not (settings.home / "mlflow").exists()


def test_an_empty_home_says_what_to_do(settings):
    with pytest.raises(WorkFailedError, match=r"No weekly cutoff is built.*features build"):
        train(Home(settings), "churn", now=NOW)
    with pytest.raises(DependencyError, match="No model is registered yet"):
        promote(Home(settings), "churn")


def test_spans_that_leave_too_little_are_refused_with_their_names(small_company, tmp_path):
    dataset, _ = small_company
    few = dataset.frame[dataset.frame["cutoff"].isin(dataset.cutoffs[:2])]
    span = Excluded("2025-03-03", "2025-03-10", "outage", 20)
    home = Home(load_settings(home=tmp_path / "home"))
    with pytest.raises(WorkFailedError, match=r"2 closed cutoffs .* leave none to fit on"):
        train_dataset(dataclasses.replace(dataset, frame=few), home, now=NOW)
    with pytest.raises(
        InputError, match=r"Too little is left to train on.*2025-03-03 to 2025-03-10 \(outage\)"
    ) as refusal:
        train_dataset(dataclasses.replace(dataset, frame=few, excluded=(span,)), home, now=NOW)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    ("figures", "told"),
    [
        (
            {
                "rows": 900.0,
                "events": 40.0,
                "roc_auc": 0.71,
                "pr_auc": 0.1,
                "base_rate": 0.044,
                "recall_at_capacity": 0.22,
            },
            (
                "Of accounts that called in the 7 days before, 900 rows with 40 events, 4.4 % of the rows: ROC-AUC "
                "0.710 [0.650, 0.770], 22 % among their 5 % highest scores."
            ),
        ),
        (
            {"rows": 1.0, "events": 0.0},
            "Of accounts that called in the 7 days before, 1 row with 0 events: they cannot be ranked.",
        ),
    ],
)
def test_silence_is_told_of_those_who_had_just_called_too(registered, figures, told):
    named = {f"recent_callers_{name}": value for name, value in figures.items()}
    report = dataclasses.replace(
        registered.report,
        metrics={**registered.report.metrics, **named},
        intervals={**registered.report.intervals, "recent_callers_roc_auc": (0.65, 0.77)},
    )
    assert f"  {told}" in list(train_lines(report))
