"""What the command line refuses at once: dates, steps and files that nothing can be done with."""

import os
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from features.dates import as_cutoff, require_utc
from features.exceptions import InputError
from features.paths import expanded, matching

__all__ = [
    "Cutoff",
    "Days",
    "Moment",
    "NewFile",
    "NewFolder",
    "SourcePath",
    "Version",
    "require_any",
    "require_come",
    "require_order",
]


class _Choice(click.ParamType[Any]):
    """A text that is read, or refused in a sentence."""

    name = "text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """What the text means; a usage error where it cannot be used."""
        try:
            return self.read(str(value))
        except InputError as error:
            self.fail(str(error), param, ctx)

    def read(self, text: str) -> Any:
        """What the text means.

        Raises
        ------
        InputError
            When it cannot be used.
        """
        raise NotImplementedError


class Cutoff(_Choice):
    """A date, as the UTC midnight that begins it."""

    name = "date"

    def read(self, text: str) -> datetime:
        """The midnight."""
        return as_cutoff(text)


class Days(_Choice):
    """A number of days, written 7d."""

    name = "days"

    def read(self, text: str) -> int:
        """The number, from 1 to 9999."""
        match = re.fullmatch(r"([1-9]\d{0,3})d", text)
        if match is None:
            raise InputError(f"{text} is not a number of days. Write it as 7d.")
        return int(match[1])


class Moment(_Choice):
    """A moment with an offset, or a date: its midnight in UTC."""

    name = "moment"

    def read(self, text: str) -> datetime:
        """The moment in UTC."""
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return as_cutoff(text)
        try:
            return require_utc(datetime.fromisoformat(text), what="The time")
        except ValueError as error:
            raise InputError(f"{text!r} is not a time. Write it as YYYY-MM-DD or 2026-06-29T12:00:00+00:00.") from error


class Version(_Choice):
    """The number of a version of a model; with ``or_none`` also the word none."""

    name = "version"

    def __init__(self, *, or_none: bool = False) -> None:
        self._or_none = or_none

    def read(self, text: str) -> str:
        """The number as the registry writes it."""
        if re.fullmatch(r"[1-9]\d{0,8}", text) or (self._or_none and text == "none"):
            return text
        words = "a number such as 3, or none" if self._or_none else "a number such as 3"
        raise InputError(f"{text!r} is no version. Write it as {words}.")


class SourcePath(_Choice):
    """A file, a folder or a pattern that leads to something; ``is_named`` allows ``TABLE=FILE``."""

    name = "path"

    def __init__(self, *, is_named: bool = False) -> None:
        self._is_named = is_named

    def read(self, text: str) -> str:
        """The text as it is."""
        paths = [text, *([text.partition("=")[2]] if self._is_named and "=" in text else [])]
        if not any(self._leads_somewhere(Path(path)) for path in paths):
            raise InputError(f"There is no file {paths[-1]}. Check the path; globs need quotes on the shell.")
        return text

    @staticmethod
    def _leads_somewhere(path: Path) -> bool:
        whole = expanded(path).absolute()
        return os.path.lexists(whole) or next(matching(whole), None) is not None


class NewFile(_Choice):
    """A file to be written, whose folder is there; with ``endings`` its name must have one of them."""

    name = "file"

    def __init__(self, *endings: str) -> None:
        self._endings = endings

    def read(self, text: str) -> Path:
        """The path."""
        path = expanded(Path(text))
        if self._endings and path.suffix not in self._endings:
            raise InputError(
                f"{path} ends in neither {' nor '.join(self._endings)}. Name it so that the format is clear."
            )
        if path.is_dir():
            raise InputError(f"{path} cannot be written: it is a folder. Name a file in it.")
        if not path.parent.is_dir():
            raise InputError(f"{path} cannot be written: there is no folder {path.parent}. Make it, or choose another.")
        if not os.access(path if path.exists() else path.parent, os.W_OK):
            raise InputError(f"{path} cannot be written: permission denied. Choose another place.")
        return path


class NewFolder(_Choice):
    """A folder to be written or made."""

    name = "folder"

    def read(self, text: str) -> Path:
        """The path."""
        path = expanded(Path(text))
        nearest = next(folder for folder in (path.absolute(), *path.absolute().parents) if os.path.lexists(folder))
        if not nearest.is_dir():
            raise InputError(f"{path} cannot be written: {nearest} is no folder. Choose another place.")
        if not os.access(nearest, os.W_OK):
            raise InputError(f"{path} cannot be written: permission denied. Choose another place.")
        return path


def require_come(cutoff: datetime | None, *, option: str, now: datetime) -> None:
    """Go on only when a cutoff that was named has come.

    Raises
    ------
    InputError
        When it lies after ``now``.
    """
    if cutoff is not None and cutoff > now:
        raise InputError(f"{option} {cutoff:%Y-%m-%d} has not come yet: it is {now:%Y-%m-%d %H:%M} UTC.")


def require_order(first: datetime | None, last: datetime | None) -> None:
    """Go on only when the first of two cutoffs is not after the last.

    Raises
    ------
    InputError
        When it is.
    """
    if first is not None and last is not None and first > last:
        raise InputError(
            f"--from {first:%Y-%m-%d} is after --to {last:%Y-%m-%d}, and no cutoff lies between. "
            "Give the earlier day with --from."
        )


def require_any(files: Mapping[str, Sequence[str]]) -> None:
    """Go on only when an option names a file; ``files`` is option, without its dashes, to what it names.

    Raises
    ------
    InputError
        When none does.
    """
    if not any(files.values()):
        options = ", ".join(f"--{option}" for option in files)
        raise InputError(f"There is nothing to ingest. Give at least one of {options}.")
