from __future__ import annotations

import re
import stat
import subprocess
import sys
from pathlib import Path

import click
import pytest

from features.exceptions import (
    BellwetherError,
    DependencyError,
    GateRefusedError,
    InputError,
    LockHeldError,
    SettingsError,
)
from features.home.home import Home
from features.interrupts import STOPPED
from features.settings.load import load_settings
from serving.cli import main
from serving.http_api.address import address
from serving.launch import curl_line, launch, serve_forever
from training.labels.names import TARGET_NAMES

HEAVY = [
    "feast",
    "mlflow",
    "bentoml",
    "lightgbm",
    "shap",
    "sklearn",
    "pandas",
    "numpy",
    "ibis",
    "pyarrow",
    "matplotlib",
    "duckdb",
    "sqlalchemy",
    "starlette",
]


def run(*arguments: str, command: click.Command | None = None) -> int:
    group = main
    if command is not None:
        group = type(main)(name="bellwether", commands={"it": command})
        arguments = ("it",)
    with pytest.raises(SystemExit) as left:
        group.main(list(arguments))
    return int(left.value.code or 0)


@pytest.mark.parametrize("arguments", [["--help"], ["score", "--help"], ["demo", "--help"], ["train", "--help"]])
def test_help_imports_nothing_heavy(arguments: list[str]) -> None:
    script = (
        "import sys, serving.cli as cli\n"
        "try: cli.main(sys.argv[1:])\nexcept SystemExit: pass\n"
        f"print('HEAVY', [name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.stdout.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BellwetherError, 1),
        (InputError, 2),
        (SettingsError, 2),
        (DependencyError, 3),
        (GateRefusedError, 4),
        (LockHeldError, 5),
    ],
)
def test_each_kind_of_error_has_its_exit_code(
    error: type[BellwetherError], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def it() -> None:
        raise error("What is wrong. What to do.")

    assert run(command=it) == code
    out, err = capsys.readouterr()
    assert (out, err) == ("", "Error: What is wrong. What to do.\n")


def test_an_interrupt_leaves_with_130(capsys: pytest.CaptureFixture[str]) -> None:
    @click.command()
    def it() -> None:
        raise KeyboardInterrupt

    assert run(command=it) == 130
    out, err = capsys.readouterr()
    assert (out, err.strip()) == ("", STOPPED)  # below the line on which the terminal shows ^C


def test_what_nobody_foresaw_is_a_sentence_that_names_the_file_with_the_rest(
    capsys: pytest.CaptureFixture[str],
) -> None:
    @click.command()
    def it() -> None:
        raise ValueError("first line.\nsecond line")

    assert run(command=it) == 1
    out, err = capsys.readouterr()
    told = re.fullmatch(
        r"Error: It ended unexpectedly: ValueError: first line\. Run `bellwether doctor`; if that finds nothing, "
        r"report what (.+\.txt) says\.\n",
        err,
    )
    assert (out, told is None) == ("", False), err
    file = Path(told[1])
    assert "second line" in file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    file.unlink()


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["score", "--top", "0"],
        ["serve", "--port", "70000"],
        ["explain"],
        ["--config", "no.toml", "settings"],
    ],
)
def test_bad_usage_leaves_with_2(arguments: list[str]) -> None:
    assert run(*arguments) == 2


