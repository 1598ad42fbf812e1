"""The feature store: what is written by cutoff comes back by account, whole, in order, or with an error that helps."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from features.definitions.catalog import (
    BUILT_IN,
    CATALOG,
    GROUPS,
    NEWEST_SERVICE,
    SERVICES,
    features_of_service,
    spec,
)
from features.exceptions import DependencyError, InputError, LockHeldError, WorkFailedError
from features.home.home import Home
from features.offline.files import file_schema, files_of_group
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.storage.lock import exclusive_lock
from features.storage.store import ManifestStore
from features.windows import as_cutoff, cutoff_day, utc
from tests.shared import flip_a_bit

FIRST, SECOND, THIRD = utc(2026, 6, 15), utc(2026, 6, 22), utc(2026, 6, 29)
BUILT = {"2026-06-15": ["a", "b", "c"], "2026-06-22": ["a", "b", "c", "d"], "2026-06-29": ["a", "b", "c", "d"]}
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory, write_features: Callable[..., None]) -> Settings:
    """Three cutoffs built, the second one online. Do not write to it."""
    from features.feature_store.store import open_store

    settings = load_settings(home=tmp_path_factory.mktemp("store"))
    write_features(settings.home, BUILT)
    store = open_store(Home(settings))
    store.apply()
    store.materialize(SECOND)
    return settings


@pytest.fixture
def own(at_rest: Settings, tmp_path: Path) -> Settings:
    """The same in a home of the test's own."""
    shutil.copytree(at_rest.home, tmp_path / "home")
    return at_rest.model_copy(update={"home": tmp_path / "home"})


def opened(settings: Settings) -> Any:
    from features.feature_store.store import open_store

    return open_store(Home(settings))


def rows(*pairs: tuple[str, str]) -> pd.DataFrame:
    accounts, dates = zip(*pairs, strict=True)
    return pd.DataFrame({"account_id": accounts, "event_timestamp": pd.to_datetime(dates, utc=True)})


def built(settings: Settings, account: str, date: str) -> dict[str, Any]:
    """An account's features at a cutoff, read from the files without the store."""
    found: dict[str, Any] = {}
    for group in GROUPS:
        (file,) = ManifestStore(settings.home / "features").files(f"{group}/cutoff={date}")
        (row,) = [row for row in pq.read_table(file).to_pylist() if row["account_id"] == account]
        found |= row
    return found


def same(value: Any, stored: Any) -> bool:
    return (value is None or np.isnan(value)) if stored is None else value == stored


# ---- historical ----


def test_a_row_has_the_features_of_its_account_and_cutoff_bit_for_bit(at_rest: Settings) -> None:
    frame = opened(at_rest).historical(rows(("b", "2026-06-22"), ("a", "2026-06-15"), ("d", "2026-06-29")))
    for row in frame.to_dict("records"):
        stored = built(at_rest, row["account_id"], str(row["event_timestamp"].date()))
        assert all(same(row[feature.name], stored[feature.name]) for feature in CATALOG)


def test_rows_come_back_in_their_order_repeated_ones_too(at_rest: Settings) -> None:
    asked = rows(*[(account, date) for date in reversed(BUILT) for account in (*BUILT[date], "a")] * 3)
    frame = opened(at_rest).historical(asked.sample(frac=1, random_state=3))
    expected = asked.sample(frac=1, random_state=3).reset_index(drop=True)
    assert frame["account_id"].tolist() == expected["account_id"].tolist()
    assert frame["event_timestamp"].tolist() == expected["event_timestamp"].tolist()


def test_columns_are_the_services_in_its_order_numbers_as_float64(at_rest: Settings) -> None:
    frame = opened(at_rest).historical(rows(("a", "2026-06-15")))
    names = [feature.name for feature in features_of_service(NEWEST_SERVICE)]
    assert frame.columns.tolist() == ["account_id", "event_timestamp", *names]
    assert str(frame["event_timestamp"].dtype) == "datetime64[us, UTC]"
    for name in names:
        assert frame[name].dtype == (object if spec(name).kind == "category" else np.float64)


def test_no_rows_give_a_frame_without_rows(at_rest: Settings) -> None:
    frame = opened(at_rest).historical(rows(("a", "2026-06-15")).iloc[:0])
    assert frame.shape == (0, 2 + len(features_of_service(NEWEST_SERVICE)))


