"""Turns DuckDB's errors into an error of ours that says what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb

from features.exceptions import WorkFailedError

__all__ = ["EngineError", "engine_failures"]


class EngineError(WorkFailedError):
    """The engine refused an expression, or could not read or write a file.

    Attributes
    ----------
    is_about_room
        It lacked memory, disk or permission; nothing is wrong with the data.
    """

    def __init__(self, text: str, *, is_about_room: bool = False) -> None:
        super().__init__(text)
        self.is_about_room = is_about_room


_WRITING = re.compile(r"write|No space|create directory|Disk quota|Permission denied|Read-only", re.IGNORECASE)


@contextmanager
def engine_failures() -> Iterator[None]:
    """Raise what the engine raises inside the block as an :class:`EngineError`.

    When it was stopped because of an interrupt, the interrupt is raised: the engine makes errors of its own of it.
    """
    try:
        yield
    except duckdb.InterruptException as error:
        raise KeyboardInterrupt from error
    except duckdb.OutOfMemoryException as error:
        raise EngineError(
            f"The engine has too little memory, or no room to spill: {_plainly(error)} Raise memory_limit, or free "
            "space under the home. Nothing was published.",
            is_about_room=True,
        ) from error
    except duckdb.IOException as error:
        if not _WRITING.search(str(error)):
            raise EngineError(_plainly(error)) from error
        raise EngineError(
            f"A file cannot be written: {_plainly(error)} Free space, mend its permissions or choose another --home. "
            "Nothing was published.",
            is_about_room=True,
        ) from error
    except duckdb.Error as error:
        raise EngineError(_plainly(error)) from error
    except RuntimeError as error:
        if str(error) == "Query interrupted":  # what the client raises in place of KeyboardInterrupt
            raise KeyboardInterrupt from error
        raise


def _plainly(error: duckdb.Error) -> str:
    """The engine's words in one line; of words inside words only the inner ones."""
    text = " ".join(str(error).split())
    inner = re.search(r'"exception_message":"((?:[^"\\]|\\.)*)"', text)
    return (inner[1].replace('\\"', '"') if inner else text).rstrip(".") + "."
