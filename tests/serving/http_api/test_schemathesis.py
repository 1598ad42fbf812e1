"""Schemathesis, with every check it has, on the OpenAPI document and the service that gave it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.serving.server import Running

pytestmark = [pytest.mark.slow, pytest.mark.delivery]

# A schema cannot say which cursors we gave: one that fits it and is none of ours is 400 and documented so.
CONFIGURATION = """
[[operations]]
include-name = "GET /v1/accounts"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404]
"""


def test_schemathesis_finds_nothing(two_workers: Running, tmp_path: Path) -> None:
    document, configuration = tmp_path / "openapi.json", tmp_path / "schemathesis.toml"
    # The example's account has to be one that this service knows, and the targets those it has champions of: otherwise
    # every answer about them is 404 and 503, as documented.
    described = json.loads(two_workers.get("/openapi.json").text.replace("acct_000042", "acct_001"))
    targets = described["components"]["schemas"]["ScoreRequest"]["properties"]["targets"]["anyOf"][0]
    targets["items"]["enum"] = [model["target"] for model in two_workers.get("/v1/models").json()["models"]]
    document.write_text(json.dumps(described))
    configuration.write_text(CONFIGURATION)
    command = [Path(sys.executable).parent / "schemathesis", "--config-file", configuration, "run", document]
    options = ["--url", two_workers.address, "--checks", "all", "--seed", "7", "-n", "10", "--no-color"]
    done = subprocess.run(
        [*command, *options, "--generation-database", "none"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    operations = sum(len(methods) for methods in described["paths"].values())
    assert f"{operations} selected / {operations} total" in done.stdout
    assert "Missing test data" not in done.stdout
