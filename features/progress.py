"""How long-running work reports its progress: the stage, how many parts are done, and of how many."""

from typing import Protocol

__all__ = ["Progress", "silent"]


class Progress(Protocol):
    """Called with the stage in plain words, how many parts are done, and of how many."""

    def __call__(self, stage: str, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` parts of ``stage`` are finished."""


def silent(stage: str, done: int, total: int) -> None:
    """Report progress to nobody."""
