import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from features.cli import main
from features.console import emit
from features.definitions.describe import described
from features.exceptions import InputError
from features.home.home import Home
from features.settings.load import load_settings

HEAVY = ("bentoml", "duckdb", "feast", "ibis", "lightgbm", "matplotlib", "mlflow", "numpy", "pandas", "pyarrow", "shap")


@pytest.fixture
def run(tmp_path):
    settings = load_settings(home=tmp_path / "home", threads=1)

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, arguments, obj=Home(settings), catch_exceptions=code == 0)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        assert result.exit_code == code
        return result

    return invoke


def test_the_commands_are_there_before_any_heavy_library_is():
    script = f"import sys, features.cli; print([name for name in {HEAVY!r} if name in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=Path.cwd())
    assert ended.stdout.strip() == "[]"


@pytest.mark.parametrize("command", ["init", "simulate", "ingest", "features", "settings"])
def test_every_command_has_help(run, command):
    assert "Usage" in run(command, "--help").output


def test_nothing_to_ingest_is_said_before_any_heavy_library_is_there(tmp_path):
    for more in ([], ["--dry-run"]):
        script = f"""if True:
            import sys
            from features.cli import main
            from features.command_line import run_and_leave
            try:
                arguments = ["--home", {str(tmp_path)!r}, "ingest", *{more!r}]
                run_and_leave(lambda: main.main(arguments, standalone_mode=False))
            finally:
                print([name for name in {HEAVY!r} if name in sys.modules])
        """
        (tmp_path / "secret.key").touch()
        ended = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=False, cwd=Path.cwd()
        )
        assert (ended.returncode, ended.stdout.strip()) == (2, "[]"), ended.stderr
        assert "Give at least one of --events, --accounts, --subscriptions, --touchpoints." in ended.stderr


def test_init_makes_a_home_and_can_be_run_again(run, tmp_path):
    first = run("init", "--write", str(tmp_path / "b.toml"))
    assert "put it into your backup" in first.output
    assert "(kept)" in run("init", "--write", str(tmp_path / "b.toml")).output
    assert (tmp_path / "home" / "secret.key").exists()


def test_init_writes_its_settings_into_the_home_that_it_makes_and_into_no_other_folder_that_is_none(run, tmp_path):
    run("init", "--write", str(tmp_path / "home/bellwether.toml"))
    assert (tmp_path / "home/bellwether.toml").exists()
    with pytest.raises(InputError, match=r"there is no folder .*away. Make it"):
        run("init", "--write", str(tmp_path / "away/bellwether.toml"), code=2)


def test_ingest_prints_data_on_stdout_and_talk_on_stderr(run, tmp_path):
    path = tmp_path / "e.csv"
    path.write_text("account_id,event_time\nacme,2026-01-01T00:00:00Z\nacme,never\n")
    result = run("ingest", "--events", str(path), "--backfill", "--format", "json")
    assert json.loads(result.stdout) == [
        {
            "table": "events",
            "files": 1,
            "rows_read": 2,
            "new": 1,
            "duplicates": 0,
            "quarantined": 1,
            "reasons": "event_time_unreadable 1",
            "left_out": "",
        }
    ]
    assert "taken from event_time (backfill)" in result.stderr


def test_errors_of_arguments_say_how_to_write_them(run):
    with pytest.raises(InputError, match="There is nothing to ingest"):
        run("ingest", code=2)
    with pytest.raises(InputError, match=r"There is no group 'colour'. The groups are usage"):
        run("features", "describe", "--group", "colour", code=2)


def test_settings_are_printed_as_json(run):
    rows = json.loads(run("settings", "--format", "json").stdout)
    assert {"name": "port", "value": 3000, "default": 3000, "unit": "port", "meaning": "port of the service"} in rows
    assert next(row["value"] for row in rows if row["name"] == "value_endpoints") == []
    assert "value_endpoints,none,none,routes," in run("settings", "--format", "csv").stdout


def test_describe_names_the_features(run):
    assert "calls_28d" in run("features", "describe", "--group", "usage", "--format", "csv").stdout


def test_a_table_sets_numbers_to_the_right(capsys):
    emit([{"account": "acme", "calls": 12345}, {"account": "b", "calls": None}])
    assert capsys.readouterr().out.splitlines() == [
        "account   calls",
        "───────  ──────",
        "acme     12,345",
        "b",
    ]


def test_describe_prints_the_one_list_of_features(run):
    rows = json.loads(run("features", "describe", "--format", "json").stdout)
    assert rows == described()


def test_of_a_log_that_ended_each_command_takes_its_end_or_names_the_day(run, tmp_path):
    path = tmp_path / "e.csv"
    days = [f"2024-0{month}-{day:02}" for month, day in ((1, 20), (2, 3), (2, 29), (3, 3))]
    path.write_text("account_id,event_time\n" + "".join(f"acme,{day}T10:00:00Z\n" for day in days))
    run("init", "--write", str(tmp_path / "b.toml"))
    run("ingest", "--events", str(path), "--backfill")
    rows = json.loads(run("features", "build", "--format", "json").stdout)
    told = {row["what"]: row["count"] for row in rows}
    assert (told["first cutoff"], told["last cutoff"]) == ("2024-02-19", "2024-03-04")
    run("features", "apply")
    assert "1 account online as of 2024-03-04" in run("features", "materialize").stdout
    beyond = run("features", "build", "--from", "2026-06-01", "--to", "2026-06-01")
    assert "2026-06-01 lies 820 days after the newest event, of 2024-03-03 10:00 UTC" in beyond.stderr
    with pytest.raises(InputError, match=r"everybody would look silent.*--as-of 2024-03-04"):
        run("features", "materialize", code=2)