def test_rows_without_features_of_their_cutoff_are_named(at_rest: Settings) -> None:
    asked = rows(("a", "2026-06-15"), ("d", "2026-06-15"), ("a", "2026-06-08"))
    with pytest.raises(
        WorkFailedError,
        match=r"2 of 3 rows .* in usage, errors.*: d at 2026-06-15, a at 2026-06-08\. "
        r"Run `bellwether features build --from 2026-06-08 --to 2026-06-15`",
    ):
        opened(at_rest).historical(asked)


def test_a_group_that_was_not_built_is_named(own: Settings) -> None:
    with ManifestStore(own.home / "features").writer() as writer:
        writer.remove("latency/cutoff=2026-06-22")
    with pytest.raises(WorkFailedError, match=r"1 of 1 rows .* in latency: a at 2026-06-22"):
        opened(own).historical(rows(("a", "2026-06-22")))


@pytest.mark.parametrize("damage", [lambda file: file.unlink(), flip_a_bit])
def test_a_damaged_file_of_features_is_named(own: Settings, damage: Callable[[Path], object]) -> None:
    (file,) = ManifestStore(own.home / "features").files("errors/cutoff=2026-06-29")
    damage(file)
    message = r"1 file is damaged or missing: .*/errors-.*`bellwether doctor --repair`"
    with pytest.raises(WorkFailedError, match=message):
        opened(own).historical(rows(("a", "2026-06-29")))
    with pytest.raises(WorkFailedError, match=message):
        opened(own).materialize(THIRD)


def test_reading_leaves_no_engine_open_and_spills_into_the_home(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    import features.feature_store.offline_store

    made, closed = [], []
    engine = features.feature_store.offline_store.duckdb_engine

    def watched(**options: Any) -> Any:
        one = engine(**options)
        made.append(options["spill"].parent)
        close = one.close
        one.close = lambda: (closed.append(one), close())
        return one

    monkeypatch.setattr(features.feature_store.offline_store, "duckdb_engine", watched)
    opened(own).historical(rows(("a", "2026-06-29")))
    assert made == [own.home / "spill"]
    assert len(closed) == 1
    opened(own).materialize(SECOND)  # eight views, one engine
    assert len(made) == len(closed) == 2


def test_the_same_read_is_compiled_once_whatever_home_rows_and_files(
    at_rest: Settings, tmp_path: Path, write_features: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = load_settings(home=tmp_path / "other")
    write_features(other.home, {"2026-06-22": ["b", "x", "y"]}, seed=5)
    opened(other).apply()
    opened(at_rest).historical(rows(("a", "2026-06-15"), ("d", "2026-06-29")))
    monkeypatch.setattr("features.feature_store.reads.prepare", lambda _: pytest.fail("compiled again"))
    frame = opened(other).historical(rows(("y", "2026-06-22"), ("b", "2026-06-22"), ("y", "2026-06-22")))
    assert frame["account_id"].tolist() == ["y", "b", "y"]
    for row in frame.to_dict("records"):
        stored = built(other, row["account_id"], "2026-06-22")
        assert all(same(row[feature.name], stored[feature.name]) for feature in CATALOG)


def test_an_account_twice_at_a_cutoff_gives_one_row(own: Settings, write_features: Callable[..., None]) -> None:
    write_features(own.home, {"2026-06-22": ["a", "a", "b"]})
    assert len(opened(own).historical(rows(("a", "2026-06-22"), ("b", "2026-06-22")))) == 2


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (pd.DataFrame({"account_id": ["a"]}), "no column event_timestamp"),
        (rows(("a", "2026-06-15")).assign(account_id=[7]), "1 account ids are no text: 7"),
        (rows(("a", "2026-06-15")).assign(account_id=[None]), "1 account ids are no text: None"),
        (rows(("a", "2026-06-15 00:30")), r"1 times are no cutoff: 2026-06-15 00:30.*A cutoff is a UTC midnight"),
        (rows(("a", "2026-06-15")).assign(event_timestamp=pd.Timestamp("2026-06-15")), "not times with a zone"),
        (
            rows(("a", "2026-06-15")).assign(event_timestamp=pd.DatetimeIndex([pd.NaT], tz="UTC")),
            "NaT",
        ),
    ],
)
def test_rows_that_cannot_be_read_are_refused(at_rest: Settings, asked: pd.DataFrame, message: str) -> None:
    with pytest.raises(InputError, match=message):
        opened(at_rest).historical(asked)


