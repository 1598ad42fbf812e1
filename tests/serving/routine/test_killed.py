"""Whatever a writer is killed at, the same command again ends where an undisturbed run ends."""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from features.home.home import Home
from features.settings.fields import Settings
from features.storage.damage import damaged_files
from features.storage.store import ManifestStore
from features.windows import cutoff_day
from tests.killing import killed
from tests.serving.routine.conftest import END, NOW, YESTERDAY, Household
from tests.shared import linked

pytestmark = pytest.mark.slow

BUILD = ("features", "build", "--from", "2026-06-29", "--to", "2026-06-29")
MATERIALIZE = ("features", "materialize")
SCORE = ("score", "--format", "json")


@pytest.fixture(scope="module")
def evening(yesterday: Household, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Yesterday online, and the newest days only ingested."""
    from features.ingest.ingest import ingest

    settings = yesterday.copy_to(tmp_path_factory.mktemp("evening")).settings
    ingest(Home(settings), now=NOW, events=yesterday.newest_days)
    return settings


@pytest.fixture(scope="module")
def built(evening: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same with the newest cutoff built."""
    settings = copied(evening, tmp_path_factory.mktemp("built"))
    command(settings, *BUILD)
    return settings


@pytest.fixture(scope="module")
def undisturbed(built: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The same, materialized and scored, nothing ever killed."""
    settings = copied(built, tmp_path_factory.mktemp("undisturbed"))
    command(settings, *MATERIALIZE)
    command(settings, *SCORE)
    return settings


def copied(settings: Settings, folder: Path) -> Settings:
    home = linked(settings.home, folder / "home")
    return settings.model_copy(update={"home": home})


def line(settings: Settings, arguments: tuple[str, ...]) -> list[str]:
    return ["--home", str(settings.home), *arguments]


def command(settings: Settings, *arguments: str) -> None:
    """Run a command to its end, here, at noon."""
    import serving.cli

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("features.cli._now", lambda: NOW)
        patch.setattr("serving.cli._now", lambda: NOW)
        with pytest.raises(SystemExit) as left:
            serving.cli.main.main(line(settings, arguments))
    assert left.value.code == 0


# ---- what a reader sees, by value ----


def tables(home: Path, store: str) -> dict[tuple[str, str], pd.DataFrame]:
    """Every listed file of a store, by partition and logical name."""
    assert damaged_files(ManifestStore(home / store)) == []
    return {
        (partition, file.rsplit("-", 1)[0]): pq.ParquetFile(home / store / partition / file).read().to_pandas()
        for partition, files in ManifestStore(home / store).manifest().partitions.items()
        for file in files
    }


@functools.cache
def tables_at_rest(home: Path, store: str) -> dict[tuple[str, str], pd.DataFrame]:
    """Those of a home nobody writes to."""
    return tables(home, store)


def same_tables(own: Settings, at_rest: Settings, store: str) -> None:
    left, right = tables(own.home, store), tables_at_rest(at_rest.home, store)
    assert left.keys() == right.keys()
    for key, frame in left.items():
        pd.testing.assert_frame_equal(frame, right[key], rtol=1e-9)
    made = [ManifestStore(settings.home / store).manifest().lineage for settings in (own, at_rest)]
    assert made[0] == made[1]


def rows(database: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(query).fetchall()


def online(settings: Settings) -> list[Any]:
    from features.definitions.catalog import GROUPS

    return [
        rows(
            settings.home / "feast/online.db",
            f"SELECT entity_key, feature_name, value, event_ts FROM bellwether_{group} ORDER BY 1, 2",
        )
        for group in GROUPS
    ]


def ledger(settings: Settings) -> list[Any]:
    queries = ("score_runs ORDER BY run_id", "scores ORDER BY run_id, account_id", "reasons ORDER BY 1, 2, 3")
    return [rows(settings.home / "ledger.db", f"SELECT * FROM {query}") for query in queries]


def leftovers(settings: Settings, store: str) -> list[Path]:
    listed = {
        settings.home / store / partition / file
        for partition, files in ManifestStore(settings.home / store).manifest().partitions.items()
        for file in files
    }
    found = [*(settings.home / store).glob(".scratch-*"), *(settings.home / store).rglob("*.parquet")]
    return [path for path in found if path not in listed]


# ---- rollup and build ----

STAGING = "features.storage.store:StoreWriter.replace"
PUBLISHING = "os:fsync"  # the new manifest is written, beside the old one
SWEEPING = "shutil:rmtree"  # published; its own scratch folder still lies there
DAYS = 3  # that the rollup stages before the build stages its groups


@pytest.mark.parametrize(
    ("at", "call", "published"), [(STAGING, 2, False), (PUBLISHING, 1, False), (SWEEPING, 1, True)]
)
def test_rollup(evening: Settings, built: Settings, tmp_path: Path, at: str, call: int, published: bool) -> None:
    own = copied(evening, tmp_path)
    killed(line(own, BUILD), at=at, call=call, now=NOW)
    same_tables(own, built if published else evening, "rollups")
    same_tables(own, evening, "features")
    assert leftovers(own, "rollups")
    command(own, *BUILD)
    for store in ("rollups", "features"):
        same_tables(own, built, store)
    assert not leftovers(own, "rollups")


@pytest.mark.parametrize(
    ("at", "call", "published"), [(STAGING, 2 * DAYS + 3, False), (PUBLISHING, 2, False), (SWEEPING, 2, True)]
)
def test_build(evening: Settings, built: Settings, tmp_path: Path, at: str, call: int, published: bool) -> None:
    own = copied(evening, tmp_path)
    killed(line(own, BUILD), at=at, call=call, now=NOW)
    same_tables(own, built, "rollups")
    same_tables(own, built if published else evening, "features")
    assert leftovers(own, "features")
    command(own, *BUILD)
    same_tables(own, built, "features")
    assert not leftovers(own, "features")


# ---- materialize ----


@pytest.mark.parametrize(
    ("at", "call", "after"),
    [
        ("feast.infra.online_stores.sqlite:SqliteOnlineStore.online_write_batch", 1, False),  # the view is taken
        ("feast.infra.online_stores.sqlite:SqliteOnlineStore.online_write_batch", 2, True),  # written, not said so
        ("features.feature_store.store:accounts_of_build", 3, False),  # between two views
    ],
)
def test_materialize(built: Settings, undisturbed: Settings, tmp_path: Path, at: str, call: int, after: bool) -> None:
    from features.feature_store.store import open_store

    own = copied(built, tmp_path)
    accounts = accounts_of(own)
    killed(line(own, MATERIALIZE), at=at, call=call, after=after, now=NOW)
    reader = open_store(Home(own))
    seen = reader.online(accounts)
    assert reader.materialized_cutoff() == YESTERDAY
    assert set(seen.oldest_days[seen.known]) == {cutoff_day(YESTERDAY)}  # what is not all new says that it is old
    command(own, *MATERIALIZE)
    assert online(own) == online(undisturbed)
    for store in (reader, open_store(Home(own))):  # one that was open all the time, one that was not
        assert store.materialized_cutoff() == END
        assert set(store.online(accounts).oldest_days) == {cutoff_day(END)}


def accounts_of(settings: Settings) -> list[str]:
    from serving.scoring.accounts import built_accounts

    return built_accounts(Home(settings), YESTERDAY)


def test_materialize_the_same_cutoff_again(built: Settings, undisturbed: Settings, tmp_path: Path) -> None:
    """Late events came and the cutoff was built again: what is half new carries the same day, and has no score."""
    own = copied(undisturbed, tmp_path)
    assert {status for status, _ in answers(own)} == {"scored"}
    recounted(own, "usage")
    killed(line(own, MATERIALIZE), at="features.feature_store.store:accounts_of_build", call=2, now=NOW)
    assert {(status, (detail or "").partition(":")[0]) for status, detail in answers(own)} == {
        ("stale", "mixed_builds")
    }
    command(own, *MATERIALIZE)
    assert {status for status, _ in answers(own)} == {"scored"}
    assert online(own) != online(undisturbed)


def recounted(settings: Settings, group: str) -> None:
    """The newest cutoff of a group with one more call of everybody, made of the same as before."""
    store, partition = ManifestStore(settings.home / "features"), f"{group}/cutoff={END:%Y-%m-%d}"
    (file,) = store.files(partition)
    rows = pq.read_table(file, partitioning=None)
    calls = rows.schema.get_field_index("calls_28d")
    with store.writer() as writer:
        pq.write_table(rows.set_column(calls, "calls_28d", pc.add(rows["calls_28d"], 1)), writer.scratch / group)
        writer.replace(partition, {group: writer.scratch / group}, lineage=store.manifest().lineage[partition])


def answers(settings: Settings) -> list[tuple[str, str | None]]:
    """Status and detail of the accounts that the champion has a score for, as the service would answer."""
    from features.feature_store.store import open_store
    from serving.http_api.answers import Answerer
    from serving.http_api.live_champions import Served
    from serving.http_api.schemas import ScoreRequest
    from serving.scoring.score import load_scorer
    from training.registry.champions import champion

    home = Home(settings)
    served: Any = Served({"churn": load_scorer(champion(home, "churn"))})
    results = Answerer(home, open_store(home), served).score(ScoreRequest(account_ids=accounts_of(settings)), now=NOW)
    scores = [result["scores"]["churn"] for result in results]
    return [(score["status"], score["detail"]) for score in scores if score["status"] in {"scored", "stale"}]


# ---- score ----


@pytest.mark.parametrize(
    ("at", "call", "after", "written"),
    [
        ("serving.ledger.ledger:Ledger.append", 1, False, False),
        ("serving.ledger.ledger:_reason_rows", 30, False, False),  # in the transaction: scores are in, reasons are not
        ("serving.ledger.ledger:Ledger.append", 1, True, True),
    ],
)
def test_score(
    undisturbed: Settings, built: Settings, tmp_path: Path, at: str, call: int, after: bool, written: bool
) -> None:
    from serving.ledger.ledger import open_ledger

    own = copied(built, tmp_path)
    with closing(open_ledger(Home(own))) as reader:
        killed(line(own, SCORE), at=at, call=call, after=after, now=NOW)
        assert reader.latest("churn").as_of == (END if written else YESTERDAY)
        command(own, *SCORE)
        assert reader.latest("churn").as_of == END
    assert ledger(own) == ledger(undisturbed)
