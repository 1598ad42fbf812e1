"""From access logs that a real nginx wrote to a feature table, with the mapping and commands of its README."""

import gzip
import re
import shlex
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from features.engine.duckdb_engine import duckdb_engine
from features.home.home import Home
from features.home.raw_tables import read_events
from features.ingest.quarantine import read_quarantine
from features.settings.load import load_settings
from features.windows import DAY
from serving.cli import main
from tests.features.sources.nginx import Nginx, running_nginx

README = Path(__file__).parents[3] / "features" / "README.md"
LOCATIONS = """
    location / { return 200 "ok"; }
    location /v1/broken { return 500; }
    location /v1/secret { return 401; }
"""
SECRET = "sk-live-0000-in-the-query"


def section(name: str, language: str) -> str:
    text = README.read_text(encoding="utf-8")
    inside = text[text.index(f"<!-- {name}:begin -->") : text.index(f"<!-- {name}:end -->")]
    return re.search(rf"```{language}\n(.*?)```", inside, re.DOTALL)[1]


def calls(server: Nginx) -> None:
    """Seven calls of acme, six of beta, and what reaches every open port."""
    for _ in range(4):  # of one second: identical lines
        assert server.ask(f"/v1/orders/17?api_key={SECRET}", headers={"X-Account-Id": "acme"}) == 200
    assert server.ask("/v1/broken?x=1", method="POST", headers={"X-Account-Id": "acme"}) == 500
    assert (
        server.ask("/v1/files/a%20b.pdf#x", headers={"X-Account-Id": "acme", "User-Agent": 'odd "agent\\ 2/1'}) == 200
    )
    assert server.ask("/v1/secret", headers={"X-Account-Id": "acme", "Referer": f"https://x.org/?t={SECRET}"}) == 401
    for number in range(6):
        headers = {"X-Account-Id": "beta", "User-Agent": "python-requests/2.31.0"}
        assert server.ask(f"/v1/orders/{number}", headers=headers) == 200
    server.send(b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n")
    assert server.ask("/robots.txt") == 200


def rotated(server: Nginx, name: str) -> None:
    """What a rotation leaves when nginx has ended: the newest log under another name, packed."""
    log = server.logs / "access.log"
    (server.logs / f"{name}.gz").write_bytes(gzip.compress(log.read_bytes()))
    log.unlink()


@pytest.mark.slow
def test_a_folder_of_real_logs_becomes_features_by_the_readme(tmp_path, monkeypatch):
    declared = section("access-logs", "toml")
    log_format = tomllib.loads(declared)["sources"]["events"]["format"]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bellwether.toml").write_text(declared)
    begun = datetime.now(UTC)
    with running_nginx(tmp_path, log_format, LOCATIONS) as server:
        calls(server)
        server.stop()
        rotated(server, "access.log.1")
    later = begun.replace(hour=0, minute=0, second=0, microsecond=0) + 28 * DAY + timedelta(hours=12)
    monkeypatch.setattr("features.cli._now", lambda: later)
    for line in section("access-logs", "console").splitlines():
        command = shlex.split(line.removeprefix("$ bellwether "))
        result = CliRunner().invoke(main, command, catch_exceptions=False)
        if command == ["features", "build"]:  # a log of one day has no four weeks behind its end
            assert result.exit_code == 2
            option = re.search(r"give (--from \S+) to build with less history", result.output)[1]
            result = CliRunner().invoke(main, [*command, *option.split()], catch_exceptions=False)
        assert result.exit_code == 0, result.output

    settings = load_settings(home=tmp_path / "var")
    engine = duckdb_engine(threads=1, memory_limit="1GB")
    events = engine.to_arrow(read_events(engine, Home(settings))).to_pylist()
    refused = engine.to_arrow(read_quarantine(engine, Home(settings), "events")).to_pylist()
    engine.close()
    assert sorted(row["account_id"] for row in events) == ["acme"] * 7 + ["beta"] * 6
    assert {(row["endpoint"], row["method"], row["status"]) for row in events if row["account_id"] == "acme"} == {
        ("/v1/orders/{id}", "GET", 200),
        ("/v1/broken", "POST", 500),
        ("/v1/files/a%20b.pdf", "GET", 200),
        ("/v1/secret", "GET", 401),
    }
    assert {row["sdk"] for row in events} == {None, 'odd "agent\\ 2', "python-requests"}
    assert all(row["latency_ms"] >= 0 and row["event_time"] >= begun.replace(microsecond=0) for row in events)
    assert sum(row["token"] is not None for row in events) == 4
    assert [row["reason"] for row in refused] == ["account_id_missing"] * len(refused)
    assert len(refused) >= 2  # the handshake and the robot; a port that is only opened may be a line too
    held = [path for path in settings.home.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    assert held == []

    files = list((settings.home / "features" / "usage").rglob("*.parquet"))
    rows = [row for path in files for row in pq.read_table(path, partitioning=None).to_pylist()]
    assert {row["account_id"]: row["calls_28d"] for row in rows} == {"acme": 7, "beta": 6}
