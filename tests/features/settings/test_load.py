from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from features.exceptions import SettingsError
from features.init import write_configuration
from features.settings.fields import Settings
from features.settings.load import load_settings
from features.settings.template import configuration_text, settings_rows
from features.windows import utc


def test_flags_override_the_environment_which_overrides_the_file(tmp_path, monkeypatch):
    path = tmp_path / "bellwether.toml"
    path.write_text("port = 1\nworkers = 1\nseed = 1\n")
    monkeypatch.setenv("BELLWETHER_WORKERS", "2")
    monkeypatch.setenv("BELLWETHER_SEED", "2")
    settings = load_settings(path, seed=3, threads=None)
    assert (settings.port, settings.workers, settings.seed, settings.threads) == (1, 2, 3, 2)


def test_settings_are_frozen_and_the_home_is_absolute():
    settings = load_settings(home=Path("var"))
    assert settings.home.is_absolute()
    with pytest.raises(ValidationError, match="frozen"):
        settings.port = 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = 0", r"1 setting\(s\) cannot be used: bellwether.toml line 1: port: .*greater than or equal to 1"),
        ("colour = 1", r"colour: there is no such setting"),
        ("port = ", r"cannot be read as TOML"),
        (
            "[sources.events.columns.status]\nform = 'x'",
            r"sources.events.columns.status.form: there is no such setting",
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named(tmp_path, text, message):
    path = tmp_path / "bellwether.toml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message):
        load_settings(path)


@pytest.mark.parametrize("name", ["capacity_share", "medium_share", "test_share"])
def test_a_setting_that_is_no_more_is_told_and_changes_nothing(tmp_path, capsys, monkeypatch, name):
    path = tmp_path / "bellwether.toml"
    path.write_text(f"{name} = 0.4\nport = 1\n")
    assert load_settings(path).port == 1
    path.write_text("port = 1\n")
    monkeypatch.setenv(f"BELLWETHER_{name.upper()}", "0.4")
    assert load_settings(path).port == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in told] == [str(path), f"BELLWETHER_{name.upper()}"]
    assert all(f"the setting {name} is no more and changes nothing" in line for line in told)


def test_abnormal_spans_are_half_open_and_may_overlap(tmp_path, monkeypatch):
    path = tmp_path / "bellwether.toml"
    path.write_text(
        '[[exclude]]\nfrom = 2026-03-02\nto = 2026-03-09\nwhy = "outage"\n\n'
        '[[exclude]]\nfrom = "2026-03-08"\nto = "2026-04-01"\nwhy = "migration"\n'
    )
    spans = [(span.start, span.end, span.why) for span in load_settings(path).exclude]
    assert spans == [
        (date(2026, 3, 2), date(2026, 3, 9), "outage"),
        (date(2026, 3, 8), date(2026, 4, 1), "migration"),
    ]
    monkeypatch.setenv("BELLWETHER_EXCLUDE", '[{"from": "2026-01-05", "to": "2026-01-06", "why": "drill"}]')
    assert [span.why for span in load_settings(path).exclude] == ["drill"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["to = 2026-03-02"], r"line 8: exclude\.1\.to: 2026-03-02 is not after from = 2026-03-02"),
        (["to = 2026-02-30"], r"cannot be read as TOML"),
        (['to = "soon"'], r"line 8: exclude\.1\.to: .*valid date"),
        ([], r"line 6: exclude\.1\.to: Field required"),
        (["to = 2026-03-09", "until = 2"], r"line 9: exclude\.1\.until: there is no such setting"),
        (["to = 2026-03-09", 'why = ""'], r"line 9: exclude\.1\.why: .*at least 1 character"),
    ],
)
def test_an_abnormal_span_that_cannot_be_meant_is_refused_with_its_line(tmp_path, lines, message):
    path = tmp_path / "bellwether.toml"
    second = ["[[exclude]]", "from = 2026-03-02", *lines]
    if "why" not in "".join(lines):
        second.append('why = "outage"')
    path.write_text("\n".join(["[[exclude]]", "from = 2026-01-01", "to = 2026-01-05", 'why = "move"', "", *second]))
    with pytest.raises(SettingsError, match=message):
        load_settings(path)


def test_a_missing_file_says_how_to_write_one(tmp_path):
    with pytest.raises(SettingsError, match=r"There is no configuration file .* Run `bellwether init`"):
        load_settings(tmp_path / "none.toml")


def test_every_setting_says_its_unit_and_meaning():
    assert all(row["unit"] and row["meaning"] for row in settings_rows(load_settings()))


def test_keys_are_masked():
    settings = load_settings(api_keys=f"{'a' * 64}, {'b' * 64}")
    assert next(row["value"] for row in settings_rows(settings) if row["name"] == "api_keys") == [
        "********",
        "********",
    ]


def test_the_written_file_holds_every_setting_and_loads_with_its_defaults(tmp_path):
    path = tmp_path / "bellwether.toml"
    write_configuration(path, now=utc(2026, 1, 1))
    assert load_settings(path) == load_settings()
    uncommented = configuration_text().split("# How your files")[0].replace("\n# ", "\n")
    lines = [line for line in uncommented.splitlines() if " = " in line]
    path.write_text("\n".join(lines))
    declared = {"sources", "metrics", "tables", "exclude"}
    assert {line.split(" = ")[0] for line in lines} == set(Settings.model_fields) - declared
    assert load_settings(path) == load_settings()


def test_a_settings_file_that_is_there_is_left_alone(tmp_path):
    path = tmp_path / "bellwether.toml"
    path.write_text("port = 5\n")
    assert "left alone" in write_configuration(path, now=utc(2026, 1, 1))[0]
    assert path.read_text() == "port = 5\n"


@pytest.mark.parametrize("key", ["my-plain-secret", "a" * 63, "g" * 64, "a" * 64 + "\n,x"])
def test_a_key_that_is_no_digest_is_refused_without_repeating_it(key):
    with pytest.raises(SettingsError, match="are no SHA-256 in hex") as refused:
        load_settings(api_keys=key)
    assert key not in str(refused.value)


def test_a_mapping_of_a_table_that_is_not_there_names_the_tables(tmp_path):
    path = tmp_path / "bellwether.toml"
    path.write_text('[sources.event.columns]\nstatus = { from = "code" }\n')
    with pytest.raises(SettingsError, match=r"no table event; the tables are events, accounts, subscriptions, touch"):
        load_settings(path)


@pytest.mark.parametrize("size", ["", "3", "lots", "80%", "3GB; SELECT 1", "-1GB"])
def test_a_memory_limit_that_is_no_size_is_refused(size):
    with pytest.raises(SettingsError, match=r"is no size: write it as 3GB, 512MB or 1\.5GiB"):
        load_settings(memory_limit=size)


def test_a_home_may_hold_settings_that_a_named_file_replaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bellwether.toml").write_text('value_endpoints = ["POST /v1/orders"]\n')
    other = tmp_path / "other.toml"
    other.write_text("port = 4000\n")
    assert load_settings(home=tmp_path).value_endpoints == ("POST /v1/orders",)
    assert load_settings(other, home=tmp_path).value_endpoints == ()
    monkeypatch.setenv("BELLWETHER_HOME", str(tmp_path))
    assert load_settings().value_endpoints == ("POST /v1/orders",)


def test_a_folder_in_the_place_of_the_file_is_told_in_plain_words(tmp_path):
    (tmp_path / "b.toml").mkdir()
    with pytest.raises(SettingsError, match=r"b\.toml cannot be read: Is a directory\. Mend"):
        load_settings(tmp_path / "b.toml")
