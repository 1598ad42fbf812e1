"""Finds the line of a TOML text that sets something, so that an error can point at it."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence

__all__ = ["line_of"]


_KEY = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*')"""
_DOTTED = rf"{_KEY}(?:\s*\.\s*{_KEY})*"
_HEADER = re.compile(rf"\s*(\[\[?)\s*({_DOTTED})\s*\]\]?\s*(?:#.*)?$")
_SETTING = re.compile(rf"\s*({_DOTTED})\s*=\s*(.*)$")
_PART = re.compile(_KEY)
_QUOTES = ('"""', "'''")


def line_of(text: str, path: Sequence[str]) -> int | None:
    r"""Number of the line that sets ``path``, or the longest beginning of it that any line sets; None for none.

    >>> line_of('port = 1\n[metrics.slow]\nof = "count"\n', ["metrics", "slow", "of"])
    3
    >>> line_of('[metrics.slow]\nof = "count"\n', ["metrics", "slow", "windows"])
    1
    >>> line_of("[[exclude]]\nto = 1\n[[exclude]]\nto = 2\n", ["exclude", "1", "to"])
    4
    """
    best, line = 0, None
    for number, keys in _settings(text):
        common = 0
        while common < min(len(keys), len(path)) and keys[common] == path[common]:
            common += 1
        # A key of a table is no place of its other keys: a line counts whole, or as the head of what is asked.
        if common == len(keys) and common > best:
            best, line = common, number
    return line


def _settings(text: str) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Each line that begins a table or sets a key, with the whole path; text inside long strings is passed over."""
    table: tuple[str, ...] = ()
    tables: Counter[tuple[str, ...]] = Counter()
    inside: str | None = None
    for number, line in enumerate(text.splitlines(), start=1):
        if inside is not None:
            inside = None if inside in line else inside
            continue
        if header := _HEADER.match(line):
            table = _parts(header[2])
            if header[1] == "[[":  # one of several, known by its place among them
                tables[table] += 1
                table = (*table, str(tables[table] - 1))
            yield number, table
        elif setting := _SETTING.match(line):
            yield number, (*table, *_parts(setting[1]))
            inside = next((quotes for quotes in _QUOTES if setting[2].count(quotes) % 2), None)


def _parts(dotted: str) -> tuple[str, ...]:
    return tuple(part.strip("\"'") for part in _PART.findall(dotted))