def test_another_address_than_loopback_needs_keys(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events").mkdir()
    assert run("--home", str(tmp_path), "serve", "--host", "0.0.0.0") == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert err.startswith("Error: Without keys the service binds loopback only, not 0.0.0.0")


@pytest.mark.slow
def test_a_demonstration_that_could_not_be_served_is_refused_before_its_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BELLWETHER_HOST", "0.0.0.0")
    assert run("--home", str(tmp_path / "home"), "demo") == 2
    assert "Without keys the service binds loopback only" in capsys.readouterr().err
    assert not (tmp_path / "home").exists()


@pytest.mark.slow
def test_serving_says_what_is_missing_and_what_makes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("serving.launch.serve_forever", lambda home, config: 0)
    (tmp_path / "events").mkdir()
    assert run("--home", str(tmp_path), "serve") == 0
    *missing, last = capsys.readouterr().err.splitlines()
    assert last == "Serving on http://127.0.0.1:3000 (Ctrl-C stops)."
    commands = [re.findall(r"`bellwether ([a-z ]+)", sentence) for sentence in missing]
    assert [[command.strip() for command in named] for named in commands] == [
        ["ingest"],
        ["features build"],
        ["train", "promote"],
        ["features apply", "features materialize"],
    ]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_no_keys(tmp_path: Path, host: str) -> None:
    launch(Home(load_settings(home=tmp_path, host=host)), config=None, environment={})


def test_with_keys_any_address_may_be_bound(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, host="0.0.0.0", api_keys="a" * 64)
    assert "0.0.0.0" in launch(Home(settings), config=None, environment={}).arguments


def test_a_name_is_no_address(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="'example' is not an address"):
        launch(Home(load_settings(home=tmp_path, host="example")), config=None, environment={})


def test_the_service_gets_what_the_command_was_given(tmp_path: Path) -> None:
    settings = load_settings(home=tmp_path, port=4000, workers=3)
    chosen = launch(Home(settings), config=tmp_path / "b.toml", environment={"PATH": "/bin", "PYTHONPATH": "/x"})
    assert chosen.environment["BELLWETHER_HOME"] == str(tmp_path)
    assert chosen.environment["BELLWETHER_CONFIG"] == str(tmp_path / "b.toml")
    assert chosen.environment["BELLWETHER_WORKERS"] == "3"
    assert chosen.environment["PATH"] == "/bin"
    assert chosen.environment["PYTHONPATH"].endswith(":/x")
    assert chosen.arguments[-3:] == ("--timeout-graceful-shutdown", "25", "--quiet")


@pytest.mark.parametrize("name", ["a$PLACE", "${PLACE}", "x$PLACE-y"])
def test_a_home_that_bentoml_would_read_as_another_folder_is_refused(tmp_path: Path, name: str) -> None:
    home = Home(load_settings(home=tmp_path / name))
    with pytest.raises(SettingsError, match=r"holds \$\{?PLACE\}?, .* BENTOML_HOME"):
        launch(home, config=None, environment={"PLACE": "/elsewhere"})
    own = launch(home, config=None, environment={"PLACE": "/elsewhere", "BENTOML_HOME": str(tmp_path)})
    assert own.environment["BENTOML_HOME"] == str(tmp_path)
    assert launch(home, config=None, environment={}).environment["BENTOML_HOME"] == str(home.bentoml)


def test_where_metrics_are_kept_by_feast_is_not_handed_on(tmp_path: Path) -> None:
    feast = {"PROMETHEUS_MULTIPROCESS_DIR": "/gone", "PROMETHEUS_MULTIPROC_DIR": "/gone"}
    assert (
        "/gone" not in launch(Home(load_settings(home=tmp_path)), config=None, environment=feast).environment.values()
    )


@pytest.mark.parametrize("keys", ["", "a" * 64])
def test_a_service_without_keys_says_who_can_read_it_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], keys: str
) -> None:
    done: list[str] = []
    monkeypatch.setattr("atexit._run_exitfuncs", lambda: done.append("exit functions"))
    monkeypatch.setattr("os.execve", lambda *_: done.append("another process"))
    serve_forever(Home(load_settings(home=tmp_path, api_keys=keys)), config=None)
    assert done == ["exit functions", "another process"]
    assert ("every user of this machine can read the scores" in capsys.readouterr().err) == (not keys)


def test_the_curl_line_names_the_account(tmp_path: Path) -> None:
    line = curl_line(Home(load_settings(home=tmp_path, port=4000)), "acct_1")
    assert '"account_ids": ["acct_1"]' in line
    assert "authorization" not in line


def test_the_curl_line_shows_where_a_key_goes_and_puts_ipv6_in_brackets(tmp_path: Path) -> None:
    line = curl_line(Home(load_settings(home=tmp_path, host="::1", port=4000, api_keys="0" * 64)), "acct_1")
    assert line.startswith("curl -sg http://[::1]:4000/v1/score -H 'authorization: Bearer KEY' ")
    assert "0" * 64 not in line


@pytest.mark.parametrize(
    ("host", "found"), [("0.0.0.0", "http://127.0.0.1:3000"), ("::", "http://[::1]:3000"), ("::1", "http://[::1]:3000")]
)
def test_the_address_is_one_a_client_can_ask(tmp_path: Path, host: str, found: str) -> None:
    assert address(load_settings(home=tmp_path, host=host)) == found


@pytest.mark.slow
def test_scoring_before_anything_is_built_says_what_to_do(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events").mkdir()
    assert run("--home", str(tmp_path), "score") == 2
    assert "Run `bellwether features build` first" in capsys.readouterr().err


@pytest.mark.slow
def test_a_demo_does_not_touch_a_home_with_other_data(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "_manifest.json").write_text("{}")
    assert run("--home", str(tmp_path), "demo", "--no-serve") == 2
    assert "holds events that are not a demonstration's" in capsys.readouterr().err


@pytest.mark.slow
def test_init_makes_the_registry_and_the_ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("--home", "home", "init") == 0
    assert (tmp_path / "home/mlflow/mlflow.db").is_file()
    assert (tmp_path / "home/ledger.db").is_file()
    assert not list(tmp_path.rglob("mlruns"))


def test_the_names_of_targets_are_those_there_are() -> None:
    from training.labels.targets import TARGETS

    assert set(TARGET_NAMES) == set(TARGETS)
