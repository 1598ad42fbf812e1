"""A night from the inbox to the scores, through every real part."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from features.exceptions import DependencyError, InputError, LockHeldError, SettingsError, WorkFailedError
from features.home.home import Home
from features.settings.load import load_settings
from features.storage.lock import exclusive_lock
from features.storage.manifest import Manifest
from features.storage.store import ManifestStore
from features.windows import DAY
from serving.routine.nightly import due_cutoff, run_nightly
from serving.routine.nightly_text import nightly_lines
from tests.killing import finished, killed
from tests.serving.routine.conftest import END, NOW, YESTERDAY, Household, arrived, night, state

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("times_of_arrival")]


def rows_of(manifest: Manifest) -> int:
    return sum(len(files) for files in manifest.partitions.values())


def test_a_night_brings_new_files_to_scores_and_the_same_night_again_changes_nothing(own: Household) -> None:
    arrived(own, *own.newest_days)
    first = night(own)
    assert first.failure is None
    assert (first.as_of, first.files_taken, first.days_counted) == (END, 3, 3)
    assert END in first.cutoffs_built
    assert first.accounts_online > 90
    (churn,) = first.targets
    assert churn.previous is not None
    assert churn.previous.as_of == YESTERDAY
    assert sum(churn.bands.values()) == churn.statuses["scored"]
    changes = [abs(mover.now - mover.before) for mover in churn.risen]
    assert changes == sorted(changes, reverse=True)
    text = "\n".join(nightly_lines(first))
    assert "events: 3 new files" in text
    assert "Against 2026-06-28" in text
    assert "    up   " in text

    before = state(own)
    again = night(own, now=NOW + timedelta(hours=1))
    assert again.changed_nothing
    assert again.failure is None
    assert nightly_lines(again)[-1] == "Everything was there already: nothing changed."
    assert state(own) == before


@pytest.mark.parametrize("is_missing", [True, False])
def test_a_night_under_another_key_is_refused_before_anything(own: Household, *, is_missing: bool) -> None:
    arrived(own, *own.newest_days)
    key = own.home.secret_key
    key.unlink() if is_missing else key.write_text("ab" * 32 + "\n")
    before = {path: path.stat().st_mtime_ns for path in own.home.root.rglob("*")}
    with pytest.raises(SettingsError, match=r"secret\.key is .* Restore it from the backup"):
        night(own)
    assert {path: path.stat().st_mtime_ns for path in own.home.root.rglob("*")} == before


def test_files_are_known_by_content_and_a_rewritten_day_is_new(own: Household, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    day = own.newest_days[0]
    arrived(own, day)
    assert night(own).files_taken == 1
    inbox = own.settings.home / "inbox/events"
    (inbox / day.name).rename(inbox / "renamed.parquet")
    assert night(own).files_taken == 0
    rows = pq.read_table(day).slice(0, 5)
    more = rows.set_column(rows.schema.get_field_index("event_id"), "event_id", [[f"new-{n}" for n in range(5)]])
    pq.write_table(more, tmp_path / "renamed.parquet")
    arrived(own, tmp_path / "renamed.parquet")
    again = night(own)
    assert (again.files_taken, again.tables[0].rows_stored) == (1, 5)


def test_a_refused_file_stays_is_reported_and_keeps_no_other_out(own: Household, tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and then nothing")
    stranger = tmp_path / "notes.docx"
    stranger.write_text("hello")
    arrived(own, *own.newest_days, broken, stranger)
    report = night(own)
    assert report.files_taken == 3
    assert [one.name for one in report.refused] == ["events/broken.parquet"]
    assert report.unread == ("events/notes.docx",)
    assert report.targets
    assert report.failure is not None
    with pytest.raises(WorkFailedError, match=r"1 file was refused and left in .*inbox: events/broken\.parquet"):
        raise report.failure.error
    assert "Refused events/broken.parquet" in "\n".join(nightly_lines(report))
    assert (own.settings.home / "inbox/events/broken.parquet").exists()
    assert [one.name for one in night(own).refused] == ["events/broken.parquet"]


def test_a_file_of_which_nothing_can_be_stored_is_refused_and_tried_again(own: Household, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.csv"
    wrong.write_text("account_id,event_time\n" + "acme,the other day\n" * 4)
    arrived(own, wrong)
    for _ in range(2):
        report = night(own, as_of=YESTERDAY)
        (refused,) = report.refused
        assert refused.name == "events/wrong.csv"
        assert refused.why.startswith("None of the 4 rows of events was stored: 4 rows were refused: event_time unre")
        assert (report.files_taken, len(report.targets)) == (0, 1)
        assert report.failure is not None
        assert report.failure.error.exit_code == 1


def test_rows_without_a_time_of_learning_were_known_when_their_file_was_there(own: Household, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    in_time, late = tmp_path / "in-time.parquet", tmp_path / "late.parquet"
    for file, day in ((in_time, own.newest_days[0]), (late, own.newest_days[1])):
        pq.write_table(pq.read_table(day).drop_columns("ingested_at"), file)
    arrived(own, in_time, at=END + timedelta(hours=5))
    arrived(own, late, at=END + timedelta(hours=7))
    night(own)
    store = ManifestStore(own.settings.home / "events")
    learned = {
        day: {
            moment
            for path in store.files(f"day=2026-06-{day}")
            for moment in pq.ParquetFile(path).read(columns=["ingested_at"])["ingested_at"].to_pylist()
        }
        for day in (26, 27)
    }
    deadline = END + timedelta(hours=own.settings.grace_hours)
    assert max(learned[26]) < deadline
    assert NOW in learned[27]


def test_whole_exports_of_a_crm_bring_only_what_is_new_and_correct_it_by_the_last(
    own: Household, tmp_path: Path
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    (path,) = own.home.stores.raw.files("subscriptions", "subscriptions")
    before = pq.read_table(path, partitioning=None)
    export = before.drop_columns(["known_at", "source_order"])
    moment = END - timedelta(hours=20)
    nothing = dict.fromkeys(export.column_names)
    for number, mrr in enumerate((10.0, 20.0)):
        row = nothing | {
            "account_id": "acct_000001",
            "occurred_at": moment,
            "kind": "upgrade",
            "plan": "pro",
            "mrr": mrr,
        }
        file = tmp_path / f"crm-{number}.parquet"
        pq.write_table(pa.concat_tables([export, pa.Table.from_pylist([row], export.schema)]), file)
        arrived(own, file, table="subscriptions")
    arrived(own, *own.newest_days)  # else the source is late
    report = night(own)
    (path,) = own.home.stores.raw.files("subscriptions", "subscriptions")
    after = pq.read_table(path, partitioning=None)
    (subscriptions,) = [table for table in report.tables if table.table == "subscriptions"]
    assert (subscriptions.rows_stored, after.num_rows) == (2, before.num_rows + 2)
    fresh = [row for row in after.to_pylist() if row["occurred_at"] == moment]
    assert [row["mrr"] for row in sorted(fresh, key=lambda row: row["known_at"])] == [10.0, 20.0]
    deadline = END + timedelta(hours=own.settings.grace_hours)
    assert all(deadline - timedelta(seconds=1) < row["known_at"] < deadline for row in fresh)
    assert YESTERDAY not in report.cutoffs_built


def test_a_first_export_that_does_not_say_is_refused_with_the_command_that_loads_it(tmp_path: Path) -> None:
    home = Home(load_settings(home=tmp_path / "home"))
    file = tmp_path / "home" / "inbox" / "accounts" / "crm.csv"
    file.parent.mkdir(parents=True)
    file.write_text("account_id,owner\na,Ann\n")
    (refused,) = run_nightly(home, now=NOW).refused
    assert f"`bellwether ingest --accounts {file} --backfill`" in refused.why


@pytest.mark.parametrize(
    ("hours", "grace", "due"), [(3, 6, END), (23, 6, END), (12, 24, YESTERDAY), (0, 24, YESTERDAY)]
)
def test_a_night_is_for_the_midnight_before_it(hours: int, grace: float, due: datetime) -> None:
    assert due_cutoff(END + timedelta(hours=hours), grace_hours=grace) == due


def test_before_the_grace_is_over_a_night_is_refused(yesterday: Household) -> None:
    with pytest.raises(
        InputError, match=r"too early for 2026-06-29: late data counts until 2026-06-29 06:00 UTC.*--as-of 2026-06-28"
    ):
        night(yesterday, now=END + timedelta(hours=5, minutes=59))
    with pytest.raises(InputError, match="too early for 2026-06-30"):
        night(yesterday, as_of=END + DAY)


def test_two_nights_at_once_are_refused(own: Household) -> None:
    with exclusive_lock(own.settings.home / "nightly"), pytest.raises(LockHeldError, match="nightly"):
        night(own)


def test_an_earlier_night_does_all_but_says_that_newer_features_are_online(own: Household) -> None:
    report = night(own, as_of=YESTERDAY - DAY)
    assert report.failure is not None
    with pytest.raises(
        WorkFailedError, match=r"The online store holds 2026-06-28, newer than 2026-06-27, and the serv"
    ):
        raise report.failure.error
    assert report.is_online_kept
    assert report.targets[0].is_new
    assert report.targets[0].previous is None


def test_without_a_champion_all_else_is_done_and_the_step_is_named(own: Household) -> None:
    (own.settings.home / "mlflow/mlflow.db").unlink()
    arrived(own, *own.newest_days)
    report = night(own)
    assert report.accounts_online
    assert report.failure is not None
    assert report.failure.step == "score"
    assert isinstance(report.failure.error, DependencyError)
    assert "Stopped at: score" in nightly_lines(report)


def test_a_target_that_lost_its_champion_is_told_while_the_others_are_scored(
    own: Household, monkeypatch: pytest.MonkeyPatch
) -> None:
    from training.models.bundle import BundleError
    from training.registry.champions import champion

    with closing(sqlite3.connect(own.settings.home / "ledger.db")) as ledger, ledger:
        columns = [row[1] for row in ledger.execute("PRAGMA table_info(score_runs)")]
        given = {"run_id": "'lost'", "target": "'upsell'"}
        chosen = ", ".join(given.get(column, column) for column in columns)
        ledger.execute(f"INSERT INTO score_runs SELECT {chosen} FROM score_runs LIMIT 1")
    report = night(own, as_of=YESTERDAY)
    assert [one.target for one in report.targets] == ["churn"]
    assert report.failure is not None
    with pytest.raises(DependencyError, match="upsell was scored before and has no champion any more"):
        raise report.failure.error

    def unreadable(home: Home, name: str) -> Any:
        if name == "upsell":
            raise BundleError("Its model.txt is damaged.")
        return champion(home, name)

    monkeypatch.setattr("serving.routine.batch.champion_version", lambda _, name: None if "inactivity" in name else "1")
    monkeypatch.setattr("serving.routine.batch.champion", unreadable)
    report = night(own, as_of=YESTERDAY)
    assert [one.target for one in report.targets] == ["churn"]
    assert report.failure is not None
    assert (report.failure.step, str(report.failure.error)) == ("score", "Its model.txt is damaged.")


def test_whatever_ends_a_step_the_summary_names_it(own: Household, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(*_: object, **__: object) -> None:
        raise ValueError("nobody foresaw this")

    monkeypatch.setattr("serving.routine.nightly.roll_up", breaks)
    report = night(own, as_of=YESTERDAY)
    assert report.failure is not None
    assert report.failure.step == "roll up"
    assert len(report.sources) == 4
    with pytest.raises(WorkFailedError, match="It ended unexpectedly: ValueError: nobody foresaw this"):
        raise report.failure.error
    monkeypatch.setattr("serving.routine.nightly.complete_until", breaks)
    report = night(own, as_of=YESTERDAY)
    assert report.failure is not None
    assert (report.failure.step, report.sources) == ("roll up", ())


def test_a_late_source_is_named(own: Household) -> None:
    strict = Household(own.settings.model_copy(update={"stale_after_hours": 36.0}), own.newest_days)
    report = night(strict, force=True)
    (events,) = [one for one in report.sources if one.table == "events"]
    assert events.is_late
    assert any("Source events" in line and "LATE" in line for line in nightly_lines(report))


def test_a_killed_night_goes_on_where_it_was(own: Household, tmp_path: Path) -> None:
    arrived(own, *own.newest_days)
    apart = own.copy_to(tmp_path / "apart")
    night(apart)
    line = ["--home", str(own.settings.home), "nightly", "--format", "json"]
    # The files are in, and nobody has written down that they are.
    killed(line, at="features.ingest.inbox:TakenFiles.add", call=1, now=NOW)
    killed(line, at="serving.routine.nightly:score_batch", now=NOW)
    done = finished(line, now=NOW)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["targets"][0]["is_new"] is True
    mine, theirs = state(own), state(apart)
    refused = [rows_of(one) for one in (mine.pop("quarantine"), theirs.pop("quarantine"))]  # they name their inbox
    assert refused[0] == refused[1]
    assert mine == theirs


def test_the_command_names_the_step_and_leaves_with_its_code(
    own: Household, capsys: pytest.CaptureFixture[str]
) -> None:
    import serving.cli

    def run(*arguments: str) -> int:
        with pytest.raises(SystemExit) as left:
            serving.cli.main.main(["--home", str(own.settings.home), "nightly", *arguments])
        return int(left.value.code or 0)

    (own.settings.home / "mlflow/mlflow.db").unlink()
    assert run("--as-of", "2026-06-28", "--format", "json") == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["failure"]["step"] == "score"
    assert "Error: Step score: " in err
    assert run("--as-of", "2999-01-01") == 2
