"""The models a worker serves, while the registry changes under it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from features.exceptions import DependencyError
from features.home.home import Home
from features.settings.load import load_settings
from serving.http_api import live_champions as live
from serving.http_api.live_champions import LiveChampions
from serving.http_api.meters import Meters
from tests.serving.conftest import Place, make_bundle
from training.models.bundle import Bundle, BundleError, write
from training.registry.mlflow_client import tracking_address

NAME = "bellwether-churn"
GONE = "The registry has no champion of this target any more."


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Bundles that were loaded in a process of their own; no process is started."""
    loaded: list[str] = []
    monkeypatch.setattr(live, "check_apart", lambda _folder, *, sha256: loaded.append(sha256))
    return loaded


@pytest.fixture
def client(copied: Place) -> Iterator[Any]:
    """MLflow's own client: what a hand beside ours would use."""
    import mlflow

    before = mlflow.get_tracking_uri()
    # ``create_model_version`` looks up "models:/" sources at the address of the process, not at its client's.
    mlflow.set_tracking_uri(tracking_address(copied.home))
    yield mlflow.MlflowClient(*[tracking_address(copied.home)] * 2)
    mlflow.set_tracking_uri(before)


class Told(Meters):
    """Keeps what it was told; the real ones of one process share their files."""

    def __init__(self) -> None:
        super().__init__()
        self.versions: list[str] = []
        self.refusals = 0

    def served(self, target: str, version: str) -> None:
        self.versions.append(version)

    def refused(self, target: str, *, times: int = 1) -> None:
        self.refusals += times


def looking(place: Place) -> LiveChampions:
    champions = LiveChampions(Home(place.settings), Told())
    champions.refresh()
    return champions


def told(champions: LiveChampions) -> Told:
    assert isinstance(champions._meters, Told)
    return champions._meters


