"""Writes the catalogue's sentence about a feature: its value and the yardstick it is held against, row by row."""

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from string import Formatter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.definitions.feature import FeatureSpec
from serving.scoring.wording import FORMATS
from serving.scoring.yardsticks import PEERS, Stand

__all__ = ["NUMBERS", "Numerals", "Sentences", "sentences"]


NUMBERS = 4
"""Numbers a sentence names at most."""

_PRIOR, _BASE, _USUAL = "prior", "base", "usual"
_SIGNED = {"growth"}
_NUMERAL = re.compile(r"\d[\d,.]*")

Places = NDArray[np.intp]


class Sentences(NamedTuple):
    """One sentence per row, None where nothing can be said, and the numbers it names: 0 for none."""

    text: NDArray[np.object_]
    numbers: NDArray[np.intp]

    @property
    def is_said(self) -> NDArray[np.bool_]:
        """Whether there is a sentence."""
        return self.text.astype(np.bool_)


class Numerals:
    """Gives each number that is said a number of its own, so that what was said before is known again.

    A small count is another number when it counts something else: "1 call" and "1 person".
    """

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._by_words: dict[str, int] = {}

    def of(self, words: str, field: str) -> int:
        """The number in ``words``, said of a feature; 0 where there is none."""
        if len(words) == 1:
            words = f"{field} {words}"
        known = self._by_words.get(words)
        if known is None:
            known = self._by_words[words] = self._of_new(words)
        return known

    def _of_new(self, words: str) -> int:
        match = _NUMERAL.search(words)
        if match is None:
            return 0
        numeral = match.group().rstrip(".,")
        name = f"{numeral} %" if "%" in words else numeral if len(numeral) > 1 else words
        return self._known.setdefault(name, len(self._known) + 1)


def sentences(
    feature: FeatureSpec,
    columns: Mapping[str, NDArray[Any]],
    rows: Places,
    stand: Stand,
    *,
    is_upsell: bool = False,
    numerals: Numerals | None = None,
) -> Sentences:
    """The catalogue's sentence about ``feature``, one for each of ``rows``.

    Nothing is said where the feature, or another value the sentence needs, is null, infinite, negative where only a
    date that passed could be, or not among the columns; nor where it lies on neither side of its yardstick.

    Parameters
    ----------
    columns
        Feature values, column-wise: numbers with nan for null, categories as objects with None.
    stand
        Of each row, to the feature's yardstick.
    """
    texts, numbers = np.full(len(rows), None, dtype=object), np.zeros((len(rows), NUMBERS), dtype=np.intp)
    writer = _Writer(feature, columns, numerals or Numerals())
    for pattern, places, is_past in _patterns(feature, columns, rows, stand, is_upsell=is_upsell):
        texts[places], said = writer.written(pattern, rows[places], stand.usual[places], is_past=is_past)
        numbers[places, : said.shape[1]] = said
    return Sentences(texts, numbers)


def _patterns(
    feature: FeatureSpec, columns: Mapping[str, NDArray[Any]], rows: Places, stand: Stand, *, is_upsell: bool
) -> Iterator[tuple[str, Places, bool]]:
    """The sentences of the feature with their yardsticks, each with the places it fits."""
    has_usual = ~np.isnan(stand.usual)
    for text, fits, takes_peers in _variants(feature, columns, rows, stand, is_upsell=is_upsell):
        is_past = text == feature.past_text
        if feature.usual is not None and (own := np.flatnonzero(fits & has_usual)).size:
            yield _joined(text, feature.usual[1]), own, is_past
        rest = fits & ~has_usual
        if not (feature.than and takes_peers):
            if text and (places := np.flatnonzero(rest)).size:
                yield text, places, is_past
            continue
        signed = np.where(rest, stand.side * (stand.level + 1), 0)
        for level in np.unique(signed[rest]).tolist():
            words = (feature.than[0] if level > 0 else feature.than[1]).format(PEERS[abs(level) - 1]) if level else ""
            if pattern := _joined(text, words):
                yield pattern, np.flatnonzero(rest & (signed == level)), is_past


def _variants(
    feature: FeatureSpec, columns: Mapping[str, NDArray[Any]], rows: Places, stand: Stand, *, is_upsell: bool
) -> Iterator[tuple[str | None, NDArray[np.bool_], bool]]:
    """The texts of the feature, the rows whose value each fits, and whether others' values stand beside it."""
    text = feature.upsell_text if is_upsell and feature.upsell_text else feature.text
    left = stand.side != 0
    if feature.kind != "category" and feature.name in columns:
        values = columns[feature.name][rows]
        for special, fits, takes_peers in (
            (feature.past_text, values < 0, False),
            (feature.zero_text, values == 0, False),
            (feature.below_text, stand.side < 0, True),
        ):
            if special is not None and (fits & left).any():
                yield special, fits & left, takes_peers
                left = left & ~fits
    if left.any():
        yield text, left, True


def _joined(text: str | None, yardstick: str) -> str:
    if not text:
        return f"{yardstick}." if yardstick else ""
    return f"{text.removesuffix('.')}, {yardstick}." if yardstick else text


