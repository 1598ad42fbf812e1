"""There is one version: of the package, the command line, the API document, and the changelog."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from datetime import date
from importlib import metadata
from pathlib import Path

import pytest
from click.testing import CliRunner

from features.version import bellwether_version
from serving.cli import main
from serving.http_api.openapi import openapi

ROOT = Path(__file__).parent.parent
DECLARED = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]


@pytest.fixture
def read_anew() -> Iterator[None]:
    bellwether_version.cache_clear()
    yield
    bellwether_version.cache_clear()


def test_the_installed_version_is_the_declared_one() -> None:
    assert bellwether_version() == DECLARED, "pyproject.toml has changed since: make install"


def test_the_command_line_says_it() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"bellwether, version {DECLARED}\n"


def test_the_api_document_says_it() -> None:
    assert openapi()["info"]["version"] == DECLARED


def test_the_changelog_says_when_it_was_released() -> None:
    heads = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    version, _, day = heads[1].partition(" — ")
    assert (heads[0], version) == ("Unreleased", DECLARED)
    assert date.fromisoformat(day)


@pytest.mark.usefixtures("read_anew")
def test_code_that_is_not_installed_reads_it_beside_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a Bento, which holds ``pyproject.toml`` and the rooms."""

    def absent(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", absent)
    assert bellwether_version() == DECLARED


@pytest.mark.parametrize("package", ["features", "training", "serving"])
def test_the_packages_carry_their_types(package: str) -> None:
    assert (ROOT / package / "py.typed").is_file()
