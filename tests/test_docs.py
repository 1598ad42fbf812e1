"""The documents are true: their tables are those of the code, their commands parse, and every link leads somewhere.

``python -m tests.test_docs`` writes the generated tables into the documents again.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
import subprocess
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import click
import pytest

from features.definitions.describe import markdown
from features.settings.fields import Settings
from features.shares import percent
from serving.http_api.operations import DOCUMENTED
from training.labels.targets import TARGETS

ROOT = Path(__file__).parent.parent
ROOMS = ("features", "training", "serving")


def documents() -> list[str]:
    """Every Markdown file of the repository, from its root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(listed.stdout.split())


every_document = pytest.mark.parametrize("document", documents())


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def block(name: str, text: str) -> str:
    match = re.search(rf"<!-- {name}:begin -->\n(.*?)\n?<!-- {name}:end -->", text, re.DOTALL)
    assert match, f"there is no block {name}"
    return match.group(1)


# Generated tables


def settings_table() -> str:
    rows = ["| setting | default | unit | meaning |", "|---|---|---|---|"]
    for name, field in Settings.model_fields.items():
        default = "" if field.default_factory or field.default == () else f"`{field.default}`"
        extra = field.json_schema_extra
        unit = extra["unit"] if isinstance(extra, dict) else ""
        rows.append(f"| `{name}` | {default} | {unit} | {field.description} |")
    return "\n".join(rows)


def targets_table() -> str:
    rows = ["| target | foretells | labels from | feature service |", "|---|---|---|---|"]
    rows += [f"| `{name}` | {kind.title} | {kind.source} | `{kind.service}` |" for name, kind in TARGETS.items()]
    return "\n".join(rows)


def routes_table() -> str:
    rows = ["| route | does | without a key |", "|---|---|---|"]
    for operation in DOCUMENTED:
        is_open = "yes" if operation.is_open else ""
        rows.append(f"| `{operation.method.upper()} {operation.path}` | {operation.summary} | {is_open} |")
    return "\n".join(rows)


def sentence_of(room: str) -> str:
    """The first sentence of a room's docstring, without markup."""
    path = ROOT / room / "__init__.py"
    path = path if path.is_file() else ROOT / f"{room}.py"
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring, f"{path} has no docstring"
    return " ".join(docstring.split("\n\n")[0].split())


def floors() -> list[list[str]]:
    """The rooms of each floor, from the ground, as the contracts of import-linter have them."""
    configuration = tomllib.loads(text_of("pyproject.toml"))["tool"]["importlinter"]
    layers = [contract for contract in configuration["contracts"] if contract["type"] == "layers"]
    (whole,) = (contract["layers"] for contract in layers if "containers" not in contract)
    inside = {name: contract["layers"] for contract in layers for name in contract.get("containers", ())}
    storeys: list[list[str]] = []
    for layer in reversed(whole):
        named = [f"{layer}.{line}" for line in reversed(inside[layer])] if layer in ROOMS else [layer]
        storeys += [_rooms_of(line, package=line.split(".")[0]) for line in named]
    return [rooms for rooms in storeys if rooms]


def _rooms_of(line: str, *, package: str) -> list[str]:
    """``training.a | b`` and ``features.a : features.b`` as paths."""
    names = [name.strip().removeprefix(f"{package}.") for name in re.split(r"[|:]", line)]
    return [f"{package}/{name.replace('.', '/')}" for name in names if name != "__main__"]


def rooms_table() -> str:
    rows = ["| floor | room | what it is |", "|---|---|---|"]
    for number, rooms in enumerate(floors(), start=1):
        for room in rooms:
            name = f"{room}/" if (ROOT / room).is_dir() else room
            rows.append(f"| {number} | `{name}` | {sentence_of(room)} |")
    return "\n".join(rows)


GENERATED: Mapping[str, tuple[str, Callable[[], str]]] = {
    "features": ("features/README.md", markdown),
    "targets": ("training/README.md", targets_table),
    "routes": ("serving/README.md", routes_table),
    "settings": ("serving/README.md", settings_table),
    "rooms": ("ARCHITECTURE.md", rooms_table),
}


@pytest.mark.parametrize("name", GENERATED)
def test_generated_tables_are_those_of_the_code(name: str) -> None:
    """Run ``python -m tests.test_docs`` when this fails."""
    document, make = GENERATED[name]
    assert block(name, text_of(document)).strip() == make().strip()


# Rooms and floors


def test_every_room_stands_on_a_floor() -> None:
    """What no contract names may import whatever it likes, and is in no table."""
    there = {path.parent.relative_to(ROOT).as_posix() for room in ROOMS for path in (ROOT / room).glob("*/__init__.py")}
    there |= {
        path.relative_to(ROOT).with_suffix("").as_posix()
        for room in ROOMS
        for path in (ROOT / room).glob("*.py")
        if not path.name.startswith("__")
    }
    assert there == {room for rooms in floors() for room in rooms}


# What was printed


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ("README.md", "demo"),
        ("training/README.md", "demo"),
        ("training/README.md", "figures"),
        ("serving/README.md", "score"),
        ("features/README.md", "mapping"),
    ],
)
def test_the_documents_show_real_output(document: str, name: str) -> None:
    assert block(name, text_of(document)).strip()


