"""What Feast does that would harm us, and that our guard against it holds; each test names the fact it pins."""

from __future__ import annotations

import contextlib
import inspect
import shutil
import sqlite3
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from features.definitions.catalog import CATALOG, GROUPS, NEWEST_SERVICE, SERVICES, cutoff_day_field
from features.exceptions import DependencyError
from features.feature_store.sqlite_files import snapshot
from features.home.home import Home
from features.offline.files import files_of_group
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.storage.store import ManifestStore
from features.windows import cutoff_day, utc

FIRST, SECOND = utc(2026, 6, 15), utc(2026, 6, 22)
REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory, write_features: Callable[..., None]) -> Settings:
    """Account ``late`` is built at the first cutoff and not at the second; the first is online."""
    settings = load_settings(home=tmp_path_factory.mktemp("facts"))
    write_features(settings.home, {"2026-06-15": ["a", "b", "late"], "2026-06-22": ["a", "b"]})
    store = opened(settings)
    store.apply()
    store.materialize(FIRST)
    return settings


@pytest.fixture
def home(at_rest: Settings, tmp_path: Path) -> Settings:
    """The same in a home of the test's own."""
    shutil.copytree(at_rest.home, tmp_path / "home")
    return at_rest.model_copy(update={"home": tmp_path / "home"})


def opened(settings: Settings) -> Any:
    from features.feature_store.store import open_store

    return open_store(Home(settings))


def feast_of(settings: Settings, **changes: Any) -> Any:
    """Feast itself on our configuration, without our guards."""
    from feast import FeatureStore

    from features.feature_store.views import repo_config

    config = repo_config(Home(settings))
    for name, value in changes.items():
        setattr(config.registry, name, value)
    return FeatureStore(config=config)


def entities(*pairs: tuple[str, datetime]) -> pd.DataFrame:
    return pd.DataFrame({"account_id": [a for a, _ in pairs], "event_timestamp": [t for _, t in pairs]})


def online_table(settings: Settings, query: str, *values: Any) -> list[Any]:
    with contextlib.closing(sqlite3.connect(settings.home / "feast/online.db")) as connection, connection:
        return connection.execute(query, values).fetchall()


def write_online(settings: Settings, calls: int, moment: datetime, *, account: str = "a") -> None:
    """Feast's own direct write of one row to the online store."""
    frame = pd.DataFrame(
        {
            "account_id": [account],
            "event_timestamp": [moment],
            "usage_cutoff_day": [cutoff_day(moment)],
            "usage_build": [1],
            **{f.name: [calls if f.kind == "int" else 0.5] for f in CATALOG if f.group == "usage"},
        }
    )
    feast_of(settings).write_to_online_store("usage", df=frame)


# ---- point-in-time join ----


def test_within_the_hour_only_the_row_of_the_cutoff_joins(home: Settings) -> None:
    """A longer time to live would give the row of the week before, in silence."""
    job = feast_of(home).get_historical_features(
        entity_df=entities(("late", SECOND), ("a", SECOND)), features=["usage:usage_cutoff_day", "usage:calls_7d"]
    )
    frame = job.to_df().set_index("account_id")
    assert frame.loc["late"].isna()[["usage_cutoff_day", "calls_7d"]].all()
    assert frame.loc["a", "usage_cutoff_day"] == cutoff_day(SECOND)


