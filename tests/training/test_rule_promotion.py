"""A rule as champion: made beside every model, promoted like one, and gone back from."""

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from features.exceptions import GateRefusedError, InputError, LockHeldError
from features.home.home import Home
from features.storage.lock import exclusive_lock
from tests.training.conftest import PRISTINE, Registered
from tests.training.test_flow import _register, client_of
from training import cli
from training.judging.rule_judge import best_counting_rule, judge_rule
from training.models import bundle as bundles
from training.models.bundle import Verdict
from training.models.explain import explain_rule
from training.models.out_of_time import out_of_time
from training.models.verify import load_model
from training.registry.champions import champion, champion_identity
from training.registry.contests import contest_of
from training.registry.promotion import promote
from training.registry.registry import standing
from training.text import promote_lines, train_lines

pytestmark = pytest.mark.slow
NAME = "bellwether-churn"


@pytest.fixture
def place(registered: Registered, tmp_path, monkeypatch):
    """A copy of the home in which version 1 is challenger and nobody champion."""
    import shutil

    from features.settings.load import load_settings

    shutil.copytree(registered.settings.home.with_name(PRISTINE), tmp_path / "home")
    return Home(load_settings(home=tmp_path / "home", judging_blocks=registered.settings.judging_blocks))


def test_a_training_leaves_its_best_counting_rule(registered, small_company):
    dataset, _ = small_company
    areas = {row.rival: row.other for row in registered.report.comparisons if row.metric == "roc_auc"}
    best = max(registered.judged.rules, key=areas.get)
    assert best_counting_rule(registered.judged, dataset.features) == best
    tags = client_of(registered.settings).get_model_version(NAME, "1").tags
    assert tags["rule_beside"] == registered.report.rule
    assert "kind" not in tags


def test_a_rule_that_tells_the_label_stands_aside(registered, small_company):
    dataset, _ = small_company
    names = [feature.name for feature in dataset.features]
    telling = dataclasses.replace(registered.judged, tells=(registered.judged.single_rules[0].feature,))
    others = registered.judged.rules[:2]
    assert best_counting_rule(telling, dataset.features) in others
    with pytest.raises(Exception, match="Every counting rule reads a feature that tells the label"):
        best_counting_rule(dataclasses.replace(registered.judged, tells=tuple(names)), dataset.features)


def test_it_is_a_champion_of_its_own_kind(place, registered):
    report = promote(place, "churn", rule=True)
    title = registered.report.rule
    assert (report.version, report.previous, report.rule) == ("2", None, title)
    told = list(promote_lines(report))
    assert told[:2] == [f"{NAME} version 2 is the champion; before it, nobody.", f"  Rule: {title}."]
    version = client_of(place.settings).get_model_version_by_alias(NAME, "champion")
    assert (version.tags["kind"], version.tags["rule"], version.tags["verdict"]) == ("rule", title, "passes")
    assert f'It is the rule "{title}", shown to rank better than chance on ' in version.description
    run = client_of(place.settings).get_run(version.run_id)
    assert (run.data.tags["kind"], run.info.run_name) == ("rule", f"rule: {title}")
    assert run.data.metrics["roc_auc"] > 0.5
    files = {item.path for item in client_of(place.settings).list_artifacts(version.run_id)}
    assert files == {"bundle", "model", "model_card.md"}
    current = champion(place, "churn")
    assert not (current.bundle_folder / "model.txt").exists()
    bundle = bundles.read(current.bundle_folder, sha256=current.sha256)
    assert load_model(bundle) is None
    assert (bundle.rule.title, bundle.features, bundle.rounds) == (title, (bundle.rule.feature,), 0)
    scores = out_of_time(current.bundle_folder, sha256=current.sha256)
    assert len(scores) == len(registered.judged.scored.rows)
    assert scores["probability"].between(0, 1).all()
    assert bundle.band_rates
    golden = bundle.golden
    parts = explain_rule(bundle.rule, golden.features)
    assert parts.base_margin + parts.contributions.sum(axis=1) == pytest.approx(golden.margins, abs=1e-9)


def test_the_rule_is_judged_on_what_came_after(registered, small_company, plain):
    dataset, _ = small_company
    best = judge_rule(dataset, registered.judged, plain)
    areas = {row.rival: row.other for row in registered.report.comparisons if row.metric == "roc_auc"}
    assert best.measures.metrics["roc_auc"] == pytest.approx(
        max(areas[name] for name in registered.judged.rules), abs=0.02
    )
    assert best.measures.metrics["predicted_over_observed"] == pytest.approx(1.0, abs=0.5)
    oldest = registered.judged.blocks[0]
    is_judged = dataset.frame["cutoff"] >= oldest.judged[0]
    turned = dataset.frame.assign(label=dataset.frame["label"].where(~is_judged, 1 - dataset.frame["label"]))
    other = judge_rule(dataclasses.replace(dataset, frame=turned), registered.judged, plain)
    first = len(dataset.rows(oldest.judged, with_lead=True))
    assert other.scored.probability[:first].tolist() == best.scored.probability[:first].tolist()


def test_promoting_it_again_is_the_same_version_and_going_back_is_free(place):
    assert promote(place, "churn", rule=True, expect_current="none").version == "2"
    assert promote(place, "churn", rule=True, expect_current="2").version == "2"
    assert standing(place, "churn").versions == ("1", "2")
    with pytest.raises(GateRefusedError, match="is version 2, not version 1"):
        promote(place, "churn", rule=True, expect_current="1")
    assert promote(place, "churn", unproven=True).version == "1"  # judged with no champion: line 4
    assert promote(place, "churn", version="2").rule is not None
    assert promote(place, "churn", version="1").rule is None


