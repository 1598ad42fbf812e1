"""The version of Bellwether, read in one place for the command line, the API document and the bundle."""

import tomllib
from functools import cache
from importlib import metadata
from pathlib import Path

__all__ = ["bellwether_version"]


@cache
def bellwether_version() -> str:
    """The version of the installed package, as ``pyproject.toml`` has it.

    In a Bento the code lies beside its ``pyproject.toml`` and is not installed: the file itself is read there.
    """
    try:
        return metadata.version("bellwether")
    except metadata.PackageNotFoundError:
        with (Path(__file__).parents[1] / "pyproject.toml").open("rb") as file:
            return str(tomllib.load(file)["project"]["version"])
