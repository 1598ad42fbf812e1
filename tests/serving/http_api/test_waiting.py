"""Who gives way where there are too many connections, told by names."""

from __future__ import annotations

from serving.http_api.waiting import Waiting


def test_the_oldest_goes_that_loses_least() -> None:
    waiting: Waiting[str] = Waiting(connections=4)
    for name in ("half open", "half open too"):
        waiting.for_header(name)
    for name in ("idle", "idle too"):
        waiting.for_request(name)
    waiting.for_goodbye("refused")
    assert [waiting.too_many(5) for _ in range(6)] == [
        ["refused"],
        ["idle"],
        ["idle too"],
        ["half open"],
        ["half open too"],
        [],
    ]


def test_nobody_goes_while_there_is_room() -> None:
    waiting: Waiting[str] = Waiting(connections=4)
    for name in ("first", "second"):
        waiting.for_header(name)
    assert waiting.too_many(4) == []


def test_of_half_open_ones_there_is_half_and_each_is_in_one_place() -> None:
    waiting: Waiting[str] = Waiting(connections=4)
    for name in ("asked", "first", "second", "answered", "third"):
        waiting.for_header(name)
    waiting.leave("asked")
    waiting.for_request("answered")
    assert waiting.too_many(4) == ["first"]
    assert waiting.too_many(4) == []
    assert waiting.too_many(5) == ["answered"]
