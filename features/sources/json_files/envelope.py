"""Finds the list of rows in an export's envelope, and what lies behind it, without reading the whole of a file."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["InnerList", "end_of_brackets", "lists_in", "what_follows"]


_MARK = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\]]', re.DOTALL)
_NOT_QUOTED = re.compile(r'\}\s*,\s*\{\s*"\Z')
_OBJECT_FOLLOWS = re.compile(r"\s*\{")


@dataclass(frozen=True)
class InnerList:
    """A list of objects inside objects.

    Attributes
    ----------
    name
        Its key, those around it before: ``hits.hits``.
    start
        Where its first object begins.
    depth
        How many objects are around it.
    """

    name: str
    start: int
    depth: int


def lists_in(head: str) -> tuple[tuple[InnerList, ...], int | None]:
    """The lists of objects in the first object of a text that are inside no other list; where that object ends.

    None when it does not end in what there is of it.

    >>> lists_in('{"n": 1, "data": [{"a": [{}]}]}')
    ((InnerList(name='data', start=18, depth=1),), 31)
    """
    inner_lists: list[InnerList] = []
    keys: list[str] = []
    word, lists = "", 0
    for mark in _MARK.finditer(head):
        sign = mark[0]
        if sign == "[":
            behind = _OBJECT_FOLLOWS.match(head, mark.end())
            if not lists and keys and behind:
                inner_lists.append(InnerList(".".join([*keys[1:], word]), behind.end() - 1, len(keys)))
            lists += 1
        elif sign == "]":
            lists -= 1
        elif lists:
            continue
        elif sign == "{":
            keys.append(word)
        elif sign == "}":
            keys.pop()
            if not keys:
                return tuple(inner_lists), mark.end()
        else:
            word = sign[1:-1]
    return tuple(inner_lists), None


def what_follows(tail: str, depth: int) -> Iterator[tuple[int, str]]:
    """What a text holds behind a list of rows but the end of the ``depth`` objects around it: where, and what it is."""
    opened, lists, end = depth, 0, 0
    for mark in _MARK.finditer(tail) if depth else ():
        sign = mark[0]
        if sign == "[" and not lists and opened == depth and _OBJECT_FOLLOWS.match(tail, mark.end()):
            yield mark.start(), "another list of objects, which was not read"
        lists += (sign == "[") - (sign == "]")
        if lists < 0:
            yield 0, "more behind the end of the list, which was not read"  # its bracket was not the last one
            return
        opened += (sign == "{") - (sign == "}")
        if not opened:
            end = mark.end()
            break
    if opened:
        yield len(tail), "the file ends before its outermost object does"
    elif tail[end:].strip():
        more = len(tail) - end - len(tail[end:].lstrip())
        yield end + more, "more behind the end of the list, which was not read"


def end_of_brackets(text: str, start: int) -> int | None:
    """Where the object that begins at ``start`` ends by its brackets, be its values JSON or not; None if nowhere.

    >>> end_of_brackets('[{"a": }, {"a": 2}]', 1)
    8
    """
    opened = 0
    for mark in _MARK.finditer(text, start):
        if _NOT_QUOTED.search(mark[0]):
            return None  # a quote is missing before, and words are taken for signs
        opened += (mark[0] in "{[") - (mark[0] in "}]")
        if opened <= 0:
            return mark.end()
    return None
