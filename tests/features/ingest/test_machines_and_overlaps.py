"""Two machines write alike into the inbox: what each of them called counts once, however its files go on."""

import bz2
import gzip
import lzma
from contextlib import closing

import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.home.home import Home
from features.home.raw_tables import read_events
from features.ingest.inbox import TakenFiles, inbox_folder, new_arrivals
from features.ingest.ingest import ingest
from features.settings.load import load_settings
from features.windows import utc

HEAD = "account_id,event_time\n"
CALLS = [f"a{n % 3},2026-06-{20 + n // 30}T10:{n % 30:02d}:00Z\n" for n in range(60)]


@pytest.fixture
def home(tmp_path):
    sources = {"events": {"distinct_files": "{host}/*"}}
    return Home(load_settings(home=tmp_path / "home", threads=1, sources=sources))


def night(home, files):
    """Put files into the inbox of events, take what is new; the number of events stored."""
    folder = inbox_folder(home) / "events"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    taken = TakenFiles(home)
    arrivals = new_arrivals(home, taken).files["events"]
    ingest(home, now=utc(2026, 6, 22, 8), events=[arrival.path for arrival in arrivals])
    taken.add(arrivals)
    with closing(duckdb_engine(threads=1, memory_limit="1GB")) as engine:
        return engine.count(read_events(engine, home))


def text(first, last):
    return "".join([HEAD, *CALLS[first:last]]).encode()


def test_logs_of_two_machines_that_are_equal_byte_for_byte_grow_are_packed_and_overlap(home):
    def both(name, content):
        return {f"{machine}/{name}": content for machine in ("n1", "n2")}

    assert night(home, both("calls.csv", text(0, 40))) == 80
    more = both("calls.csv.bz2", bz2.compress(text(20, 60))) | both("old.csv.gz", gzip.compress(text(0, 60)))
    assert night(home, more | {"n3/calls.csv": text(0, 60)}) == 180


def test_a_table_that_was_read_inside_a_number_grows_and_comes_again_packed(tmp_path):
    rows = [f"a{n % 3},2026-06-20T10:{n:02d}:00Z,12{n}\n" for n in range(60)]
    head = "account_id,event_time,latency_ms\n"
    whole = "".join([head, *rows]).encode()
    home = Home(load_settings(home=tmp_path / "home", threads=1))
    cut = whole.index(rows[40].encode()) - 2  # 123 of 1239
    for name, content in (
        ("calls.csv", whole[:cut]),
        ("calls.csv", whole),
        ("again.csv.xz", lzma.compress("".join([head, *rows[20:]]).encode())),
    ):
        (tmp_path / name).write_bytes(content)
        ingest(home, now=utc(2026, 6, 22, 8), events=[tmp_path / name], backfill=True)
    with closing(duckdb_engine(threads=1, memory_limit="1GB")) as engine:
        stored = engine.to_arrow(read_events(engine, home))["latency_ms"].to_pylist()
    assert sorted(stored) == sorted(float(f"12{n}") for n in range(60))
