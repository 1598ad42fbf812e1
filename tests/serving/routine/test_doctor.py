"""A home broken in each way: found, told with what to do, and repaired where that loses nothing."""

from __future__ import annotations

import json
import math
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from pathlib import Path

import pytest

from features.examination import Result
from features.home.home import Home
from features.settings.fields import Settings
from features.storage.lock import exclusive_lock
from features.storage.store import ManifestStore
from features.windows import DAY
from serving.doctor import examine_home, is_wrong
from tests.serving.routine.conftest import END, NOW, YESTERDAY, Household
from tests.shared import overwrite

pytestmark = pytest.mark.slow


def looked(settings: Settings, *, now: datetime = NOW, repair: bool = False) -> list[Result]:
    return examine_home(Home(settings), now=now, repair=repair)


def said(results: list[Result]) -> str:
    return "\n".join(f"{one.check} | {one.finding.what} | {one.finding.remedy}" for one in results)


def change(database: Path, *statements: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def first_file(settings: Settings, store: str) -> Path:
    return next(iter(sorted((settings.home / store).rglob("*.parquet"))))


# ---- the ways to break a home: what breaks it, what is said ----


def lose_events(settings: Settings) -> None:
    first_file(settings, "events").unlink()


def damage_rollup(settings: Settings) -> None:
    overwrite(first_file(settings, "rollups"), b"no parquet")


def damage_features(settings: Settings) -> None:
    first_file(settings, "features").unlink()


def leave_scratch(settings: Settings) -> None:
    (settings.home / "quarantine/.scratch-dead").mkdir()


def show_key(settings: Settings) -> None:
    (settings.home / "secret.key").chmod(0o644)


def lose_manifest(settings: Settings) -> None:
    (settings.home / "raw/_manifest.json").unlink()


def lose_key(settings: Settings) -> None:
    (settings.home / "secret.key").unlink()


def forget_a_day(settings: Settings) -> None:
    with ManifestStore(settings.home / "rollups").writer() as writer:
        writer.remove(max(day for day in writer.partitions if day.startswith("day=")))


def empty_registry(settings: Settings) -> None:
    (settings.home / "feast/registry.db").write_bytes(b"")


def damage_registry(settings: Settings) -> None:
    (settings.home / "feast/registry.db").write_bytes(b"no database" * 1000)


def damage_online(settings: Settings) -> None:
    with closing(sqlite3.connect(settings.home / "feast/online.db")) as connection:
        # Pages that still stand in the journal are read from there.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    with (settings.home / "feast/online.db").open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 8192)


def drop_guard(settings: Settings) -> None:
    change(settings.home / "feast/online.db", 'DROP TRIGGER "bellwether_errors_keep_newer"')


def undo_journal(settings: Settings) -> None:
    with closing(sqlite3.connect(settings.home / "feast/online.db")) as connection:
        connection.execute("PRAGMA journal_mode=DELETE").fetchall()


def lose_online_rows(settings: Settings) -> None:
    table = "bellwether_usage"
    key = f"(SELECT entity_key FROM {table} LIMIT 1)"
    change(settings.home / "feast/online.db", f"DELETE FROM {table} WHERE entity_key = {key}")


def lose_most_online_rows(settings: Settings) -> None:
    for table in online_tables(settings):
        keys = f'(SELECT entity_key FROM "{table}" ORDER BY entity_key LIMIT 90)'
        change(settings.home / "feast/online.db", f'DELETE FROM "{table}" WHERE entity_key IN {keys}')


def empty_online(settings: Settings) -> None:
    for table in online_tables(settings):
        change(settings.home / "feast/online.db", f'DELETE FROM "{table}"')


def cut_online_to_nothing(settings: Settings) -> None:
    lose_online(settings)
    (settings.home / "feast/online.db").touch()


def lose_online(settings: Settings) -> None:
    for file in (settings.home / "feast").glob("online.db*"):
        file.unlink()


def change_an_online_value(settings: Settings) -> None:
    """As a bit that flipped does: the least of a float's, of one account."""
    from feast.protos.feast.types.Value_pb2 import Value

    where = "feature_name = 'days_since_last_call' AND length(value) > 0"
    with closing(sqlite3.connect(settings.home / "feast/online.db")) as online, online:
        query = f"SELECT rowid, value FROM bellwether_usage WHERE {where} ORDER BY entity_key LIMIT 1"
        ((row, value),) = online.execute(query).fetchall()
        number = Value.FromString(value).double_val
        changed = Value(double_val=math.nextafter(number, math.inf)).SerializeToString()
        online.execute("UPDATE bellwether_usage SET value = ? WHERE rowid = ?", (changed, row))


def lose_an_online_value(settings: Settings) -> None:
    where = "feature_name = 'calls_7d'"
    change(
        settings.home / "feast/online.db",
        f"DELETE FROM bellwether_usage WHERE {where} AND entity_key = (SELECT min(entity_key) FROM bellwether_usage)",
    )


def online_tables(settings: Settings) -> list[str]:
    with closing(sqlite3.connect(settings.home / "feast/online.db")) as online:
        of_features = "type = 'table' AND sql LIKE '%entity_key%'"
        return [name for (name,) in online.execute(f"SELECT name FROM sqlite_master WHERE {of_features}")]


def lose_feature_store(settings: Settings) -> None:
    shutil.rmtree(settings.home / "feast")


def lose_model_registry(settings: Settings) -> None:
    for file in (settings.home / "mlflow").glob("mlflow.db*"):
        file.unlink()


def empty_model_registry(settings: Settings) -> None:
    lose_model_registry(settings)
    (settings.home / "mlflow/mlflow.db").touch()


def begin_another_model_registry(settings: Settings) -> None:
    """As `bellwether init` does where the database is gone."""
    from training.registry.migrations import migrate

    lose_model_registry(settings)
    migrate(Home(settings))


def empty_ledger(settings: Settings) -> None:
    lose_ledger(settings)
    (settings.home / "ledger.db").touch()


def damage_ledger(settings: Settings) -> None:
    lose_ledger(settings)
    (settings.home / "ledger.db").write_bytes(b"no database" * 1000)


def open_the_folder(settings: Settings) -> None:
    settings.home.chmod(0o777)


def replace_key(settings: Settings) -> None:
    (settings.home / "secret.key").write_text(64 * "a")


def leave_a_view_filling(settings: Settings) -> None:
    from feast import FeatureStore
    from feast.feature_view import FeatureViewState

    from features.feature_store.views import repo_config

    view = FeatureStore(config=repo_config(Home(settings))).get_feature_view("errors")
    view.state = FeatureViewState.MATERIALIZING
    with closing(sqlite3.connect(settings.home / "feast/registry.db")) as registry, registry:
        registry.execute(
            "UPDATE feature_views SET feature_view_proto = ? WHERE feature_view_name = 'errors'",
            (view.to_proto().SerializeToString(),),
        )


def drop_champion(settings: Settings) -> None:
    change(settings.home / "mlflow/mlflow.db", "DELETE FROM registered_model_aliases WHERE alias = 'champion'")


def delete_champions_version(settings: Settings) -> None:
    change(
        settings.home / "mlflow/mlflow.db",
        "UPDATE registered_model_aliases SET version = 9 WHERE alias = 'champion'",
    )


def lose_artifacts(settings: Settings) -> None:
    (bundle,) = (settings.home / "mlflow/artifacts").rglob("bundle/model.txt")
    bundle.write_text("another model")


def damage_bundle(settings: Settings) -> None:
    (model,) = (settings.home / "bundles").glob("*/model.txt")
    model.write_text("another model")


def lose_ledger(settings: Settings) -> None:
    for file in settings.home.glob("ledger.db*"):
        file.unlink()


Breakage = tuple[Callable[[Settings], None], str]

# What can be mended, together in as few homes as it can be told apart in.
MENDED: dict[str, list[Breakage]] = {
    "files": [
        (damage_rollup, "store rollups | 1 listed file is missing or damaged: rollups/day="),
        (damage_features, "store features | 1 listed file is missing or damaged: features/"),
        (leave_scratch, "A run that was killed has left 1 folder behind: quarantine/.scratch-dead"),
        (show_key, "Other users of this machine may read or write 1 file or folder: "),
        (forget_a_day, "rollups | 1 event day is not counted as it is now: 2026-06-25"),
        (lose_artifacts, "The artifacts of the champion of churn, version 1, are missing or not what was registered"),
        (lose_ledger, "There is no score ledger"),
    ],
    "online store": [
        (lose_online_rows, "1 view has not the 100 accounts of 2026-06-28 that were built: usage 99"),
        (change_an_online_value, "online.db differs from what was built of 2026-06-28 in 2 values of 1 account: "),
        (lose_an_online_value, "calls_7d of acct_000001, days_since_last_call of acct_000001. The service scores"),
        (leave_a_view_filling, "errors is being filled, or a run that filled it was killed"),
        (drop_guard, "online guards | bellwether_errors: nothing keeps an older row from replacing a newer one"),
        (undo_journal, "online.db has no write-ahead journal"),
    ],
    "registry emptied": [
        (empty_registry, "registry.db is empty, though features were applied before"),
        (damage_bundle, "The local copy of a bundle is damaged"),
    ],
    "databases damaged": [
        (damage_registry, "registry.db is damaged"),
        (damage_online, "online.db is damaged: the service cannot answer"),
    ],
}

# What was missed or taken for something else: found, each alone.
MISSED: list[Breakage] = [
    (lose_most_online_rows, "have not the 100 accounts of 2026-06-28 that were built: "),
    (empty_online, "online.db is empty, and 100 accounts of 2026-06-28 were copied into it: the service knows nobody"),
    (cut_online_to_nothing, "online.db is empty, and 100 accounts of 2026-06-28"),
    (lose_online, "online.db is missing: the service cannot answer"),
    (lose_feature_store, "Features are built and there is no feature store in "),
    (lose_model_registry, "mlflow.db is missing, and models were registered: 1 bundle lies in "),
    (empty_model_registry, "mlflow.db is empty, and models were registered: 1 bundle lies in "),
    (begin_another_model_registry, "bellwether-churn has no version and no champion in "),
    (empty_ledger, "ledger.db is empty: old runs are gone"),
    (damage_ledger, "ledger.db is damaged"),
    (open_the_folder, "Every user of this machine can write into "),
    (replace_key, "is not the key under which this home's tokens and users are stored"),
]
# Of these a repair leaves what only a backup or a person mends.
_LEFT_ALONE = {
    lose_model_registry,
    empty_model_registry,
    begin_another_model_registry,
    damage_ledger,
    open_the_folder,
    replace_key,
}

# What only a person can mend: it is told, and left.
LEFT: list[Breakage] = [
    (lose_events, "store events | 1 listed file is missing or damaged: events/day="),
    (lose_manifest, "/raw is gone: nobody can tell which files count. | Restore it from a backup"),
    (lose_key, "holds tokens and users stored under it. New ones would match none of them"),
    (drop_champion, "bellwether-churn has versions (1) and no champion"),
]


def test_a_whole_home_has_no_findings(yesterday: Household) -> None:
    assert said(looked(yesterday.settings)) == ""


@pytest.mark.parametrize("breakages", MENDED.values(), ids=MENDED)
def test_what_can_be_mended_is_found_told_and_repaired(own: Household, breakages: list[Breakage]) -> None:
    for broken, _ in breakages:
        broken(own.settings)
    found = looked(own.settings)
    assert all(one.finding.remedy and not one.is_repaired for one in found)
    for _, words in breakages:
        assert words in said(found)
    assert said([one for one in looked(own.settings, repair=True) if not one.is_repaired]) == ""
    assert said(looked(own.settings)) == ""


@pytest.mark.parametrize("breakage", MISSED, ids=[broken.__name__ for broken, _ in MISSED])
def test_no_damage_is_missed(own: Household, breakage: Breakage) -> None:
    broken, words = breakage
    broken(own.settings)
    wrong = [result for result in looked(own.settings) if not result.finding.is_remark]
    assert words in said(wrong)
    assert len(wrong) == 1
    left = [result for result in looked(own.settings, repair=True) if is_wrong(result)]
    assert bool(left) == (broken in _LEFT_ALONE)
    assert said([result for result in looked(own.settings) if is_wrong(result)]) == said(left)


def test_what_a_person_has_to_mend_is_told_and_left(own: Household) -> None:
    for broken, _ in LEFT:
        broken(own.settings)
    records = first_file(own.settings, "raw")
    left = said([one for one in looked(own.settings, repair=True) if not one.is_repaired])
    for _, words in LEFT:
        assert words in left
    assert records.exists()


def test_an_alias_of_a_version_that_is_gone_is_dropped(own: Household) -> None:
    delete_champions_version(own.settings)
    assert "The champion of bellwether-churn is version 9, which is gone" in said(looked(own.settings))
    left = said([one for one in looked(own.settings, repair=True) if not one.is_repaired])
    assert "has versions (1) and no champion" in left
    assert "version 9" not in left


def test_a_registry_of_another_mlflow_is_told(own: Household) -> None:
    change(own.settings.home / "mlflow/mlflow.db", "UPDATE alembic_version SET version_num = '451aebb31d03'")
    assert "registry schema | The model registry has the schema of another MLflow" in said(looked(own.settings))


def test_a_clock_that_jumps_back_is_told(own: Household) -> None:
    found = said(looked(own.settings, now=YESTERDAY - DAY))
    assert "clock | 1 cutoff is built that had not come at 2026-06-27 00:00 UTC: 2026-06-28" in found
    assert "runs of the future | 1 score run is of a time that had not come at 2026-06-27 00:00 UTC" in found
    assert "online rows of the future | Online rows are of 2026-06-28" in found


def test_under_a_clock_that_is_behind_no_online_row_is_removed(own: Household) -> None:
    from features.feature_store.store import open_store

    left = [one for one in looked(own.settings, now=YESTERDAY - 8 * DAY, repair=True) if not one.is_repaired]
    assert {"clock", "online rows of the future", "runs of the future"} <= {one.check for one in left}
    assert "Many events happened after this clock, so it is the clock that is wrong: set it" in said(left)
    assert open_store(Home(own.settings)).materialized_cutoff() == YESTERDAY


def test_online_rows_of_the_future_are_removed(own: Household) -> None:
    """A night that ran while the clock was wrong fills the store with what nothing true can replace."""
    from features.build.build import build
    from features.feature_store.store import open_store

    ahead = END + 300 * DAY
    build(Home(own.settings), [ahead], now=ahead + DAY)
    open_store(Home(own.settings)).materialize(ahead)
    with ManifestStore(own.settings.home / "features").writer() as writer:
        for partition in [name for name in writer.partitions if name.endswith(f"{ahead:%Y-%m-%d}")]:
            writer.remove(partition)
    assert "they would keep every true row out until then" in said(looked(own.settings))
    left = [one for one in looked(own.settings, repair=True) if not one.is_repaired]
    assert said(left) == ""
    assert said(looked(own.settings)) == ""
    assert open_store(Home(own.settings)).materialized_cutoff() == YESTERDAY


def test_a_writer_at_work_is_told_and_left_alone(own: Household) -> None:
    with exclusive_lock(own.settings.home / "features"):
        found = looked(own.settings, repair=True)
    assert "locks | A process is writing to features" in said([one for one in found if not one.is_repaired])


def test_a_moved_home_scores_and_trains_in_its_own_folder(own: Household, tmp_path: Path) -> None:
    from serving.routine.batch import score_batch
    from tests.serving.conftest import make_bundle, register_bundle
    from training.registry.promotion import promote

    there = Path(shutil.move(own.settings.home, tmp_path / "moved"))
    moved = own.settings.model_copy(update={"home": there})
    shutil.rmtree(there / "bundles")
    assert score_batch(Home(moved), now=NOW).targets[0].version == "1"  # its bundle came from this home's artifacts
    assert "The home was moved" in said(looked(moved))
    assert all(one.is_repaired for one in looked(moved, repair=True))
    assert looked(moved) == []

    again = Path(shutil.copytree(there, tmp_path / "again"))
    shutil.rmtree(there)
    copy = moved.model_copy(update={"home": again})
    _, version = register_bundle(copy, make_bundle(seed=2), tmp_path)
    promote(Home(copy), "churn", version="1")
    assert version == "2"
    assert not there.exists()
    assert len(list((again / "mlflow/artifacts").rglob("bundle/model.txt"))) == 2
    assert said(looked(copy)) == ""


def test_the_command_leaves_with_what_it_found(own: Household, capsys: pytest.CaptureFixture[str]) -> None:
    import serving.cli

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as left:
            serving.cli.main.main(["--home", str(own.settings.home), "doctor", *arguments])
        return int(left.value.code or 0)

    leave_scratch(own.settings)
    assert run() == 0  # a copied home is a moved home
    out, err = capsys.readouterr()
    assert [line.split()[:2] for line in out.splitlines()[2:]] == [["remark", "store"], ["remark", "registry"]]
    assert "nothing is wrong." in err
    drop_guard(own.settings)
    assert run("--format", "json") == 1
    out, err = capsys.readouterr()
    (guard, leaving, moved) = json.loads(out)
    assert (guard["check"], guard["is"]) == ("online guards", "WRONG")
    assert (leaving["check"], leaving["is"]) == ("store quarantine", "remark")
    assert "A run that was killed has left 1 folder behind" in leaving["finding"]
    assert (moved["check"], moved["is"]) == ("registry addresses", "remark")
    assert "checks: 1 wrong." in err
    assert run("--repair") == 0
    assert "nothing is wrong, 3 repaired. What was there before lies in" in capsys.readouterr().err
    assert run() == 0
    assert capsys.readouterr().out == ""
