"""Whatever a command is busy with, an interrupt ends it with a line and 130, and leaves every store whole."""

from __future__ import annotations

from pathlib import Path
from typing import NoReturn

import pytest
from click.testing import CliRunner

from features.interrupts import STOPPED
from features.storage.damage import damaged_files
from serving.cli import main
from tests.serving.routine.conftest import NOW, YESTERDAY, Household

AS_OF = f"{YESTERDAY:%Y-%m-%d}"
# Each command that takes long, and where it is interrupted.
SEAMS = {
    "ingest": (["ingest", "--events", "{folder}/calls.csv"], "features.storage.store.StoreWriter.replace"),
    "build": (
        ["features", "build", "--from", "2026-06-27", "--to", "2026-06-27"],
        "features.storage.store.StoreWriter.replace",
    ),
    "materialize": (["features", "materialize", "--as-of", AS_OF], "features.feature_store.store.forget_others"),
    "audit": (["features", "audit"], "training.watching.audit.audit"),
    "check": (["features", "check", "--as-of", AS_OF], "serving.quality.check_features"),
    "train": (["train"], "training.flow.load"),
    "promote": (["promote", "--target", "churn"], "training.registry.promotion.local_copy"),
    "score": (["score", "--as-of", AS_OF], "serving.ledger.ledger._score_row"),
    "explain": (["explain", "acct_000001", "--as-of", AS_OF], "serving.routine.batch.assess"),
    "nightly": (["nightly", "--as-of", AS_OF], "serving.routine.nightly.roll_up"),
    "doctor": (["doctor", "--repair"], "features.doctor.files.damaged_files"),
    "simulate": (["simulate", "--out", "{folder}/company"], "features.simulator.simulate"),
    "demo": (["demo", "--no-serve"], "serving.demo.simulate"),
    "serve": (["serve"], "serving.launch.os.execve"),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", SEAMS)
def test_it_stops(command: str, own: Household, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    arguments, seam = SEAMS[command]
    (tmp_path / "calls.csv").write_text("account_id,event_time,event_id\nacct_000001,2026-06-20T10:00:00Z,one\n")
    for module in ("serving.cli", "features.cli"):
        monkeypatch.setattr(f"{module}._now", lambda: NOW)
    monkeypatch.setattr(seam, interrupted)
    home = tmp_path / "demo" if command == "demo" else own.settings.home
    done = CliRunner().invoke(main, ["--home", str(home), *(part.format(folder=tmp_path) for part in arguments)])
    assert (done.exit_code, done.stderr.count(STOPPED), "Traceback" in done.output) == (130, 1, False), done.output
    for name in ("events", "raw", "quarantine", "rollups", "features"):
        store = own.home.stores.named(name)
        assert damaged_files(store) == []
        assert list(store.root.glob(".scratch-*")) == []