def test_an_unknown_service_is_refused(at_rest: Settings) -> None:
    with pytest.raises(InputError, match=r"no feature service 'churn_v9'\. There are: churn_v1"):
        opened(at_rest).historical(rows(("a", "2026-06-15")), service="churn_v9")


def test_the_rows_asked_for_are_left_as_they_were(at_rest: Settings) -> None:
    asked = rows(("a", "2026-06-15"))
    before = asked.copy(deep=True)
    opened(at_rest).historical(asked)
    pd.testing.assert_frame_equal(asked, before)


# ---- online ----


def test_online_and_offline_values_are_equal_to_the_bit(at_rest: Settings) -> None:
    store = opened(at_rest)
    online = store.online(["d", "a", "c"])
    offline = store.historical(rows(*((account, "2026-06-22") for account in ("d", "a", "c"))))
    for name, values in online.values.items():
        assert values.dtype == offline[name].dtype
        np.testing.assert_array_equal(values, offline[name].to_numpy())


def test_an_unknown_account_is_told_by_the_days(at_rest: Settings) -> None:
    online = opened(at_rest).online(["a", "nobody", "A", "a"])
    assert online.account_ids == ("a", "nobody", "A", "a")
    assert online.known.tolist() == [True, False, False, True]
    assert online.mixed.tolist() == [False] * 4
    assert online.oldest_days[[0, 3]].tolist() == [cutoff_day(SECOND)] * 2
    assert np.isnan(online.oldest_days[1])


def test_no_accounts_give_no_rows(at_rest: Settings) -> None:
    online = opened(at_rest).online([])
    assert online.known.shape == (0,)
    assert all(len(values) == 0 for values in online.values.values())


def test_more_accounts_than_one_read_takes_come_back_in_order(at_rest: Settings) -> None:
    asked = [("a", "b", "nobody")[i % 3] for i in range(2500)]
    online = opened(at_rest).online(asked)
    assert online.known.tolist() == [account != "nobody" for account in asked]
    one = opened(at_rest).online(["a"]).values["calls_7d"][0]
    assert set(online.values["calls_7d"][::3]) == {one}


@pytest.mark.parametrize("ids", [["a", 7], ["a", ""], ["a", None], "abc"])
def test_account_ids_that_are_no_text_are_refused(at_rest: Settings, ids: Any) -> None:
    with pytest.raises(InputError, match="Account ids are a list of texts"):
        opened(at_rest).online(ids)


