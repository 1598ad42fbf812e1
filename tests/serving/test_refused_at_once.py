"""What cannot be meant is refused before any library is loaded; a folder that is no home before anything else."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from features.home.home import Home
from features.settings.load import load_settings
from serving.cli import main
from tests.serving.test_cli import HEAVY, run

# Arguments, and what is said of them. HOME is a home in which 2026-01-05 is built.
REFUSED = {
    "train --target chrun": "'chrun' is not one of 'churn', 'churn_inactivity', 'upsell'",
    "promote --target chrun": "'chrun' is not one of",
    "explain acme --target chrun": "'chrun' is not one of",
    "features audit --target chrun": "'chrun' is not one of",
    "features audit --sample 0": "0 is not in the range x>=1",
    "train --format yaml": "'yaml' is not one of 'table', 'json', 'csv'",
    "nightly --format text": "'text' is not one of 'table', 'json', 'csv'",
    "train --truth truth.parquet": "File 'truth.parquet' does not exist",
    "promote --version newest": "'newest' is no version. Write it as a number such as 3",
    "promote --expect-current 0": "'0' is no version. Write it as a number such as 3, or none",
    "score --out scores.xlsx": "scores.xlsx ends in neither .csv nor .parquet",
    "score --out away/scores.csv": "there is no folder away",
    "score --out HOME/events.csv/x.csv": "there is no folder",
    "score --out HOME": "ends in neither .csv nor .parquet",
    "score --top 0": "0 is not in the range x>=1",
    "score --as-of yesterday": "'yesterday' is not a date. Write it as YYYY-MM-DD",
    "score --as-of 2026-02-30": "'2026-02-30' is not a date",
    "score --as-of 2026-01-05T12:00:00+00:00": "A cutoff is a UTC midnight",
    "score --as-of 2999-01-01": "--as-of 2999-01-01 has not come yet: it is 2",
    "score --as-of 2026-01-06": "The cutoff 2026-01-06 is not built. Built, newest first: 2026-01-05",
    "explain acme --as-of 2026-01-06": "The cutoff 2026-01-06 is not built",
    "features check --as-of 2026-01-06": "The cutoff 2026-01-06 is not built",
    "features materialize --as-of 2026-01-06": "The cutoff 2026-01-06 is not built",
    "features check --json away/report.json": "there is no folder away",
    "features check --json HOME": "it is a folder",
    "nightly --as-of 2999-01-01": "--as-of 2999-01-01 has not come yet",
    "features build --from 2026-03-01 --to 2026-02-01": "--from 2026-03-01 is after --to 2026-02-01",
    "features build --to 2999-01-01": "--to 2999-01-01 has not come yet",
    "features build --every week": "week is not a number of days. Write it as 7d",
    "features describe --group colour": "There is no group 'colour'. The groups are usage",
    "ingest --events nothing.csv": "There is no file nothing.csv",
    "ingest --accounts none/*.csv": "There is no file none/*.csv",
    "ingest --complete-until soon": "'soon' is not a time. Write it as YYYY-MM-DD",
    "init --from calls.csv": "There is no file calls.csv",
    "init --from accounts=crm.csv": "There is no file crm.csv",
    "init --write away/bellwether.toml": "there is no folder away",
    "simulate --out company --end 2026-13-01": "'2026-13-01' is not a date",
    "simulate --out HOME/events.csv/company": "is no folder",
    "simulate --out company --accounts 0": "0 is not in the range x>=1",
    "serve --port 70000": "70000 is not in the range 1<=x<=65535",
    "serve --host example": "'example' is not an address",
    "serve --host 0.0.0.0": "Without keys the service binds loopback only",
}
# The same of what the registry knows of: version 1 is churn's champion, 3 was deleted, upsell has none.
REFUSED_BY_REGISTRY = {
    "promote --target churn": (2, "bellwether-churn has no challenger. Run `bellwether train --target churn`"),
    "promote --target churn --version 9": (2, "bellwether-churn has no version 9"),
    "promote --target churn --version 3": (2, "bellwether-churn has no version 3"),
    "promote --target churn --version 1 --expect-current 2": (4, "bellwether-churn is version 1, not version 2"),
    "promote --target churn --version 1 --expect-current none": (4, "is version 1, not version none"),
    "backtest --target churn --version 9": (2, "bellwether-churn has no version 9. Run `mlflow ui`"),
    "backtest --target upsell": (3, "bellwether-upsell has no model yet. Run `bellwether train --target upsell`"),
    "explain acme --target upsell": (3, "bellwether-upsell has no champion"),
}
MAKE_HOMES = {"init", "demo", "ingest", "simulate"}
NEED_NONE = {"settings", "features describe"}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, object]]:
    """Each line of arguments: exit code, what was said, what was loaded by then and the CPU seconds; in one process."""
    root = tmp_path_factory.mktemp("refused")
    home = root / "home"
    (home / "events").mkdir(parents=True)
    (home / "events.csv").touch()
    (home / "features").mkdir()
    entry = {"files": {}}
    manifest = {"format": 2, "partitions": {"usage/cutoff=2026-01-05": entry}, "sources": {}, "notes": {}}
    (home / "features/_manifest.json").write_text(json.dumps(manifest))
    (home / "mlflow").mkdir()
    with closing(sqlite3.connect(home / "mlflow/mlflow.db")) as registry:
        registry.execute("CREATE TABLE model_versions (name, version, current_stage)")
        registry.execute("CREATE TABLE registered_model_aliases (alias, version, name)")
        registry.execute("INSERT INTO model_versions VALUES ('bellwether-churn', 1, 'None')")
        registry.execute("INSERT INTO model_versions VALUES ('bellwether-churn', 3, 'Deleted_Internal')")
        registry.execute("INSERT INTO registered_model_aliases VALUES ('champion', 1, 'bellwether-churn')")
        registry.commit()
    script = (
        "import contextlib, io, json, sys, time\n"
        "import serving.cli as cli\n"
        "answers = {}\n"
        "for line in json.loads(sys.argv[1]):\n"
        "    said, began = io.StringIO(), time.process_time()\n"
        "    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):\n"
        f"        try: cli.main.main(['--home', {str(home)!r}, *line.replace('HOME', {str(home)!r}).split()])\n"
        "        except SystemExit as left: code = left.code\n"
        f"    loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "    answers[line] = {'code': code, 'said': said.getvalue(), 'loaded': loaded,\n"
        "                     'seconds': time.process_time() - began}\n"
        "print(json.dumps(answers))"
    )
    lines = json.dumps(sorted([*REFUSED, *REFUSED_BY_REGISTRY], key=lambda line: "describe" in line))
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-c", script, lines]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root, env=environment)
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("line", REFUSED)
def test_what_cannot_be_meant_is_refused_before_anything_is_loaded(
    answers: dict[str, dict[str, object]], line: str
) -> None:
    answer = answers[line]
    assert (answer["code"], REFUSED[line] in " ".join(str(answer["said"]).split())) == (2, True), answer["said"]
    assert answer["loaded"] == []


@pytest.mark.parametrize("line", REFUSED_BY_REGISTRY)
def test_what_is_not_registered_is_refused_before_anything_is_loaded(
    answers: dict[str, dict[str, object]], line: str
) -> None:
    answer, (code, text) = answers[line], REFUSED_BY_REGISTRY[line]
    assert (answer["code"], text in " ".join(str(answer["said"]).split())) == (code, True), answer["said"]
    assert answer["loaded"] == []


def leaves(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    return [
        leaf
        for name, command in sorted(group.commands.items())
        for leaf in (leaves(command, (*path, name)) if isinstance(command, click.Group) else [(*path, name)])
    ]


COMMANDS = [" ".join(leaf) for leaf in leaves(main)]
WORDS = {"explain": ["acme"]}


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in MAKE_HOMES | NEED_NONE])
@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda path: None, "There is no home {path}. `bellwether --home {path} init` makes one there"),
        (lambda path: path.mkdir(), "{path} is no home: it is empty. `bellwether --home {path} init` makes one there"),
        (lambda path: path.touch(), "{path} is no home: it is a file. Name a folder with --home"),
    ],
    ids=["missing", "empty", "file"],
)
def test_a_folder_that_is_no_home_is_said_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, make: object, text: str
) -> None:
    path = tmp_path / "there"
    make(path)  # type: ignore[operator]
    before = sorted(tmp_path.rglob("*"))
    assert run("--home", str(path), *command.split(), *WORDS.get(command, [])) == 2
    out, err = capsys.readouterr()
    assert (out, err.startswith(f"Error: {text.format(path=path)}"), err.count("\n")) == ("", True, 1), err
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("room", ["features", "training"])
def test_the_commands_of_a_room_alone_say_it_too(tmp_path: Path, room: str) -> None:
    command = {"features": ["features", "apply"], "training": ["promote"]}[room]
    line = [sys.executable, "-m", room, "--home", str(tmp_path / "there"), *command]
    done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2])
    assert (done.returncode, done.stderr.startswith("Error: There is no home")) == (2, True), done.stderr


@pytest.mark.parametrize("part", ["secret.key", "ledger.db", "events", "features", "mlflow", "metrics"])
def test_what_is_left_of_a_home_is_one(tmp_path: Path, part: str) -> None:
    from features.home.presence import is_home

    home = Home(load_settings(home=tmp_path))
    assert not is_home(home)
    (tmp_path / part).touch() if "." in part else (tmp_path / part).mkdir()
    assert is_home(home)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example_of_each_command(command: str) -> None:
    text = CliRunner().invoke(main, [*command.split(), "--help"]).output
    assert f"  bellwether {command}" in text.partition("Examples:")[2] or f"DIR {command}" in text


@pytest.mark.parametrize("group", [[], ["features"]], ids=["bellwether", "features"])
def test_no_command_is_cut_short_in_the_list_of_commands(group: list[str]) -> None:
    assert "..." not in CliRunner().invoke(main, [*group, "--help"], terminal_width=80).output.partition("Commands:")[2]


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in {"init", "demo", "serve"}])
def test_every_command_that_prints_data_has_the_same_formats(command: str) -> None:
    found: click.Command = main
    for name in command.split():
        assert isinstance(found, click.Group)
        found = found.commands[name]
    formats = [parameter.type for parameter in found.params if "--format" in parameter.opts]
    assert [getattr(kind, "choices", None) for kind in formats] == [("table", "json", "csv")]
