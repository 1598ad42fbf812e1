"""A foreign log goes in by a mapping alone: a year of jobs of a shared supercomputer, read as API calls."""

from datetime import timedelta
from pathlib import Path

import pandas as pd
import pytest

from features.engine.duckdb_engine import duckdb_engine
from features.home.home import Home
from features.home.raw_tables import read_events
from features.ingest.ingest import ingest
from features.settings.load import load_settings
from features.windows import utc

MAPPING = Path(__file__).parent / "sdsc.toml"


@pytest.mark.slow
def test_every_job_is_stored_once_and_nothing_is_lost(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "sdsc-ds-2004" / "jobs.csv.gz"
    settings = load_settings(config=MAPPING, home=tmp_path / "home")
    report = ingest(Home(settings), now=utc(2005, 4, 2), events=[path])

    jobs = pd.read_csv(path)
    distinct = jobs.drop_duplicates()
    events = report.table("events")
    assert (events.rows_read, events.quarantined) == (96_069, {})
    assert events.rows_stored == len(distinct) == 96_069 - 1_145
    assert events.rows_read == events.rows_stored + events.duplicates

    engine = duckdb_engine(threads=1, memory_limit="512MB")
    stored = engine.to_arrow(read_events(engine, Home(settings))).to_pandas()
    engine.close()
    assert stored["account_id"].nunique() == jobs["client"].nunique() == 460
    assert stored["status"].isna().sum() == distinct["status"].isna().sum()
    assert stored["latency_ms"].max() == jobs["wait_ms"].max() > timedelta(hours=1) / timedelta(milliseconds=1)
    assert (stored["event_time"] == stored["ingested_at"]).all()
