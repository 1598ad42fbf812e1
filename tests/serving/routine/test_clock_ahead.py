"""A night with the clock ahead: refused before it does anything, and undone where somebody forced it."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from features.exceptions import WorkFailedError
from features.feature_store.store import open_store
from features.storage.state_file import recall
from features.windows import DAY
from serving.doctor import examine_home, summary
from serving.routine.nightly_text import nightly_json, nightly_lines
from tests.serving.routine.conftest import END, NOW, YESTERDAY, Household, arrived, night, state

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("times_of_arrival")]

AHEAD = NOW + 300 * DAY
FAR = END + 300 * DAY


def undated(folder: Path, *files: Path) -> list[Path]:
    """Copies of files of events that do not say when they were learned of."""
    copies = [folder / file.name for file in files]
    for file, copy in zip(files, copies, strict=True):
        pq.write_table(pq.read_table(file).drop_columns("ingested_at"), copy)
    return copies


def new_owners(household: Household, folder: Path) -> Path:
    """A list of accounts, of which each has another owner than before, that does not say since when."""
    (stored,) = household.home.stores.raw.files("accounts", "accounts")
    ids = sorted(set(pq.read_table(stored, columns=["account_id"], partitioning=None)["account_id"].to_pylist()))
    path = folder / "owners.csv"
    path.write_text("account_id,name,owner\n" + "".join(f"{account},{account} Ltd,kim\n" for account in ids))
    return path


def everything(household: Household) -> dict[str, Any]:
    """All that a home answers from and remembers: raw rows, feature files, online rows, the registry, the ledger."""
    home = household.home
    raw = {
        name: sorted(
            map(str, (row for file in home.stores.raw.files(name, name) for row in pq.read_table(file).to_pylist()))
        )
        for name in ("accounts", "subscriptions", "touchpoints")
    }
    partitions = {name: home.stores.named(name).manifest().partitions for name in ("events", "rollups", "features")}
    notes = {f"notes of {name}": home.stores.named(name).manifest().notes for name in ("raw", "quarantine")}
    filled = {"filled": [(view.group, view.until) for view in open_store(home).views()]}
    remembered = {file.name: recall(file) for file in home.nightly.glob("*.json")}
    return {
        **raw,
        **partitions,
        **notes,
        **filled,
        **remembered,
        "online": online(household),
        "ledger": ledger(household),
    }


def rows_of(database: Path, query: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection:
        return sorted(connection.execute(query).fetchall(), key=str)


def online(household: Household) -> dict[str, Any]:
    database = household.home.feast_online
    of_features = "type = 'table' AND sql LIKE '%entity_key%'"
    tables = [name for (name,) in rows_of(database, f"SELECT name FROM sqlite_master WHERE {of_features}")]
    columns = "entity_key, feature_name, value, event_ts"
    return {table: rows_of(database, f"SELECT {columns} FROM {table}") for table in tables}


def ledger(household: Household) -> dict[str, Any]:
    tables = ("score_runs", "run_confirmed", "scores", "reasons")
    return {table: rows_of(household.home.ledger, f"SELECT * FROM {table}") for table in tables}


def test_a_night_with_the_clock_ahead_changes_nothing_and_scores_nobody(own: Household, tmp_path: Path) -> None:
    arrived(own, *undated(tmp_path, *own.newest_days))
    before, answers = state(own), everything(own)
    report = night(own, now=AHEAD)
    assert report.is_source_late
    assert report.failure is not None
    message = r"2027-04-25 lies 300 days after the newest event, of 2026-06-28 .*3 new files wait.*--force goes on"
    with pytest.raises(WorkFailedError, match=message):
        raise report.failure.error
    after = everything(own)
    assert after.pop("state.json")["state"] == "source_late"
    assert after.pop("taken.json")["files"] == {}
    assert (state(own), after) == (before, answers)
    assert "SOURCE LATE" in "\n".join(nightly_lines(report))
    assert nightly_json(report)["state"] == "source_late"
    assert recall(own.home.nightly_state)["state"] == "source_late"
    right = night(own)
    assert (right.failure, right.files_taken, right.is_source_late) == (None, 3, False)
    assert recall(own.home.nightly_state)["state"] == "done"


def test_a_forced_night_with_the_clock_ahead_is_undone_as_if_it_had_never_been(own: Household, tmp_path: Path) -> None:
    files, owners = undated(tmp_path, *own.newest_days), new_owners(own, tmp_path)
    arrived(own, *files)
    arrived(own, owners, table="accounts")
    never = own.copy_to(tmp_path / "never")
    bad = night(own, now=AHEAD, force=True)
    assert (bad.failure, bad.as_of, bad.files_taken) == (None, FAR, 4)

    found = examine_home(own.home, now=NOW - timedelta(hours=1))
    told = "\n".join(f"{result.check}: {result.finding.what}" for result in found)
    assert "clock: 1 cutoff is built that had not come at 2026-06-29 11:00 UTC: 2027-04-25." in told
    assert "clock: 1 load of events says it was made at 2027-04-25 05:59 UTC" in told
    assert "clock: 1 load of accounts says it was made at 2027-04-25 05:59 UTC" in told
    assert "online rows of the future: Online rows are of 2027-04-25" in told
    assert "runs of the future: 1 score run is of a time that had not come" in told

    unrepaired = night(own, now=NOW - timedelta(hours=2))
    assert unrepaired.failure is not None
    assert (unrepaired.failure.error.exit_code, unrepaired.targets) == (1, ())
    assert "1 cutoff is built that had not come" in str(unrepaired.failure.error)
    assert "run `bellwether doctor --repair`" in str(unrepaired.failure.error)

    repaired = examine_home(own.home, now=NOW - timedelta(hours=1), repair=True)
    assert [result.finding.what for result in repaired if not result.is_repaired] == []
    copy = own.home.set_aside / "20260629T110000Z"
    assert f"What was there before lies in {copy}" in summary(own.home, repaired, now=NOW - timedelta(hours=1))
    assert rows_of(copy / "ledger.db", "SELECT max(as_of) FROM score_runs") == [(FAR.isoformat(),)]
    assert any(
        name.endswith("2027-04-25") for name in json.loads((copy / "features/_manifest.json").read_text())["partitions"]
    )
    assert examine_home(own.home, now=NOW - timedelta(hours=1)) == []

    assert night(own).failure is None
    assert night(never).failure is None
    mine, theirs = everything(own), everything(never)
    for part, values in theirs.items():
        assert mine[part] == values, part


def test_the_default_night_of_a_log_that_ended_is_late_and_its_own_day_is_not(own: Household) -> None:
    late = night(own, now=NOW + 800 * DAY)
    assert late.is_source_late
    assert late.failure is not None
    assert "--as-of 2026-06-26" in str(late.failure.error)
    named = night(own, as_of=YESTERDAY, now=NOW + 800 * DAY)
    assert (named.failure, named.is_source_late) == (None, False)