def test_a_champion_that_does_not_verify_is_refused_and_the_last_good_one_stays(
    copied: Place, client: Any, apart: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    running = looking(copied)
    assert running.scorers["churn"].version == "1"
    client.set_registered_model_alias(NAME, "champion", "2")
    client.set_model_version_tag(NAME, "2", "bundle_sha256", "0" * 64)
    for _ in range(3):
        running.refresh()
    assert running.scorers["churn"].version == "1"
    assert "does not verify and was refused" in running.served.notes["churn"]
    assert "Version 1 stays" in running.served.notes["churn"]
    assert told(running).refusals == 1
    assert caplog.text.count("The champion of churn stays as it was") == 1
    assert not looking(copied).scorers
    client.set_model_version_tag(NAME, "2", "bundle_sha256", copied.challenger_sha256)
    running.refresh()
    assert (running.scorers["churn"].version, running.served.notes) == ("2", {})
    assert told(running).versions == ["1", "2"]


def test_a_model_is_loaded_in_a_process_of_its_own_first_and_once(copied: Place, client: Any, apart: list[str]) -> None:
    running = looking(copied)
    for version in ("2", "1", "2"):
        client.set_registered_model_alias(NAME, "champion", version)
        running.refresh()
    assert apart == [copied.champion_sha256, copied.challenger_sha256]


@pytest.mark.slow
def test_a_model_that_would_abort_the_process_is_refused(copied: Place, tmp_path: Path, client: Any) -> None:
    running = looking(copied)
    good = make_bundle(seed=3)
    # Registered behind our back: its hashes are right, and LightGBM aborts the process that reads it.
    text = good.model_text
    broken = replace(good, model_text=text[: text.index("left_child=")] + "left_child=1 2\n\n")
    sha256, version = _smuggled(copied, broken, tmp_path, client)
    client.set_registered_model_alias(NAME, "champion", version)
    running.refresh()
    assert running.scorers["churn"].version == "1"
    assert told(running).refusals == 1
    assert sha256 in running._failed


def _smuggled(place: Place, broken: Bundle, scratch: Path, client: Any) -> tuple[str, str]:
    """Register a bundle that :func:`training.registry.registry.register` would refuse; its SHA-256 and version."""
    sha256 = write(broken, scratch / "bundle")
    shutil.copytree(scratch / "bundle", place.settings.home / "bundles" / sha256)
    first = client.get_model_version(NAME, "1")
    version = client.create_model_version(NAME, source=first.source, run_id=first.run_id)
    client.set_model_version_tag(NAME, version.version, "bundle_sha256", sha256)
    return sha256, str(version.version)


def test_one_that_did_not_load_apart_is_tried_again_after_some_looks(
    copied: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[str] = []

    def dies(_folder: Path, *, sha256: str) -> None:
        tried.append(sha256)
        if len(tried) == 1:
            raise BundleError("out of memory")

    monkeypatch.setattr(live, "check_apart", dies)
    monkeypatch.setattr(live, "_PATIENCE", 2)
    running = LiveChampions(Home(copied.settings))
    seen = []
    for _ in range(4):
        running.refresh()
        seen.append((len(tried), "churn" in running.scorers))
    assert seen == [(1, False), (1, False), (1, False), (2, True)]


def test_a_version_with_another_bundle_is_loaded(copied: Place, client: Any, apart: list[str]) -> None:
    running = looking(copied)
    second = client.get_model_version(NAME, "2")
    again = client.create_model_version(NAME, source=second.source, run_id=second.run_id)
    client.set_model_version_tag(NAME, again.version, "bundle_sha256", copied.challenger_sha256)
    # As in a registry that began anew: the number served before now belongs to another bundle.
    served = replace(running.scorers["churn"], version=str(again.version))
    running._served = replace(running.served, scorers={"churn": served})
    client.set_registered_model_alias(NAME, "champion", again.version)
    running.refresh()
    assert running.scorers["churn"].sha256 == copied.challenger_sha256


@pytest.mark.parametrize(
    ("lose", "text"),
    [
        (lambda client, home: client.delete_model_version(NAME, "1"), GONE),
        (lambda client, home: client.delete_registered_model_alias(NAME, "champion"), GONE),
        (lambda client, home: (home / "mlflow" / "mlflow.db").rename(home / "lost.db"), "The registry is away."),
    ],
    ids=["version", "alias", "database"],
)
def test_a_champion_lost_behind_our_back_is_still_served_and_it_is_said(
    copied: Place,
    client: Any,
    apart: list[str],
    caplog: pytest.LogCaptureFixture,
    lose: Callable[[Any, Path], object],
    text: str,
) -> None:
    running = looking(copied)
    lose(client, copied.settings.home)
    for _ in range(3):
        running.refresh()
    assert running.scorers["churn"].version == "1"
    assert running.served.notes["churn"] == f"{text} Version 1 stays."
    assert caplog.text.count(text) == 1
    assert not looking(copied).scorers


def test_a_file_is_asked_only_when_it_changed_and_any_other_registry_at_each_look(
    copied: Place, apart: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def identity(_settings: Any, target: str) -> tuple[str, str] | None:
        asked.append(target)
        return None

    monkeypatch.setattr(live, "TARGETS", {"churn": None})
    monkeypatch.setattr(live, "champion_identity", identity)
    champions = LiveChampions(Home(copied.settings))
    for _ in range(5):
        champions.refresh()
    # The second look makes sure that nothing was written within the first one's tick of the clock.
    assert len(asked) == 2
    monkeypatch.setattr(live, "tracking_address", lambda _settings: "postgresql://registry/mlflow")
    for _ in range(3):
        champions.refresh()
    assert len(asked) == 5


def test_a_registry_that_is_away_changes_nothing(
    copied: Place, apart: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    running = looking(copied)

    def away(_settings: Any, _target: str) -> None:
        raise DependencyError("no route to postgresql://user:secret@registry")

    monkeypatch.setattr(live, "champion_identity", away)
    monkeypatch.setattr(live, "tracking_address", lambda _settings: "postgresql://registry/mlflow")
    running.refresh()
    assert running.scorers["churn"].version == "1"
    assert running.served.notes["churn"] == "The registry cannot be read; the log says why. Version 1 stays."
    assert told(running).refusals == 0


def test_a_registry_that_cannot_be_read_does_not_keep_the_service_from_starting(tmp_path: Path) -> None:
    (tmp_path / "mlflow").mkdir()
    (tmp_path / "mlflow" / "mlflow.db").write_bytes(b"no database " * 1000)
    champions = LiveChampions(Home(load_settings(home=tmp_path)))
    champions.start()
    champions.stop()
    assert not champions.scorers


def test_a_set_of_models_is_never_changed_in_place(copied: Place, client: Any, apart: list[str]) -> None:
    running = looking(copied)
    before = running.served
    client.set_registered_model_alias(NAME, "champion", "2")
    running.refresh()
    assert before.scorers["churn"].version == "1"
    assert running.served.scorers["churn"].version == "2"


def promoted_copy(place: Place, client: Any, folder: Path) -> Path:
    """The registry's file as it is once version 2 is champion; the file itself stays as it was."""
    database = place.home.mlflow_database
    before = shutil.copyfile(database, folder / "before.db")
    client.set_registered_model_alias(NAME, "champion", "2")
    after = shutil.copyfile(database, folder / "after.db")
    client.set_registered_model_alias(NAME, "champion", "1")
    before.unlink()
    return after


def test_a_registry_restored_by_rename_is_opened_anew(
    copied: Place, client: Any, apart: list[str], tmp_path: Path
) -> None:
    after = promoted_copy(copied, client, tmp_path)
    running = looking(copied)
    assert running.scorers["churn"].version == "1"
    after.replace(copied.home.mlflow_database)
    running.refresh()
    assert running.scorers["churn"].version == "2"
    assert running.fault() is None


@pytest.mark.parametrize("bytes_left", [0, 10_000])
def test_a_registry_taken_away_or_cut_short_is_told_and_read_again_when_it_is_back(
    copied: Place, client: Any, apart: list[str], tmp_path: Path, bytes_left: int
) -> None:
    after, database = promoted_copy(copied, client, tmp_path), copied.home.mlflow_database
    running = looking(copied)
    if bytes_left:
        os.truncate(database, bytes_left)
    else:
        database.rename(tmp_path / "elsewhere.db")
    for _ in range(2):
        running.refresh()
    fault = running.fault()
    assert fault is not None
    assert (fault.name, fault.fault.partition(":")[0]) == (
        "mlflow/mlflow.db",
        "is damaged" if bytes_left else "is missing",
    )
    assert running.scorers["churn"].version == "1"
    after.replace(database)
    running.refresh()
    assert running.scorers["churn"].version == "2"
    assert (running.fault(), running.served.notes) == (None, {})


def test_a_replaced_folder_of_bundles_changes_nothing_and_the_next_promotion_fills_it(
    copied: Place, client: Any, apart: list[str], tmp_path: Path
) -> None:
    running = looking(copied)
    copied.home.bundles.rename(tmp_path / "bundles")
    copied.home.bundles.mkdir()
    running.refresh()
    assert (running.scorers["churn"].version, running.served.notes) == ("1", {})
    client.set_registered_model_alias(NAME, "champion", "2")
    running.refresh()
    assert running.scorers["churn"].version == "2"
    assert [path.name for path in copied.home.bundles.iterdir()] == [copied.challenger_sha256]
