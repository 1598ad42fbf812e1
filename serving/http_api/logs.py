"""The service's log: one JSON object a line, without account data and without secrets."""

import json
import logging
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

__all__ = ["JsonLines", "fields", "log_as_json"]


_FIELDS = "bellwether_fields"


def fields(**values: object) -> Mapping[str, Any]:
    """What a log call takes as ``extra`` to put ``values`` into its line."""
    return {_FIELDS: values}


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON.

    Of an exception that is not handled it keeps the type and the places, and leaves the message out: a message of
    pydantic or SQLAlchemy repeats the values it complains about.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info and record.exc_info[1] is not None:
            line["errors"] = _chain(record.exc_info[1])
        return json.dumps(line, default=str)


def log_as_json(stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream`` (standard error) as JSON, BentoML's and uvicorn's too."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("bentoml", "uvicorn.error", "circus"):
        theirs = logging.getLogger(name)
        theirs.handlers.clear()
        theirs.setLevel(logging.WARNING)
        theirs.propagate = True
    logging.getLogger("bellwether").setLevel(logging.INFO)


def _chain(error: BaseException | None) -> list[dict[str, Any]]:
    """Each error of the chain, the last raised first: its type, and where it passed."""
    chain: list[dict[str, Any]] = []
    while error is not None and len(chain) < 5:
        frames = traceback.extract_tb(error.__traceback__)
        places = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        chain.append({"type": type(error).__qualname__, "at": places})
        error = error.__cause__ or error.__context__
    return chain
