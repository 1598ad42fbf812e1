"""Whatever commands ran before, in whatever order: the doctor finds nothing wrong with an undamaged home."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import hypothesis.strategies as st
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, Phase, given, settings

from features.home.home import Home
from features.settings.load import load_settings
from serving.cli import main
from tests.serving.conftest import make_bundle, register_bundle
from tests.serving.routine.conftest import END, NOW, Household
from training.models.bundle import Verdict

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def _at_noon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("serving", "features"):
        monkeypatch.setattr(f"{module}.cli._now", lambda: NOW)


def run(home: Home, *command: str) -> Result:
    outcome = CliRunner().invoke(main, command, obj=home)
    assert isinstance(outcome.exception, SystemExit | None), (command, outcome.exception, outcome.output)
    return outcome


def assert_nothing_wrong(home: Home, after: object) -> None:
    outcome = run(home, "doctor")
    assert (outcome.exit_code, "WRONG" in outcome.output) == (0, False), f"after {after}: {outcome.output}"


def ingest_a_day(household: Household, _: Path) -> None:
    assert run(household.home, "ingest", "--events", str(household.newest_days[0])).exit_code == 0


def ingest_what_came_late(household: Household, folder: Path) -> None:
    """Calls of a day that is stored: its file is replaced, and the old one lies there until the next writer."""
    calls = {"account_id": ["acct_000001"], "event_time": ["2026-06-20T10:00:00Z"], "event_id": ["late"]}
    pq.write_table(pa.table(calls), folder / "late.parquet")
    assert run(household.home, "ingest", "--events", str(folder / "late.parquet")).exit_code == 0


def deliver_and_run_a_night(household: Household, _: Path) -> None:
    household.deliver(*household.newest_days[1:])
    assert run(household.home, "nightly").exit_code == 0


def try_a_model_that_is_refused(household: Household, folder: Path) -> None:
    verdict = Verdict("refused", "It ranks no better than the days since the last call.")
    refused = replace(make_bundle(seed=3), verdict=verdict)
    _, version = register_bundle(household.settings, refused, folder)
    assert run(household.home, "promote", "--target", "churn", "--version", version).exit_code == 4


def try_a_model_of_another_target(household: Household, folder: Path) -> None:
    """Registered as upsell's challenger, and nobody promotes it."""
    register_bundle(household.settings, replace(make_bundle(seed=4), target="upsell"), folder)


def _command(*words: str, code: int = 0) -> Callable[[Household, Path], None]:
    def step(household: Household, _: Path) -> None:
        outcome = run(household.home, *words)
        assert outcome.exit_code == code, outcome.output

    step.__name__ = " ".join(words)
    return step


STEPS = (
    ingest_a_day,
    ingest_what_came_late,
    deliver_and_run_a_night,
    try_a_model_that_is_refused,
    try_a_model_of_another_target,
    _command("features", "build", "--from", f"{END:%Y-%m-%d}", "--to", f"{END:%Y-%m-%d}"),
    _command("features", "apply"),
    _command("features", "materialize"),
    _command("train", code=1),  # no cutoff is closed
    _command("promote", "--target", "churn", "--version", "1"),
    _command("score", "--top", "1"),
    _command("doctor", "--repair"),
)


@settings(
    max_examples=2,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(order=st.permutations(STEPS).map(lambda steps: steps[:6]))
def test_no_order_of_commands_leaves_anything_wrong(
    yesterday: Household, tmp_path_factory: pytest.TempPathFactory, order: list[Callable[[Household, Path], None]]
) -> None:
    folder = tmp_path_factory.mktemp("own")
    household = yesterday.copy_to(folder)
    run(household.home, "doctor", "--repair")  # a copied home is a moved home
    for step in order:
        step(household, folder)
        assert_nothing_wrong(household.home, step.__name__)


def test_a_home_has_nothing_wrong_at_any_moment_of_its_beginning(
    yesterday: Household, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    home = Home(load_settings(home=tmp_path / "home", stale_after_hours=1e6))
    events = str(yesterday.newest_days[0])
    day = ("--from", f"{END:%Y-%m-%d}", "--to", f"{END:%Y-%m-%d}")
    for words in (("ingest", "--events", events), ("features", "build", *day), ("features", "apply")):
        assert run(home, *words).exit_code == 0
        assert_nothing_wrong(home, words)
    register_bundle(home.settings, make_bundle(), tmp_path)
    assert_nothing_wrong(home, "train")
    for words in (("promote", "--target", "churn"), ("features", "materialize"), ("score",), ("init",)):
        assert run(home, *words).exit_code == 0
        assert_nothing_wrong(home, words)


def test_an_empty_folder_is_no_home(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    outcome = run(Home(load_settings(home=tmp_path / "empty")), "doctor")
    assert outcome.exit_code == 2
    assert f"{tmp_path / 'empty'} is no home: it is empty" in outcome.stderr