def test_it_takes_no_place_of_a_model_that_passed(place, registered, tmp_path):
    promote(place, "churn", unproven=True)
    assert promote(place, "churn", rule=True).previous == "1"  # nothing was shown of that one
    shown = dataclasses.replace(registered.bundle, verdict=Verdict("passes", "It is shown."), rounds=1)
    version = _register(place.settings, shown, tmp_path)
    promote(place, "churn", version=version)
    before = standing(place, "churn").versions
    with pytest.raises(
        GateRefusedError, match=rf"version {version}, is a model that passed the gate, .* It is shown\."
    ):
        promote(place, "churn", rule=True)
    assert standing(place, "churn").versions == before
    told = CliRunner().invoke(cli.promote, ["--target", "churn", "--rule"], obj=place)
    assert isinstance(told.exception, GateRefusedError)
    assert champion_identity(place, "churn")[0] == version


def test_a_model_judged_against_another_is_judged_again_before_it_follows_a_rule(place, registered, tmp_path):
    promote(place, "churn", rule=True)
    refresh = dataclasses.replace(
        registered.bundle, verdict=Verdict("passes", "As the champion.", champion="1"), rounds=1
    )
    version = _register(place.settings, refresh, tmp_path)
    with pytest.raises(GateRefusedError, match=r'was judged against version 1, and the rule ".*" is champion now'):
        promote(place, "churn", version=version)


def test_a_model_is_held_against_rules_alone_while_one_is_champion(place, registered):
    promote(place, "churn", rule=True)
    contest = contest_of(place, "churn")
    assert (contest.champion, contest.reference, contest.rule) == (None, None, registered.report.rule)


def test_a_training_before_there_were_rules_left_none(place, registered, tmp_path):
    _register(place.settings, dataclasses.replace(registered.bundle, rounds=1), tmp_path)
    with pytest.raises(GateRefusedError, match=r"version 2 left no rule.*Run `bellwether train` again"):
        promote(place, "churn", rule=True)


def test_a_rule_and_a_version_cannot_both_be_asked_for(place):
    with pytest.raises(InputError, match="--rule takes the rule of the newest training"):
        promote(place, "churn", rule=True, version="1")


def test_two_promotions_at_once_are_one(place):
    with exclusive_lock(place.mlflow), pytest.raises(LockHeldError):
        promote(place, "churn", rule=True)
    assert standing(place, "churn").versions == ("1",)


@pytest.mark.parametrize(
    "step", ["mlflow.log_metrics", "mlflow.log_artifacts", "mlflow.MlflowClient.create_model_version"]
)
def test_a_promotion_that_is_broken_off_leaves_nothing_half_registered(place, monkeypatch, step):
    def broken_off(*_, **__):
        raise KeyboardInterrupt

    before = standing(place, "churn")
    client = client_of(place.settings)
    experiment = client.get_experiment_by_name(NAME).experiment_id
    runs = len(client.search_runs([experiment]))
    with monkeypatch.context() as patch:
        patch.setattr(step, broken_off)
        with pytest.raises(KeyboardInterrupt):
            promote(place, "churn", rule=True)
    assert standing(place, "churn") == before
    assert len(client.search_runs([experiment])) == runs
    assert promote(place, "churn", rule=True).version == "2"


def test_a_damaged_rule_is_refused(place):
    for path in place.mlflow_artifacts.rglob("rule.json"):
        path.write_text(path.read_text().replace("0.", "1.", 1))
    with pytest.raises(bundles.BundleError, match=r"rule\.json is not the file"):
        promote(place, "churn", rule=True)
    assert standing(place, "churn").versions == ("1",)


def test_the_training_says_that_the_rule_can_answer(registered):
    def told(**changes):
        return "\n".join(train_lines(dataclasses.replace(registered.report, **changes)))

    until = "  Until one passes, "
    can = f'nobody answers; the rule "{registered.report.rule}" can: `bellwether promote --target churn --rule`.'
    assert registered.report.verdict.answer == "not_shown"
    assert until + can in told()
    assert until + 'the rule "days since the last call" answers.' in told(rule_in_office="days since the last call")
    assert until not in told(verdict=Verdict("passes", "So it is."))
    assert until + "the champion, version 3, answers." in told(champion="3")
    assert until + "nobody answers." in told(rule=None)


def test_programs_read_which_rule_it_is(place, registered):
    told = CliRunner().invoke(cli.promote, ["--target", "churn", "--rule", "--format", "json"], obj=place)
    assert json.loads(told.stdout)["rule"] == registered.report.rule
    back = CliRunner().invoke(cli.promote, ["--target", "churn", "--unproven", "--format", "json"], obj=place)
    assert json.loads(back.stdout)["rule"] is None


def test_half_of_the_rows_without_a_value_are_no_obstacle(registered, small_company, plain):
    dataset, _ = small_company
    dice = np.random.default_rng(5)
    frame = dataset.frame.copy()
    for name in {rule.feature for rule in registered.judged.single_rules}:
        frame[name] = frame[name].where(dice.random(len(frame)) < 0.5, np.nan)
    best = judge_rule(dataclasses.replace(dataset, frame=frame), registered.judged, plain)
    assert np.isfinite(best.scored.probability).all()
    assert best.measures.metrics["roc_auc"] > 0.5
    assert pd.notna(best.measures.metrics["brier_skill"])
