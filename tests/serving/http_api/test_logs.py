from __future__ import annotations

import json
import logging

import pytest

from serving.http_api.logs import JsonLines, fields


def line(message: str, *arguments: object, extra: object = None, error: BaseException | None = None) -> dict:
    found = (type(error), error, error.__traceback__) if error is not None else None
    record = logging.getLogger("bellwether.serving").makeRecord(
        "bellwether.serving", logging.WARNING, __file__, 1, message, arguments, found, extra=extra
    )
    text = JsonLines().format(record)
    assert "\n" not in text
    return json.loads(text)


def test_a_line_holds_what_was_said_and_its_fields() -> None:
    found = line("%s\nstays", "Version 1", extra=fields(request_id="abc", status=503))
    assert (found["message"], found["request_id"], found["status"]) == ("Version 1\nstays", "abc", 503)
    assert (found["level"], found["logger"]) == ("warning", "bellwether.serving")
    assert found["time"].endswith("+00:00")


def test_an_error_leaves_its_type_and_place_and_not_its_message() -> None:
    def fails() -> None:
        try:
            {}["acct_000042"]
        except KeyError as error:
            raise ValueError("input was 'acct_000042'") from error

    with pytest.raises(ValueError, match="acct") as raised:
        fails()
    found = line("A request failed.", error=raised.value)
    assert [error["type"] for error in found["errors"]] == ["ValueError", "KeyError"]
    assert found["errors"][0]["at"][-1].endswith(" fails")
    assert "acct" not in json.dumps(found)
