"""What a routine remembers from one run to the next: a small JSON file of the home, replaced by rename."""

import json
import os
import uuid
from pathlib import Path
from typing import Any

from features.exceptions import WorkFailedError

__all__ = ["recall", "remember"]


_FORGET = "Remove it: what it remembers is found out again, which takes time and changes no store."


def recall(path: Path, *, remedy: str = _FORGET) -> dict[str, Any]:
    """What was remembered; nothing where there is no file.

    ``remedy`` says what to do about a file that cannot be read.

    Raises
    ------
    WorkFailedError
        When the file is there and cannot be read.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise WorkFailedError(f"{path} cannot be read: {error}. {remedy}") from error
    if not isinstance(content, dict):
        raise WorkFailedError(f"{path} holds something else than it should. {remedy}")
    return content


def remember(path: Path, content: dict[str, Any]) -> None:
    """Make ``content`` the whole of what is remembered: before or after, never in between.

    Raises
    ------
    WorkFailedError
        When the file cannot be written.
    """
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            json.dump(content, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise WorkFailedError(
            f"{path} cannot be written: {error.strerror}. Free space or mend its permissions, then run again."
        ) from error
    finally:
        draft.unlink(missing_ok=True)