def test_the_first_page_shows_lines_of_the_whole_demonstration() -> None:
    whole = block("demo", text_of("training/README.md")).splitlines()
    shown = block("demo", text_of("README.md")).splitlines()
    assert [line for line in shown if line not in whole] == []


def test_the_answer_shown_is_that_of_the_demonstration_shown() -> None:
    demonstration = block("demo", text_of("training/README.md"))
    answer = re.search(r"```json\n(.*?)```", block("score", text_of("serving/README.md")), re.DOTALL)
    assert answer
    (result,) = json.loads(answer.group(1))["results"]
    churn = result["scores"]["churn"]
    line = rf"  {result['account_id']} \(.*\): {percent(churn['probability'])}, {churn['band']}, MRR"
    assert re.search(line, demonstration)
    assert all(reason["text"] in demonstration for reason in churn["reasons"])


def test_the_first_page_is_short() -> None:
    assert len(text_of("README.md").splitlines()) <= 200


# Commands


def command_lines(document: str, command: str) -> Iterator[str]:
    """Every line of a document's shell blocks that runs this command."""
    for shown in re.findall(r"```(?:console|bash|sh)\n(.*?)```", text_of(document), re.DOTALL):
        for line in shown.splitlines():
            stripped = re.sub(r"^\$ ", "", line.strip())
            if stripped.startswith(f"{command} "):
                yield stripped


@pytest.mark.parametrize("line", sorted({line for name in documents() for line in command_lines(name, "bellwether")}))
def test_every_command_parses(line: str) -> None:
    from serving.cli import main

    arguments = shlex.split(line, comments=True)[1:]
    command: click.Command = main
    context = click.Context(command)
    while isinstance(command, click.Group):
        # A group stops at its first plain word: what is left is the command and its own words.
        context = command.make_context(command.name, list(arguments), parent=None, resilient_parsing=True)
        rest = [*context._protected_args, *context.args]
        chosen = command.get_command(context, rest[0])
        assert chosen is not None, f"there is no command {rest[0]!r}"
        command, arguments = chosen, rest[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word.split("=")[0] for word in arguments if word.startswith("--")} <= known


@pytest.mark.parametrize("target", ["demo", "serve", "check", "test", "bench", "install", "spark", "lock", "clean"])
def test_every_make_target_is_there(target: str) -> None:
    assert re.search(rf"^{target}:", text_of("Makefile"), re.MULTILINE)


def test_every_make_target_shown_is_there() -> None:
    shown = {line.split()[1] for name in documents() for line in command_lines(name, "make")}
    assert {"demo", "test", "check"} <= shown
    assert shown <= set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))


# Links


def prose(text: str) -> str:
    """A document without its code, where brackets are no links and a hash is no heading."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def anchors(text: str) -> set[str]:
    """The anchors GitHub gives the headings of a document."""
    fenceless = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    names: list[str] = []
    for heading in re.findall(r"^#+ (.*)$", fenceless, re.MULTILINE):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        name = re.sub(r"[^\w\- ]", "", shown).replace(" ", "-")
        names.append(f"{name}-{names.count(name)}" if name in names else name)
    return set(names)


def links(text: str) -> list[str]:
    """The targets of a document's links to this repository."""
    targets = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose(text))
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


@every_document
def test_every_link_leads_to_a_file_and_a_heading(document: str) -> None:
    lost = []
    for link in links(text_of(document)):
        name, _, anchor = link.partition("#")
        path = (ROOT / document).parent / name if name else ROOT / document
        if not path.exists() or (anchor and anchor not in anchors(path.read_text(encoding="utf-8"))):
            lost.append(link)
    assert lost == []


def test_a_lost_link_would_be_seen() -> None:
    assert anchors("# One `x`, two!\n\n```sh\n# no heading\n```\n## One x, two\n") == {"one-x-two", "one-x-two-1"}
    assert links("[a](b.md#c) `[d](e)` [f](https://g.example) ![h](i.svg)") == ["b.md#c", "i.svg"]


# Decisions


def test_every_decision_says_what_why_what_was_measured_and_when_to_look_again() -> None:
    part = re.split(r"^## ", text_of("ARCHITECTURE.md").split("\n## Decisions\n")[1], flags=re.MULTILINE)[0]
    decisions = re.findall(r"^(\d+)\. (\*\*.*?)(?=^\d+\. |\Z)", part, re.MULTILINE | re.DOTALL)
    assert [int(number) for number, _ in decisions] == list(range(1, len(decisions) + 1))
    words = ("*Why:*", "*Measured:*", "*Look again:*")
    assert [number for number, text in decisions if not all(word in " ".join(text.split()) for word in words)] == []
    assert len(decisions) > 20


# Files beside the documents


def test_the_lock_file_names_no_address() -> None:
    lock = text_of("requirements.lock")
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
    assert "://" not in text_of("requirements-spark.lock")


def test_the_changelog_says_something() -> None:
    assert len(re.findall(r"^- ", text_of("CHANGELOG.md"), re.MULTILINE)) > 5


def write() -> None:
    """Put the generated tables into their documents."""
    for name, (document, make) in GENERATED.items():
        begin, end = f"<!-- {name}:begin -->", f"<!-- {name}:end -->"
        before, rest = text_of(document).split(f"{begin}\n", 1)
        after = rest.split(end, 1)[1]
        (ROOT / document).write_text(f"{before}{begin}\n{make()}\n{end}{after}", encoding="utf-8")


if __name__ == "__main__":
    write()
