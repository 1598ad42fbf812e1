"""The whole life of a home whose path holds every character a library may take for something else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from features.home.home import Home
from features.settings.load import load_settings
from features.windows import utc
from serving.cli import main
from tests.serving.conftest import register_bundle
from training.models.bundle import Bundle
from training.registry.registry import standing

NAME = "cutoff=wörst ?%3F#&+:;,@!^'\"`{a,b}[x]*$HOME~ (100%)"
OWN = """
[metrics.failed]
of = "share"
where = "status >= 500"
windows = ["28d"]

[tables.health]
path = "hea[l]th %?/*.parquet"
columns = { nps = {} }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a name like a partition's, to work in; nothing may lie in it but the home."""
    made = tmp_path / "account_id=5"
    made.mkdir()
    monkeypatch.chdir(made)
    monkeypatch.setenv("BELLWETHER_STALE_AFTER_HOURS", "1e6")
    monkeypatch.setenv("BELLWETHER_THREADS", "1")
    return made


@pytest.fixture
def run(folder: Path) -> Callable[..., str]:
    def run_command(*arguments: object) -> str:
        outcome = CliRunner().invoke(main, ["--home", NAME, *map(str, arguments)])
        assert outcome.exit_code == 0, (arguments[0], outcome.output[-2000:], outcome.exception)
        assert [path.name for path in folder.iterdir()] == [NAME], arguments[0]
        return outcome.output

    return run_command


def test_nothing_of_a_home_lies_elsewhere_whatever_its_name(
    folder: Path, run: Callable[..., str], bundle: Bundle, tmp_path: Path
) -> None:
    root = folder / NAME
    settings_file, calls, health = root / "bellwether.toml", root / "all calls [old]?", root / "hea[l]th %?"
    run("init", "--write", settings_file)
    settings_file.write_text(settings_file.read_text() + OWN)
    run("simulate", "--out", calls, "--accounts", 12, "--days", 40, "--end", "2026-06-29")
    health.mkdir()
    when = pa.array([utc(2026, 6, 1)], pa.timestamp("us", "UTC"))
    row = {"account_id": ["acct_000001"], "event_timestamp": when, "known_at": when, "nps": [7.0]}
    pq.write_table(pa.table(row), health / "100%.parquet")
    tables = [
        f for name in ("accounts", "subscriptions", "touchpoints") for f in (f"--{name}", calls / f"{name}.parquet")
    ]
    run("ingest", "--events", calls / "events" / "*.parquet", *tables)
    inbox = root / "inbox" / "events"
    inbox.mkdir(parents=True)
    (inbox / "what?[x] 100%#.csv").write_text(
        "account_id,event_time,event_id\nacct_000001,2026-06-20T10:00:00Z,extra\n"
    )
    run("features", "build", "--from", "2026-06-22", "--to", "2026-06-29")
    run("features", "apply")
    run("features", "materialize")

    home = Home(load_settings(home=root))
    register_bundle(home.settings, bundle, tmp_path)
    run("promote", "--target", "churn")
    scored = root / "scores ?%.csv"
    run("score", "--as-of", "2026-06-29", "--out", scored)
    assert scored.read_text().count("\n") == 13
    assert "acct_000001" in run("explain", "acct_000001")
    run("doctor")
    assert "1 event day counted" in run("nightly", "--as-of", "2026-06-29")
    assert standing(home, "churn").aliases["champion"] == "1"
    assert all(file.stat().st_size for file in (home.feast_registry, home.feast_online, home.mlflow_database))