def test_a_longer_time_to_live_would_join_the_week_before(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from features.feature_store import offline_store, views

    everything = files_of_group
    monkeypatch.setattr(
        offline_store, "files_of_group", lambda root, group, wanted: everything(root, group, wanted=bool)
    )

    def days() -> list[Any]:
        asked = {"entity_df": entities(("late", SECOND)), "features": ["usage:usage_cutoff_day"]}
        return feast_of(home).get_historical_features(**asked).to_df()["usage_cutoff_day"].tolist()

    assert np.isnan(days()).all()
    monkeypatch.setattr(views, "TIME_TO_LIVE", timedelta(days=8))
    opened(home).apply()
    assert days() == [cutoff_day(FIRST)]  # and a read compiled under another time to live is another read


def test_views_live_one_hour_and_have_no_created_timestamp(home: Settings) -> None:
    """A created time after the cutoff would null the whole frame without an error."""
    views = feast_of(home).list_feature_views()
    assert {view.name for view in views} == set(GROUPS)
    for view in views:
        assert view.ttl == timedelta(hours=1)
        assert not view.batch_source.created_timestamp_column
        assert view.batch_source.timestamp_field == "event_timestamp"
        assert Path(view.batch_source.path).is_absolute()


def test_numbers_are_64_bits_wide(home: Settings) -> None:
    """Float32 features differ between offline and online by 3e-5."""
    types = {str(field.dtype) for view in feast_of(home).list_feature_views() for field in view.features}
    assert types == {"Float64", "Int64", "String"}


def test_no_shared_engine_gathers_views_of_past_reads(home: Settings) -> None:
    """Feast reads through one connection of the process, and leaves a view there for each read."""
    import ibis

    store = opened(home)
    shared = ibis.get_backend().con
    for _ in range(3):
        store.historical(entities(("a", FIRST)))
    assert shared.execute("SELECT view_name FROM duckdb_views() WHERE NOT internal").fetchall() == []


# ---- times ----


def test_feature_files_hold_microseconds(home: Settings) -> None:
    """Nanosecond files break Feast's materialization on DuckDB."""
    import pyarrow.parquet as pq

    from features.offline.files import file_schema, files_of_group

    for group in GROUPS:
        assert file_schema(group).field("event_timestamp").type == pa.timestamp("us", tz="UTC")
        (file, *_) = files_of_group(ManifestStore(home.home / "features"), group, wanted=bool)
        assert pq.read_schema(file).equals(file_schema(group))


@pytest.mark.parametrize("unit", ["ns", "us", "ms", "s"])
def test_times_asked_for_may_have_any_unit(home: Settings, unit: str) -> None:
    asked = entities(("a", FIRST)).astype({"event_timestamp": f"datetime64[{unit}, UTC]"})
    assert len(opened(home).historical(asked)) == 1


def test_online_times_are_written_in_utc(home: Settings) -> None:
    """Feast's SQLite adapter reads the process's zone; ``start`` makes it UTC."""
    times = {moment for (moment,) in online_table(home, "SELECT DISTINCT event_ts FROM bellwether_usage")}
    assert times == {int(FIRST.timestamp())}


# ---- online ----


def test_an_older_write_does_not_replace_a_newer_row(home: Settings) -> None:
    """Feast's upsert is unconditional; the trigger is ours."""
    before = opened(home).online(["a"]).values["calls_7d"][0]
    write_online(home, 111, FIRST - timedelta(days=7))
    assert opened(home).online(["a"]).values["calls_7d"][0] == before
    write_online(home, 222, FIRST)
    assert opened(home).online(["a"]).values["calls_7d"][0] == 222
    write_online(home, 333, SECOND)
    assert opened(home).online(["a"]).values["calls_7d"][0] == 333


def test_without_the_trigger_it_would(home: Settings) -> None:
    online_table(home, "DROP TRIGGER bellwether_usage_keep_newer")
    write_online(home, 111, FIRST - timedelta(days=7))
    assert opened(home).online(["a"]).values["calls_7d"][0] == 111


def test_every_apply_puts_the_trigger_back(home: Settings) -> None:
    for group in GROUPS:
        online_table(home, f"DROP TRIGGER bellwether_{group}_keep_newer")
    opened(home).apply()
    triggers = online_table(home, "SELECT tbl_name FROM sqlite_master WHERE type = 'trigger'")
    assert {name for (name,) in triggers} == {f"bellwether_{group}" for group in GROUPS}


def test_readers_do_not_wait_for_a_writer(home: Settings) -> None:
    """Without the write-ahead journal a reader fails after 5 seconds."""
    store = opened(home)
    with contextlib.closing(sqlite3.connect(home.home / "feast/online.db", isolation_level=None)) as writer:
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute("DELETE FROM bellwether_usage")
        assert store.online(["a"]).known.all()
        writer.execute("ROLLBACK")


@pytest.mark.parametrize("name", ["online.db", "registry.db"])
def test_both_files_keep_a_write_ahead_journal(home: Settings, name: str) -> None:
    with contextlib.closing(sqlite3.connect(home.home / "feast" / name)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchall() == [("wal",)]


def test_feast_serves_old_rows_without_a_word_so_the_cutoff_day_tells(home: Settings) -> None:
    """The time to live, one hour, is never enforced online."""
    write_online(home, 1, utc(2001, 1, 1), account="old")
    online = opened(home).online(["old"])
    assert online.known.tolist() == [True]
    assert online.oldest_days.tolist() == [cutoff_day(utc(2001, 1, 1))]


def test_views_of_different_cutoffs_are_told(home: Settings) -> None:
    """A run killed between two views leaves rows of two cutoffs, each present."""
    feast_of(home).materialize(SECOND, SECOND, feature_views=["usage"])
    online = opened(home).online(["a", "late", "nobody"])
    assert online.mixed.tolist() == [True, False, False]
    assert online.known.tolist() == [True, True, False]
    assert online.oldest_days[0] == cutoff_day(FIRST)
    assert opened(home).materialized_cutoff() == FIRST


def test_an_account_missing_in_one_view_is_mixed(home: Settings) -> None:
    online_table(home, "DELETE FROM bellwether_errors")
    online = opened(home).online(["a"])
    assert online.known.tolist() == [True]
    assert online.mixed.tolist() == [True]


def test_the_cutoff_day_is_in_every_view_and_service(home: Settings) -> None:
    feast = feast_of(home)
    services = feast.list_feature_services()
    assert {service.name for service in services} == set(SERVICES)
    for service in services:
        for projection in service.feature_view_projections:
            assert cutoff_day_field(projection.name) in {field.name for field in projection.features}


def test_a_refresh_under_way_or_killed_is_served(home: Settings) -> None:
    """Since Feast 0.64 a view being materialized is refused unless the registry says otherwise."""
    from feast.feature_view import FeatureViewState

    feast = feast_of(home)
    view = feast.get_feature_view("errors")
    view.state = FeatureViewState.MATERIALIZING
    with contextlib.closing(sqlite3.connect(home.home / "feast/registry.db")) as registry, registry:
        registry.execute(
            "UPDATE feature_views SET feature_view_proto = ? WHERE feature_view_name = 'errors'",
            (view.to_proto().SerializeToString(),),
        )
    assert feast_of(home).get_feature_view("errors").state == FeatureViewState.MATERIALIZING
    assert opened(home).online(["a"]).known.all()
    refusing = feast_of(home, serve_features_while_materializing=False)
    with pytest.raises(ValueError, match="cannot serve features"):
        refusing.get_online_features(
            features=refusing.get_feature_service("churn_v2"), entity_rows=[{"account_id": "a"}]
        )
    assert opened(home).materialize(SECOND) == 2
    assert feast_of(home).get_feature_view("errors").state == FeatureViewState.AVAILABLE_ONLINE


def test_every_batch_of_rows_is_written(tmp_path: Path, write_features: Callable[..., None]) -> None:
    """Feast's direct path writes the first record batch only; more accounts than a batch are counted here."""
    from features.feature_store.views import repo_config

    settings = load_settings(home=tmp_path)
    assert repo_config(Home(settings)).materialization_config.online_write_batch_size == 5000
    accounts = [f"account-{number}" for number in range(45)]
    write_features(settings.home, {"2026-06-15": accounts})
    store = opened(settings)
    store.apply()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "features.feature_store.views.repo_config", lambda _: _with_small_batches(repo_config(Home(settings)))
        )
        store = opened(settings)
        assert store.materialize(FIRST) == 45
    assert store.online(accounts).known.all()


def _with_small_batches(config: Any) -> Any:
    config.materialization_config.online_write_batch_size = 10
    return config


# ---- registry ----


@pytest.mark.parametrize("loss", ["truncated", "no rows", "gone"])
@pytest.mark.parametrize("act", ["apply", "online"])
def test_an_empty_registry_is_refused_where_one_was(home: Settings, loss: str, act: str) -> None:
    """Feast takes an empty file for a valid, empty registry."""
    registry = home.home / "feast/registry.db"
    if loss == "truncated":
        registry.write_bytes(b"")
    elif loss == "gone":
        registry.unlink()
    else:
        with contextlib.closing(sqlite3.connect(registry)) as connection, connection:
            connection.execute("DELETE FROM feature_views")
    store = opened(home)
    with pytest.raises(DependencyError, match=r"registry\.db.* is empty, though|registry\.db is missing"):
        store.apply() if act == "apply" else store.online(["a"])


def test_the_snapshot_put_back_serves_again(home: Settings) -> None:
    registry = home.home / "feast/registry.db"
    for beside in registry.parent.glob("registry.db-*"):
        beside.unlink()
    (registry.parent / "registry.snapshot.db").replace(registry)
    assert opened(home).online(["a"]).known.all()
    opened(home).apply()


def test_an_empty_registry_never_becomes_the_snapshot(home: Settings) -> None:
    kept = home.home / "feast/registry.snapshot.db"
    before = kept.read_bytes()
    registry = home.home / "feast/registry.db"
    for beside in registry.parent.glob("registry.db-*"):
        beside.unlink()
    registry.write_bytes(b"")
    snapshot(registry)
    assert kept.read_bytes() == before


def test_the_feast_folder_holds_two_files() -> None:
    """``feast apply`` imports every Python file below it as a top-level module."""
    folder = REPOSITORY / "features/feature_repo"
    found = {path.name for path in folder.rglob("*") if "__pycache__" not in path.parts}
    assert found - {"__pycache__"} == {"definitions.py", "feature_store.yaml"}


def test_no_view_runs_code_at_request_time(home: Settings) -> None:
    """On-demand views store code with dill."""
    assert feast_of(home).list_on_demand_feature_views() == []


def test_a_feature_that_is_new_does_not_stop_serving(home: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Applying a changed view keeps what is online; the new feature is null until it is materialized."""
    from dataclasses import replace

    from features.definitions import catalog

    new = replace(next(feature for feature in CATALOG if feature.name == "calls_7d"), name="calls_8d")
    monkeypatch.setitem(catalog._BY_NAME, "calls_8d", new)
    monkeypatch.setitem(catalog.BUILT_IN.views, "usage", (*catalog.BUILT_IN.views["usage"], new))
    monkeypatch.setitem(catalog.SERVICES, NEWEST_SERVICE, (*SERVICES[NEWEST_SERVICE], "calls_8d"))
    store = opened(home)
    store.apply()
    online = store.online(["a"])
    assert online.known.all()
    assert np.isnan(online.values["calls_8d"]).all()
    assert not np.isnan(online.values["calls_7d"]).any()
    assert store.materialized_cutoff() == FIRST


def test_feast_runs_without_type_checks_that_take_seconds_to_compile() -> None:
    import typeguard

    import features.feature_store.views  # it is what imports Feast

    view = features.feature_store.views.FeatureView
    source = Path(inspect.getfile(view)).read_text()
    assert "@typechecked\nclass FeatureView" in source, (
        "Feast has them no more: features/feature_store/fast_import.py can go."
    )
    assert "typeguard" not in " ".join(view.__init__.__code__.co_names)
    assert typeguard.typechecked.__module__.startswith("typeguard")


def test_a_function_decorated_while_checks_are_out_stays_as_it_was_written() -> None:
    import typeguard

    from features.feature_store.fast_import import without_type_checks

    def plain(number: int) -> int:
        return number

    with without_type_checks():
        assert typeguard.typechecked(plain) is plain
        assert typeguard.typechecked(forward_ref_policy=None)(plain) is plain
    checked = typeguard.typechecked(plain)
    assert checked is not plain
    with pytest.raises(typeguard.TypeCheckError):
        checked("one")
