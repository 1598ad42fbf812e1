"""A small JSON file that is written whole or not at all, and believed only if its content fits its own digest."""

import json
import os
import uuid
from pathlib import Path
from typing import Any

from features.exceptions import WorkFailedError
from features.fingerprint import digest

__all__ = ["recall", "recall_made_from", "remember"]


_FORGET = "Remove it: what it remembers is found out again, which takes time and changes no store."


def recall(path: Path, *, remedy: str = _FORGET) -> dict[str, Any]:
    """What was remembered; nothing where there is no file.

    ``remedy`` says what to do about a file that cannot be read. A file from before content had a digest is believed.

    Raises
    ------
    WorkFailedError
        When the file is there and cannot be read, or is not what was written.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise WorkFailedError(f"{path} cannot be read: {error.strerror}. {remedy}") from error
    except ValueError as error:  # of the decoder or of the text
        raise WorkFailedError(f"{path} is damaged: it holds no JSON any more. {remedy}") from error
    if isinstance(content, dict) and content and content.keys() <= {"content", "digest", "made_from"}:
        if "digest" not in content or digest(content.get("content")) != content["digest"]:
            raise WorkFailedError(f"{path} was changed since it was written. {remedy}")
        content = content["content"]
    if not isinstance(content, dict):
        raise WorkFailedError(f"{path} holds something else than it should. {remedy}")
    return content


def recall_made_from(path: Path, made_from: str) -> dict[str, Any] | None:
    """What was remembered as made from exactly this; None where there is nothing of it that could be believed."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        is_right = content["made_from"] == made_from and content["digest"] == digest(content["content"])
        remembered: dict[str, Any] = content["content"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return remembered if is_right else None


def remember(path: Path, content: dict[str, Any], *, made_from: str | None = None) -> None:
    """Make ``content`` the whole of what is remembered: before or after, never in between.

    Raises
    ------
    WorkFailedError
        When the file cannot be written.
    """
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex}")
    checked = {"content": content, "digest": digest(content)}
    if made_from is not None:
        checked["made_from"] = made_from
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with draft.open("w", encoding="utf-8") as file:
            json.dump(checked, file, indent=1, sort_keys=True)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        raise WorkFailedError(
            f"{path} cannot be written: {error.strerror}. Free space or mend its permissions, then run again."
        ) from error
    finally:
        draft.unlink(missing_ok=True)
