"""Whether a folder is a home, which is asked before a command does anything with it."""

import functools
import shlex
from collections.abc import Callable
from typing import Any

import click

from features.exceptions import InputError
from features.home.home import Home

__all__ = ["is_home", "pass_home", "require_home"]


def is_home(home: Home) -> bool:
    """Whether anything of a home lies in its folder: a store, the key, the ledger; also of one that is damaged."""
    return (
        home.secret_key.exists()
        or home.ledger.exists()
        or any(folder.is_dir() for folder in (*home.folders, home.stores.metrics.root, home.stores.tables.root))
    )


def require_home(home: Home) -> None:
    """Go on only when there is a home.

    Raises
    ------
    InputError
        When its folder is missing, is no folder, or holds nothing of a home; names the command that makes one.
    """
    root = home.root
    if root.is_dir() and is_home(home):
        return
    if root.is_dir():
        what = f"{root} is no home: {'nothing of one lies there' if any(root.iterdir()) else 'it is empty'}."
    elif root.exists():
        raise InputError(f"{root} is no home: it is a file. Name a folder with --home; `bellwether init` makes a home.")
    else:
        what = f"There is no home {root}."
    raise InputError(
        f"{what} `bellwether --home {shlex.quote(str(root))} init` makes one there; or name another with --home."
    )


def pass_home(command: Callable[..., Any]) -> Callable[..., Any]:
    """Hand the home to a command that works on one; where there is none, nothing of the command is run."""

    @click.pass_obj
    @functools.wraps(command)
    def with_home(home: Home, /, **given: Any) -> Any:
        require_home(home)
        return command(home, **given)

    return with_home
