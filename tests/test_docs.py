"""The README's tables are those of the code, and its commands exist.

``python -m tests.test_docs`` writes the generated tables into the README again.
"""

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from features.definitions.describe import markdown
from features.settings.fields import Settings

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"


def settings_table() -> str:
    rows = ["| setting | default | unit | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory or field.default == () else f"`{field.default}`"
        extra = field.json_schema_extra
        unit = extra["unit"] if isinstance(extra, dict) else ""
        rows.append(f"| `{name}` | {default} | {unit} | {field.description} |")
    return "\n".join(rows)


GENERATED = {"settings": settings_table, "features": markdown}


def block(name: str, text: str) -> str:
    found = re.search(rf"<!-- {name}:begin -->\n(.*?)\n?<!-- {name}:end -->", text, re.DOTALL)
    assert found, f"README.md has no block {name}"
    return found.group(1)


@pytest.mark.parametrize("name", GENERATED)
def test_the_tables_of_the_readme_are_those_of_the_code(name: str) -> None:
    """Run ``python -m tests.test_docs`` when this fails."""
    assert block(name, README.read_text(encoding="utf-8")).strip() == GENERATED[name]().strip()


@pytest.mark.parametrize("name", ["demo", "figures", "score", "mapping"])
def test_the_readme_shows_real_output(name: str) -> None:
    assert block(name, README.read_text(encoding="utf-8")).strip()


def test_the_answer_shown_is_that_of_the_demonstration_shown() -> None:
    text = README.read_text(encoding="utf-8")
    (result,) = json.loads(re.search(r"```json\n(.*?)```", block("score", text), re.DOTALL).group(1))["results"]
    churn = result["scores"]["churn"]
    line = f"{result['account_id']}  {churn['probability']:8.1%}  {churn['band']}".replace("%", " %")
    assert re.sub(" +", " ", line) in re.sub(" +", " ", block("demo", text))
    assert all(reason["text"] in block("demo", text) for reason in churn["reasons"])


def command_lines() -> Iterator[str]:
    """Every ``bellwether …`` line of the README's shell blocks."""
    for shown in re.findall(r"```(?:console|bash|sh)\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL):
        for line in shown.splitlines():
            stripped = re.sub(r"^\$ ", "", line.strip())
            if stripped.startswith("bellwether "):
                yield stripped


@pytest.mark.parametrize("line", sorted(set(command_lines())))
def test_every_command_of_the_readme_parses(line: str) -> None:
    from serving.cli import main

    arguments = shlex.split(line, comments=True)[1:]
    command: click.Command = main
    context = click.Context(command)
    while isinstance(command, click.Group):
        # A group stops at its first plain word: what is left is the command and its own words.
        context = command.make_context(command.name, list(arguments), parent=None, resilient_parsing=True)
        rest = [*context._protected_args, *context.args]
        found = command.get_command(context, rest[0])
        assert found is not None, f"there is no command {rest[0]!r}"
        command, arguments = found, rest[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word.split("=")[0] for word in arguments if word.startswith("--")} <= known


@pytest.mark.parametrize("target", ["demo", "serve", "check", "test", "bench", "install", "spark", "lock", "clean"])
def test_every_make_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)


def test_the_lock_file_names_no_address() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert lock.count("--hash=sha256:") > 500


def test_spark_has_a_lock_file_of_its_own() -> None:
    """The service's image is made from the other one, and needs no Spark."""
    names = {
        path.name: set(re.findall(r"^([a-z0-9-]+)==", path.read_text(encoding="utf-8"), re.MULTILINE))
        for path in ROOT.glob("requirements*.lock")
    }
    assert names["requirements-spark.lock"] == {"py4j", "pyspark"}
    assert not names["requirements-spark.lock"] & names["requirements.lock"]
    assert "://" not in (ROOT / "requirements-spark.lock").read_text(encoding="utf-8")


def test_the_changelog_says_something() -> None:
    assert len(re.findall(r"^- ", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)) > 5


def write() -> None:
    """Put the generated tables into the README."""
    text = README.read_text(encoding="utf-8")
    for name, make in GENERATED.items():
        pattern = rf"<!-- {name}:begin -->\n.*?<!-- {name}:end -->"
        before, after = re.split(pattern, text, maxsplit=1, flags=re.DOTALL)
        text = f"{before}<!-- {name}:begin -->\n{make()}\n<!-- {name}:end -->{after}"
    README.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