class _Writer:
    """Writes the sentences of one feature: each once for every different value, not once for every row."""

    def __init__(self, feature: FeatureSpec, columns: Mapping[str, NDArray[Any]], numerals: Numerals) -> None:
        self._feature = feature
        self._columns = columns
        self._numerals = numerals

    def written(
        self, text: str, rows: Places, usual: NDArray[np.float64], *, is_past: bool
    ) -> tuple[NDArray[np.object_], Places]:
        """The sentence of each row, and the numbers it names, one column per field."""
        pattern, fields = _compiled(text)
        write = _put_together(pattern)
        parts = [self._said(field, rows, usual, least=-math.inf if is_past else 0.0) for field in fields]
        if not parts:
            return _objects([write()] * len(rows)), np.zeros((len(rows), 0), dtype=np.intp)
        numbers = np.column_stack([named[places] for _, named, places in parts])
        if len(parts) == 1:
            ((words, _, places),) = parts
            return _objects([None if word is None else write(word) for word in words])[places], numbers
        by_field = [words[places].tolist() for words, _, places in parts]
        lines = zip(*by_field, strict=True)
        return _objects([None if None in line else write(*line) for line in lines]), numbers

    def _said(
        self, field: tuple[str, str, str], rows: Places, usual: NDArray[np.float64], *, least: float
    ) -> tuple[NDArray[np.object_], Places, Places]:
        """One field: its different wordings, None for nothing to say, the number each names, and which a row has."""
        named, kind, argument = field
        say = FORMATS[kind]
        values, most = (usual, math.inf) if named == _USUAL else self._values(named, kind, rows)
        if values is None:
            return _objects([None]), np.zeros(1, dtype=np.intp), np.zeros(len(rows), dtype=np.intp)
        if values.dtype == object:
            different = dict.fromkeys(values.tolist())
            places = {value: place for place, value in enumerate(different)}
            texts = [say(value) if isinstance(value, str) else None for value in different]
            numbers, which = np.zeros(len(texts), dtype=np.intp), [places[value] for value in values.tolist()]
            return _objects(texts), numbers, np.array(which, dtype=np.intp)
        rounded = values if kind == "count" else _four_digits(values)
        different_numbers, inverse = np.unique(rounded, return_inverse=True)
        arguments = (argument,) if argument else ()
        smallest = -most if kind in _SIGNED else max(least, -most)
        words = [
            say(number, *arguments) if smallest <= number <= most else None for number in different_numbers.tolist()
        ]
        ids = [0 if word is None else self._numerals.of(word, named) for word in words]
        return _objects(words), np.array(ids, dtype=np.intp), inverse

    def _values(self, named: str, kind: str, rows: Places) -> tuple[NDArray[Any] | None, float]:
        """What a field of the sentence speaks of, and the largest that can be said; None without the columns."""
        feature, columns = self._feature, self._columns
        largest = float(np.finfo(np.float64).max)
        counts = feature.prior_of is not None and (named == _PRIOR or (kind == "change" and named == feature.name))
        if not counts and named != _BASE:
            column = columns.get(named)
            return (None if column is None else column[rows]), largest
        ratio, now = columns.get(feature.name), columns.get(feature.prior_of or feature.base_of or "")
        if ratio is None or now is None:
            return None, largest
        prior = _before(now[rows], ratio[rows], smoothing=1.0 if counts else 0.0)
        if not counts or named == _PRIOR:
            return prior, largest
        # The smoothed ratio would call 1 to 0 a fall of half: the sentence names both counts, so it compares them.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(prior > 0, now[rows] / prior, np.where(prior == 0, np.inf, np.nan)), np.inf


def _put_together(pattern: str) -> Callable[..., str]:
    """What puts words in their places; a sentence that begins with "no calls" begins with a capital."""
    if not pattern.startswith("{"):
        return (pattern[0].upper() + pattern[1:]).format

    def write(*words: str) -> str:
        text = pattern.format(*words)
        return text[0].upper() + text[1:]

    return write


@cache
def _compiled(text: str) -> tuple[str, tuple[tuple[str, str, str], ...]]:
    """``"Calls {a:change}."`` as ``("Calls {}.", (("a", "change", ""),))``."""
    pattern, fields = "", []
    for literal, field, form, _ in Formatter().parse(text):
        pattern += literal
        if field is not None:
            kind, _, argument = (form or "").partition(" ")
            fields.append((field, kind, argument))
            pattern += "{}"
    return pattern, tuple(fields)


def _four_digits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers to four digits, which is more than a sentence says: so there are few different ones to write."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = 10.0 ** (3 - np.floor(np.log10(np.abs(values))))
        short = np.round(values * scale) / scale
    return np.where(np.isfinite(short), short, values)


def _before(now: NDArray[Any], ratio: NDArray[Any], *, smoothing: float) -> NDArray[np.float64]:
    """What ``now`` is compared with, from ``ratio = (now + smoothing) / (before + smoothing)``; nan for unknown."""
    now, ratio = np.asarray(now, dtype=np.float64), np.asarray(ratio, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        before = np.where(np.isfinite(ratio) & (ratio > 0), (now + smoothing) / ratio, np.nan)
    return before if not smoothing else np.maximum(np.round(before) - smoothing, 0.0)


def _objects(values: Sequence[object]) -> NDArray[np.object_]:
    objects = np.empty(len(values), dtype=object)
    objects[:] = values
    return objects
