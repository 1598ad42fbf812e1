"""Files and homes whose names mean something to a glob, a URL, SQL or Hive are read and written as what they are."""

import gzip
from contextlib import closing

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.home.home import Home
from features.home.raw_tables import read_events
from features.ingest.ingest import ingest
from features.settings.load import load_settings
from features.windows import utc

NOW = utc(2026, 7, 1)
NAMES = (
    *("a?b.csv", "a[1].csv", "a%20b.csv", "q'u\"o;te.csv", "{a,b}.csv", "account_id=zzz/x.csv", "**/x.csv", "a\\b.csv"),
    *("a\nb.csv", "x.CSV.GZ"),
)


def rows(second: int) -> str:
    return f"account_id,event_time,status\na,2026-06-01T10:00:{second:02d}Z,200\nb,2026-06-02T10:00:{second:02d}Z,200\n"


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".GZ" else text.encode())
    return path


def stored(home):
    with closing(duckdb_engine(threads=1, memory_limit="1GB")) as engine:
        events = engine.to_arrow(read_events(engine, home)).to_pylist()
    return sorted((row["event_time"].second, row["account_id"], row["status"]) for row in events)


def test_a_folder_of_files_with_odd_names_is_read_whole(tmp_path):
    home = Home(load_settings(home=tmp_path / "home", threads=1))
    for second, name in enumerate(NAMES):
        put(tmp_path / "logs" / name, rows(second))
    ingest(home, now=NOW, events=[tmp_path / "logs"], backfill=True)
    assert stored(home) == [(second, account, 200) for second in range(len(NAMES)) for account in "ab"]


def test_each_is_read_alone_by_its_name_where_a_glob_would_match_its_neighbour(tmp_path):
    neighbour = put(tmp_path / "a1b.csv", rows(59))
    for second, name in enumerate(("a*b.csv", "a[1]b.csv")):
        home = Home(load_settings(home=tmp_path / f"home{second}", threads=1))
        ingest(home, now=NOW, events=[put(tmp_path / name, rows(second))], backfill=True)
        assert stored(home) == [(second, "a", 200), (second, "b", 200)], neighbour


def test_the_folders_of_parquet_files_are_no_columns(tmp_path):
    home = Home(load_settings(home=tmp_path / "home", threads=1))
    table = {"account_id": ["a"], "status": pa.array([200], pa.int16())}
    for second, folder in enumerate(("account_id=zzz", "status=500", "event_time=2026-01-01")):
        (tmp_path / "logs" / folder).mkdir(parents=True)
        moment = pa.array([utc(2026, 6, 1, 10, 0, second)], pa.timestamp("us", "UTC"))
        pq.write_table(pa.table({**table, "event_time": moment}), tmp_path / "logs" / folder / "x.parquet")
    ingest(home, now=NOW, events=[tmp_path / "logs"], backfill=True)
    assert stored(home) == [(second, "a", 200) for second in range(3)]


@pytest.mark.parametrize("name", ["day=2026-01-01%20?a=b", "q'u;o[t]e*#\""])
def test_a_home_of_an_odd_name_holds_all_that_is_written(tmp_path, name):
    home = Home(load_settings(home=tmp_path / "place" / name, threads=1))
    ingest(home, now=NOW, events=[put(tmp_path / "x.csv", rows(7))], backfill=True)
    assert stored(home) == [(7, "a", 200), (7, "b", 200)]
    assert [path.name for path in (tmp_path / "place").iterdir()] == [name]