def test_threads_may_share_a_store(at_rest: Settings) -> None:
    store, failures = opened(at_rest), []
    expected = store.online(["a", "b"]).values["calls_7d"].tolist()
    frame = store.historical(rows(("a", "2026-06-15")))

    def read() -> None:
        try:
            for _ in range(10):
                assert store.online(["a", "b"]).values["calls_7d"].tolist() == expected
            pd.testing.assert_frame_equal(store.historical(rows(("a", "2026-06-15"))), frame)
        except Exception as error:  # noqa: BLE001  # a thread's failure must reach the test
            failures.append(error)

    threads = [threading.Thread(target=read) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


# ---- apply and materialize ----


def test_applying_again_changes_nothing(own: Settings) -> None:
    store = opened(own)
    before = store.online(["a"])
    assert store.apply() == [*GROUPS, *SERVICES]
    assert store.materialized_cutoff() == SECOND
    np.testing.assert_array_equal(store.online(["a"]).values["mrr"], before.values["mrr"])


@pytest.mark.parametrize(("earlier", "newest"), [("churn_v1", "churn_v2"), ("churn_v2", "churn_v3")])
def test_a_home_of_earlier_services_goes_on_serving_them(
    own: Settings, monkeypatch: pytest.MonkeyPatch, earlier: str, newest: str
) -> None:
    release = earlier[-3:]
    services = {name: features for name, features in SERVICES.items() if name[-3:] <= release}
    read = [spec(name).group for name in services[earlier]]
    views = {group: features for group, features in BUILT_IN.views.items() if group in read}
    shutil.rmtree(own.home / "feast")
    with monkeypatch.context() as patch:
        patch.setattr(Home, "catalog", replace(BUILT_IN, services=services, views=views))
        before = opened(own)
        before.apply()
        before.materialize(SECOND)
    store = opened(own)
    store.ping()
    assert store.online(["a"], service=earlier).known.all()
    with pytest.raises(DependencyError, match=r"features apply"):
        store.online(["a"], service=newest)
    store.apply()
    assert not store.online(["a"], service=earlier).mixed.any()
    assert store.online(["a"], service=newest).mixed.all()  # the new groups are not filled yet
    store.materialize(SECOND)
    assert not store.online(["a"], service=newest).mixed.any()


def test_materializing_says_how_many_accounts_and_how_far_it_is(own: Settings) -> None:
    stages: list[tuple[str, int, int]] = []
    store = opened(own)
    assert store.materialize(THIRD, progress=lambda *stage: stages.append(stage)) == 4
    assert stages == [("materialize", done, len(GROUPS)) for done in range(1, len(GROUPS) + 1)]
    assert store.materialized_cutoff() == THIRD
    assert set(store.online(["a"]).oldest_days) == {cutoff_day(THIRD)}


def test_materializing_prints_nothing(own: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    opened(own).materialize(THIRD)
    assert capsys.readouterr().out == ""


def test_a_corrected_row_of_the_same_cutoff_replaces_the_old(
    own: Settings, write_features: Callable[..., None]
) -> None:
    store = opened(own)
    write_features(own.home, {"2026-06-22": BUILT["2026-06-22"]}, seed=1)
    store.materialize(SECOND)
    stored = built(own, "a", "2026-06-22")
    online = store.online(["a"])
    assert all(same(online.values[feature.name][0], stored[feature.name]) for feature in CATALOG)


def test_an_account_that_left_is_forgotten_online(own: Settings, write_features: Callable[..., None]) -> None:
    store = opened(own)
    write_features(own.home, {"2026-06-22": ["a", "b", "c"], "2026-06-29": ["a", "c"]})
    assert store.materialize(SECOND) == 3
    assert store.online(["a", "d"]).known.tolist() == [True, False]
    assert store.materialize(THIRD) == 2
    assert store.online(["a", "b", "c"]).known.tolist() == [True, False, True]


def test_a_cutoff_that_is_not_built_is_refused(own: Settings) -> None:
    with pytest.raises(
        InputError, match=r"2026-06-14 is not built .*newest first: 2026-06-29, 2026-06-22.*--from 2026-06-14"
    ):
        opened(own).materialize(utc(2026, 6, 14))


def test_a_cutoff_built_under_other_settings_is_refused(own: Settings) -> None:
    other = own.model_copy(update={"slow_call_ms": 50.0})
    with pytest.raises(InputError, match=r"2026-06-29 was built under other settings.*--from 2026-06-29 --to 2026"):
        opened(other).materialize(THIRD)


def test_a_cutoff_older_than_the_one_online_is_refused(own: Settings) -> None:
    with pytest.raises(InputError, match="already holds 2026-06-22, newer than 2026-06-15"):
        opened(own).materialize(FIRST)


def test_groups_of_different_accounts_are_refused(own: Settings, write_features: Callable[..., None]) -> None:
    write_features(own.home, {"2026-06-29": ["a"]}, groups=["errors"])
    with pytest.raises(WorkFailedError, match="differ in their accounts: usage 4, errors 1"):
        opened(own).materialize(THIRD)


def test_accounts_that_did_not_arrive_online_are_counted(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast.infra.online_stores.sqlite import SqliteOnlineStore

    write = SqliteOnlineStore.online_write_batch
    monkeypatch.setattr(
        SqliteOnlineStore,
        "online_write_batch",
        lambda self, config, table, data, progress: write(self, config, table, data[:-1], progress),
    )
    with pytest.raises(WorkFailedError, match=r"View usage has 3 accounts of 2026-06-29 online and 4 offline"):
        opened(own).materialize(THIRD)


@pytest.mark.parametrize("act", ["apply", "materialize"])
def test_one_writer_at_a_time(own: Settings, act: str) -> None:
    store = opened(own)
    with exclusive_lock(own.home / "feast"), pytest.raises(LockHeldError, match="Another process is writing"):
        store.apply() if act == "apply" else store.materialize(THIRD)


def test_before_anything_was_applied_the_store_is_away(tmp_path: Path) -> None:
    store = opened(load_settings(home=tmp_path))
    assert store.materialized_cutoff() is None
    for read in (store.ping, lambda: store.online(["a"]), lambda: store.historical(rows(("a", "2026-06-15")))):
        with pytest.raises(DependencyError, match=r"registry\.db is missing\. Run `bellwether features apply`"):
            read()
    assert not (tmp_path / "feast").exists()


def test_applied_and_not_materialized_knows_no_account(tmp_path: Path, write_features: Callable[..., None]) -> None:
    write_features(tmp_path, BUILT)
    store = opened(load_settings(home=tmp_path))
    store.apply()
    assert store.materialized_cutoff() is None
    assert store.online(["a"]).known.tolist() == [False]
    assert len(store.historical(rows(("a", "2026-06-15")))) == 1


@pytest.mark.parametrize("name", ["registry.db", "online.db"])
def test_a_file_that_vanished_is_named(own: Settings, name: str) -> None:
    store = opened(own)
    store.ping()
    (own.home / "feast" / name).unlink()
    with pytest.raises(DependencyError, match=f"{name} is missing"):
        store.ping()


def test_apply_declares_again_what_the_registry_lost(own: Settings) -> None:
    with contextlib.closing(sqlite3.connect(own.home / "feast/registry.db")) as registry:
        registry.execute("DELETE FROM feature_views WHERE feature_view_name IN ('usage', 'errors')")
        registry.commit()
    opened(own).apply()
    assert all(state.is_registered for state in opened(own).views())
    assert opened(own).materialize(utc(2026, 6, 29)) > 0


@pytest.mark.parametrize("name", ["registry.db", "online.db"])
def test_a_damaged_file_is_named(own: Settings, name: str) -> None:
    for file in (own.home / "feast").glob(f"{name}*"):
        file.unlink()
    (own.home / "feast" / name).write_bytes(b"no database at all" * 1000)
    with pytest.raises(DependencyError, match=r"is no database any more"):
        opened(own).ping()


def test_a_locked_store_says_to_try_again(own: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from feast.infra.online_stores.sqlite import SqliteOnlineStore

    def locked(*_: Any, **__: Any) -> None:
        error = sqlite3.OperationalError("database is locked")
        error.sqlite_errorcode = sqlite3.SQLITE_BUSY
        raise error

    monkeypatch.setattr(SqliteOnlineStore, "online_read", locked)
    with pytest.raises(DependencyError, match=r"is held by another process\. Try again in a moment"):
        opened(own).online(["a"])


# ---- where it lies ----


def test_a_moved_home_reads_its_own_files(own: Settings, tmp_path: Path) -> None:
    own.home.rename(tmp_path / "elsewhere")
    moved = own.model_copy(update={"home": tmp_path / "elsewhere"})
    ManifestStore(moved.home / "features")
    store = opened(moved)
    assert store.online(["a"]).known.all()
    assert store.materialize(THIRD) == 4
    with ManifestStore(moved.home / "features").writer() as writer:
        writer.remove("usage/cutoff=2026-06-15")
    with pytest.raises(WorkFailedError, match="in usage: a at 2026-06-15"):
        store.historical(rows(("a", "2026-06-15")))


def test_the_working_directory_does_not_matter(
    tmp_path: Path, write_features: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    settings = load_settings(home=Path("home"))
    write_features(settings.home, BUILT)
    opened(settings).apply()
    monkeypatch.chdir(tmp_path / "two")
    store = opened(settings)
    assert store.materialize(SECOND) == 4
    assert store.online(["a"]).known.all()
    assert len(store.historical(rows(("a", "2026-06-15")))) == 1
    assert not any((tmp_path / "two").iterdir())


def test_only_files_of_the_manifest_are_read(own: Settings) -> None:
    (file,) = ManifestStore(own.home / "features").files("usage/cutoff=2026-06-22")
    shutil.copy(file, file.with_name("usage-leftover.parquet"))
    store = opened(own)
    before = store.historical(rows(("a", "2026-06-22")))
    strange = pq.read_table(file)
    changed = strange.set_column(strange.schema.get_field_index("calls_7d"), "calls_7d", [[-1] * strange.num_rows])
    pq.write_table(changed, file.with_name("usage-leftover.parquet"))
    pd.testing.assert_frame_equal(store.historical(rows(("a", "2026-06-22"))), before)


def test_files_of_other_cutoffs_are_not_opened(at_rest: Settings) -> None:
    files = files_of_group(ManifestStore(at_rest.home / "features"), "usage", wanted=SECOND.date().__eq__)
    assert [file.parent.name for file in files] == ["cutoff=2026-06-22"]


def test_a_group_without_files_has_the_columns_of_the_catalogue() -> None:
    assert file_schema("commercial").names[:4] == ["account_id", "event_timestamp", "commercial_cutoff_day", "plan"]


# ---- the feast command's folder ----


def test_the_yaml_for_people_says_what_the_settings_say(tmp_path: Path) -> None:
    from features.feature_store.views import repo_config

    text = (REPOSITORY / "features/feature_repo/feature_store.yaml").read_text(encoding="utf-8")
    for_people = yaml.safe_load(text.replace("${BELLWETHER_HOME}", str(tmp_path)))
    config = repo_config(Home(load_settings(home=tmp_path)))
    assert for_people["project"] == config.project
    assert for_people["registry"].items() <= config.registry.model_dump().items()
    assert for_people["offline_store"].items() <= config.offline_store.model_dump().items()
    assert for_people["online_store"].items() <= config.online_store.model_dump().items()
    assert for_people["materialization"] == config.materialization_config.model_dump()
    assert for_people["entity_key_serialization_version"] == config.entity_key_serialization_version


@pytest.mark.slow
def test_the_feast_command_works_on_a_home(own: Settings) -> None:
    before = opened(own).online(["a"])
    command = [str(Path(sys.executable).with_name("feast")), "-c", str(REPOSITORY / "features/feature_repo"), "apply"]
    environment = os.environ | {"BELLWETHER_HOME": str(own.home), "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    after = opened(own).online(["a"])
    np.testing.assert_array_equal(after.values["mrr"], before.values["mrr"])


def test_a_feast_repository_that_names_the_old_store_is_told_so(capfd: pytest.CaptureFixture[str]) -> None:
    from feast.importer import import_class

    with pytest.raises(SystemExit) as ended:  # Feast looks for the class by the name in feature_store.yaml
        import_class("features.store", "ManifestOfflineStore")
    assert ended.value.code == 2
    assert "is now features.feature_store.offline_store.ManifestOfflineStore" in capfd.readouterr().err


# ---- killed ----

_KILLED = """
import os, signal, sys
from pathlib import Path
from features.home.home import Home
from features.settings.load import load_settings
from features.feature_store.store import open_store
from features.windows import as_cutoff
from feast.infra.online_stores.sqlite import SqliteOnlineStore

write = SqliteOnlineStore.online_write_batch
def write_then_die(self, config, table, data, progress):
    write(self, config, table, data[:2], progress)
    if table.name == "errors":
        os.kill(os.getpid(), signal.SIGKILL)
    write(self, config, table, data[2:], progress)
SqliteOnlineStore.online_write_batch = write_then_die
open_store(Home(load_settings(home=Path(sys.argv[1])))).materialize(as_cutoff("2026-06-29"))
"""


@pytest.mark.slow
def test_a_killed_materialization_is_served_told_and_repaired(own: Settings) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, str(own.home)],
        env=os.environ | {"PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        timeout=300,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    store = opened(own)
    online = store.online(["a", "b", "c", "d"])
    assert online.known.all()
    assert online.mixed.all()  # usage is of the third cutoff, most views of the second
    assert store.materialized_cutoff() == SECOND
    assert store.materialize(as_cutoff("2026-06-29")) == 4
    repaired = store.online(["a", "b", "c", "d"])
    assert not repaired.mixed.any()
    assert set(repaired.oldest_days) == {cutoff_day(THIRD)}
    with contextlib.closing(sqlite3.connect(own.home / "feast/online.db")) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
