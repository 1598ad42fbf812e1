"""Suggests path patterns: where one place of a path holds so many words that they must name things."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import ibis.expr.types as ir

from features.engine.duckdb_engine import Engine
from features.ingest.route_templates import Templates

__all__ = ["MOST_TEMPLATES", "Suggestion", "count_templates", "suggest_patterns"]


MOST_TEMPLATES = 5_000
"""No API has as many routes: with more, features of endpoints count things instead of uses."""

_VARIED = 50  # different words at one place of a path; fewer may be routes
_OWN_SHARE = 0.05  # of the calls at such a place: a word with as many is a route of its own
_DEEP = 20  # patterns behind such a place; with more of them no end is a route
_LONGEST = 30  # words of a path that are looked at
_LOOKED_AT = 100_000  # templates: what is suggested has to be found in bounded memory


@dataclass(frozen=True)
class Suggestion:
    """A pattern to declare, how many templates it takes in, and how many calls."""

    pattern: str
    templates: int
    calls: int


def count_templates(engine: Engine, events: ir.Table) -> int:
    """How many different endpoints the events have."""
    templates = events.select("endpoint").filter(events.endpoint.notnull()).distinct()
    return engine.count(templates)


def suggest_patterns(engine: Engine, events: ir.Table, *, most: int = 10) -> list[Suggestion]:
    """The patterns that take in most templates, the more specific ones first where two take in the same path.

    Of more templates than can be looked at, those that a hash picks are.
    """
    calls = events.filter(events.endpoint.notnull())
    counted = calls.group_by("endpoint").agg(calls=calls.count())
    picked = counted.order_by(counted.endpoint.hash(), "endpoint").limit(_LOOKED_AT)
    rows = engine.to_arrow(picked).to_pylist()
    return suggested({row["endpoint"]: row["calls"] for row in rows}, most=most)


def suggested(calls: Mapping[str, int], *, most: int = 10) -> list[Suggestion]:
    """Patterns for templates and how often each was called.

    >>> calls = {f"/files/{letter * 2}x": 1 for letter in map(chr, range(97, 160))}
    >>> [suggestion.pattern for suggestion in suggested(calls)]
    ['/files/{file}']
    """
    paths = [(_words(path), count) for path, count in calls.items() if path.startswith("/")]
    suggestions = sorted(
        _patterns((), paths, is_varied=False), key=lambda suggestion: (-suggestion.templates, suggestion.pattern)
    )
    best = [suggestion for suggestion in suggestions if suggestion.templates > 1][:most]
    # A route of its own that one of them would take in has to be declared before it.
    shapes = [Templates([suggestion.pattern]) for suggestion in best]
    own = [
        suggestion
        for suggestion in suggestions
        if suggestion.templates == 1 and any(shape(suggestion.pattern) != suggestion.pattern for shape in shapes)
    ]
    return [
        *own,
        *sorted(best, key=lambda suggestion: (suggestion.pattern.endswith("...}"), suggestion.pattern.count("{"))),
    ]


Path = tuple[tuple[str, ...], int]


def _patterns(before: tuple[str, ...], paths: Sequence[Path], *, is_varied: bool) -> Iterator[Suggestion]:
    """Patterns below a place of the paths; ``is_varied`` when a placeholder stands before it already."""
    ending = [count for words, count in paths if not words]
    if ending and is_varied:
        yield Suggestion("/" + "/".join(before), len(ending), sum(ending))
    by_word: dict[str, list[Path]] = {}
    for words, count in paths:
        if words:
            by_word.setdefault(words[0], []).append((words[1:], count))
    calls = {word: sum(count for _, count in below) for word, below in by_word.items()}
    total = sum(calls.values())
    if len(by_word) <= _VARIED:
        for word, below in by_word.items():
            yield from _patterns((*before, word), below, is_varied=is_varied)
        return
    own = {word for word in by_word if calls[word] >= _OWN_SHARE * total and not word.startswith("{")}
    for word in sorted(own):
        yield from _patterns((*before, word), by_word[word], is_varied=True)
    several = [path for word, below in by_word.items() if word not in own for path in below]
    name = _name(before)
    suggestions = list(_patterns((*before, f"{{{name}}}"), several, is_varied=True))
    if len(suggestions) > _DEEP:
        count = sum(count for _, count in several)
        suggestions = [Suggestion("/" + "/".join((*before, f"{{{name}...}}")), len(several), count)]
    yield from suggestions


def _words(path: str) -> tuple[str, ...]:
    """The words of a path; of a very long one its beginning."""
    words = path.split("/", _LONGEST + 1)[1:]
    return (*words[:_LONGEST], *(("{rest...}",) if len(words) > _LONGEST else ()))


def _name(before: Sequence[str]) -> str:
    """What a placeholder is called: after the word before it, in the singular."""
    words = [word.lower() for word in before if word.isidentifier() and not re.fullmatch(r"v\d+", word)]
    word = words[-1] if words else "name"
    return re.sub(r"(?<=\w\w)s$", "", re.sub(r"(?<=\w\w)ies$", "y", word))
