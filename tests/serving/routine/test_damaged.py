"""Whatever is damaged in a home, each command ends with a sentence that names it, or as if nothing were.

Every command meets every store, and every damage meets both: a sample that covers all pairs of the three.
"""

from __future__ import annotations

import itertools
import json
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click.testing
import pytest

from features.home.home import Home
from features.ingest.inbox import TakenFiles
from features.settings.load import load_settings
from serving.cli import main
from tests.serving.routine.conftest import NOW, YESTERDAY, Household
from tests.shared import flip_a_bit, linked, overwrite

AS_OF = f"{YESTERDAY:%Y-%m-%d}"
COMMANDS = {
    "score": ["score", "--as-of", AS_OF, "--out", "{folder}/scores.csv"],
    "explain": ["explain", "acct_000001", "--as-of", AS_OF],
    "materialize": ["features", "materialize"],
    "build": ["features", "build", "--from", AS_OF, "--to", AS_OF],
    "plan": ["features", "build", "--plan"],
    "ingest": ["ingest", "--events", "{folder}/calls.csv"],
    "promote": ["promote", "--target", "churn"],
    "doctor": ["doctor"],
    "nightly": ["nightly", "--as-of", AS_OF],
    "serve": ["serve"],
}
# Each store's damaged file, and what a sentence about it may call it.
STORES = {
    "events": ("events/day=2026-06-1*/*.parquet", "events"),
    "raw": ("raw/_manifest.json", "raw"),
    "quarantine": ("quarantine/_manifest.json", "quarantine"),
    "rollups": ("rollups/_manifest.json", "rollups"),
    "features": ("features/usage/*/*.parquet", "features"),
    "registry": ("feast/registry.db", "feast"),
    "online": ("feast/online.db", "feast"),
    "mlflow": ("mlflow/mlflow.db", "registry|champion|No model"),
    "artifacts": ("mlflow/artifacts/*/*/artifacts/bundle/manifest.json", "bundle"),
    "bundles": ("bundles/*/bundle.json", "bundle"),
    "ledger": ("ledger.db", "ledger"),
    "key": ("secret.key", "secret.key"),
    "settings": ("bellwether.toml", "bellwether.toml"),
    "state": ("nightly/taken.json", "taken.json"),
}


def _truncated(file: Path) -> None:
    overwrite(file, file.read_bytes()[: file.stat().st_size // 2])


def _older(file: Path) -> None:
    """Make it one of a version that is not this one's."""
    if file.suffix == ".db":
        with closing(sqlite3.connect(file)) as database, database:
            tables = {name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            for statement in (
                "UPDATE alembic_version SET version_num = '451aebb31d03'",
                "UPDATE ledger_version SET version = 99",
                "DELETE FROM feature_views WHERE feature_view_name = 'usage'",
                'DROP TABLE "bellwether_usage"',
            ):
                if re.search(r'(?:UPDATE|FROM|TABLE) "?(\w+)', statement)[1] in tables:  # type: ignore[index]
                    database.execute(statement)
    elif file.name == "_manifest.json":
        overwrite(file, json.dumps({**json.loads(file.read_text()), "format": 99}).encode())
    elif file.suffix == ".json":
        overwrite(file, json.dumps({"of": ["another", "version"]}).encode())
    elif file.name == "bellwether.toml":
        overwrite(file, file.read_bytes() + b"of_another_version = 1\n")
    else:
        overwrite(file, b"ab" * 32 + b"\n")


DAMAGES: dict[str, Callable[[Path], None]] = {
    "truncated": _truncated,
    "missing": Path.unlink,
    "flipped": flip_a_bit,
    "older": _older,
}


def _sample() -> dict[str, list[tuple[str, str]]]:
    """Command to the stores it meets, each damaged in one way: all pairs of the three are covered."""
    rows: dict[str, list[tuple[str, str]]] = {}
    for place, command in enumerate(COMMANDS):
        damages = itertools.islice(itertools.cycle(DAMAGES), place, None)  # each command begins with another
        rows[command] = list(zip(STORES, damages, strict=False))
    return rows


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str
    scores: str | None


@pytest.fixture(scope="module")
def whole(yesterday: Household, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Yesterday with a settings file and something remembered of a night; do not write to it."""
    home = yesterday.copy_to(tmp_path_factory.mktemp("whole")).settings.home
    (home / "bellwether.toml").write_text("stale_after_hours = 1e6\nthreads = 1\n")
    TakenFiles(Home(load_settings(home=home))).forget(())
    return home


@pytest.fixture(autouse=True)
def _noon(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("serving.cli", "features.cli"):
        monkeypatch.setattr(f"{module}._now", lambda: NOW)
    monkeypatch.setattr("serving.launch.os.execve", _started)


def _started(*_: object) -> None:
    raise SystemExit(0)


def _run(home: Path, folder: Path, command: str) -> Outcome:
    (folder / "calls.csv").write_text("account_id,event_time,event_id\nacct_000001,2026-06-20T10:00:00Z,one\n")
    arguments = [part.format(folder=folder) for part in COMMANDS[command]]
    done = click.testing.CliRunner().invoke(main, ["--home", str(home), *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    scores = folder / "scores.csv"
    return Outcome(done.exit_code, done.stdout, done.stderr, scores.read_text() if scores.exists() else None)


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_on_a_damaged_home(command: str, whole: Path, tmp_path: Path) -> None:
    (tmp_path / "healthy").mkdir()
    healthy = _run(linked(whole, tmp_path / "healthy" / "home"), tmp_path / "healthy", command)
    faults = []
    for store, damage in _sample()[command]:
        folder = tmp_path / f"{store}-{damage}"
        folder.mkdir()
        home = linked(whole, folder / "home")
        pattern, names = STORES[store]
        DAMAGES[damage](max(home.glob(pattern)))
        faults += [f"{store} {damage}: {fault}" for fault in _faults(_run(home, folder, command), healthy, names)]
    assert not faults, "\n".join(faults)


def _faults(outcome: Outcome, healthy: Outcome, names: str) -> Iterator[str]:
    said = [line for line in outcome.err.splitlines() if line.startswith("Error:")]
    if "Traceback" in outcome.out + outcome.err or "unexpectedly" in outcome.err:
        yield f"nobody foresaw it: {outcome.err}"
    elif outcome.code == 0 and outcome.scores != healthy.scores:
        yield "other scores, and nobody is told"
    elif outcome.code not in {0, 1, 2, 3, healthy.code}:
        yield f"exit code {outcome.code}"
    elif outcome.code == 1 and " checks: " in outcome.err:  # a doctor tells what it finds in a table
        if not re.search(names, outcome.out):
            yield f"what is damaged is not named: {outcome.out}"
    elif outcome.code != 0 and healthy.code == 0:
        if len(said) != 1 or len(said[0]) > 600:
            yield f"not a sentence or two: {outcome.err}"
        elif not re.search(names, said[0]):
            yield f"what is damaged is not named: {said[0]}"
        elif not re.search(r"`bellwether |[Rr]estore|[Mm]end|[Rr]emove|[Mm]ove|[Uu]se that", said[0]):
            yield f"nobody is told what to do: {said[0]}"


def test_the_sample_covers_every_pair() -> None:
    rows = {(command, store, damage) for command, pairs in _sample().items() for store, damage in pairs}
    for first, second in itertools.combinations(range(3), 2):
        values = [(COMMANDS, STORES, DAMAGES)[place] for place in (first, second)]
        assert {(row[first], row[second]) for row in rows} == set(itertools.product(*values))
