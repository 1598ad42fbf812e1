"""Says a feature's value as a person would: the formats of the catalogue's sentences."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from string import Formatter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.definitions.feature import FeatureSpec
from features.exceptions import counted
from features.shares import percent

__all__ = ["FORMATS", "sentences"]


_PRIOR, _BASE = "prior", "base"
_SIGNED = {"growth"}
_STAGES = {
    0: "signed up, no call yet",
    1: "there were calls, none has succeeded",
    2: "a call has succeeded, regular use of what makes the value has not begun",
    3: "the main value endpoint was reached, regular use has not begun",
    4: "in regular use",
}
_HOUR_MS, _MINUTE_MS, _SECOND_MS = 3_600_000, 60_000, 1_000


def count(value: float, nouns: str = "") -> str:
    """A number, and after it the noun that fits: ``count call|calls``.

    >>> count(12410), count(49.9), count(0.004), count(0), count(1, "call|calls"), count(0, "call|calls")
    ('12,410', '49.90', 'less than 0.01', '0', '1 call', 'no calls')
    """
    if value == round(value) or abs(value) >= 1000:
        number = f"{value:,.0f}"
    else:
        number = f"{value:,.2f}" if abs(value) >= 0.01 else "less than 0.01"
    if not nouns:
        return number
    singular, plural = nouns.split("|")
    return f"no {plural}" if value == 0 else f"{number} {singular if number == '1' else plural}"


def share(value: float, nouns: str) -> str:
    """A share of something, or none of it: ``share calls``.

    >>> share(0.041, "calls"), share(0, "calls")
    ('4.1 % of calls', 'no calls')
    """
    return f"no {nouns}" if value == 0 else f"{percent(value)} of {nouns}"


def change(value: float) -> str:
    """A ratio of now to before; infinite where there was nothing before.

    >>> change(0.42), change(1.05), change(1.004), change(6.0), change(math.inf), change(0)
    ('fell 58 %', 'rose 5 %', 'stayed level', 'rose to 6 times', 'started from nothing', 'fell 100 %')
    """
    if math.isinf(value):
        return "started from nothing"
    if value >= 3:
        return f"rose to {times(value)}"
    if abs(value - 1) < 0.005:
        return "stayed level"
    return f"{'fell' if value < 1 else 'rose'} {percent(abs(value - 1))}"


def growth(value: float) -> str:
    """A slope of the logarithm per week.

    >>> growth(-0.1278), growth(0.0488), growth(0.001), growth(9)
    ('fell by 12 % a week', 'grew by 5 % a week', 'stayed level', 'grew more than tenfold a week')
    """
    if value > math.log(10):
        return "grew more than tenfold a week"
    weekly = math.expm1(value)
    if abs(weekly) < 0.005:
        return "stayed level"
    return f"{'fell' if weekly < 0 else 'grew'} by {percent(abs(weekly))} a week"


def milliseconds(value: float) -> str:
    """A duration, in the unit a person would choose.

    >>> milliseconds(0.4), milliseconds(820), milliseconds(12_400), milliseconds(90_000), milliseconds(11_520_000)
    ('0.4 ms', '820 ms', '12.4 s', '1.5 min', '3.2 h')
    """
    for length, unit in ((_HOUR_MS, "h"), (_MINUTE_MS, "min"), (_SECOND_MS, "s"), (1, "ms")):
        if value >= length or unit == "ms":
            number = value / length
            break
    digits = f"{number:,.0f}" if unit == "ms" and number >= 10 else f"{number:,.1f}".removesuffix(".0")
    return f"{digits} {unit}"


def days(value: float) -> str:
    """A length of time in days; its sign is the sentence's business.

    >>> days(3.2), days(1.0), days(0.3), days(-14.0), days(1234)
    ('3 days', '1 day', 'less than a day', '14 days', '1,234 days')
    """
    length = round(abs(value))
    if abs(value) < 1:
        return "less than a day"
    return counted(length, "day|days")


def hours(value: float) -> str:
    """A length of time in hours, long ones in days.

    >>> hours(0.4), hours(1.2), hours(30.0), hours(72.0)
    ('less than an hour', '1 hour', '30 hours', '3 days')
    """
    if value < 1:
        return "less than an hour"
    if value >= 2 * 24:
        return days(value / 24)
    length = round(value)
    return counted(length, "hour|hours")


def points(value: float) -> str:
    """A difference of two shares; its sign is the sentence's business.

    >>> points(0.041), points(-0.12), points(0.01), points(0.0001)
    ('4.1 percentage points', '12 percentage points', '1 percentage point', 'less than 0.1 percentage points')
    """
    number = percent(abs(value)).removesuffix(" %")
    return f"{number} percentage {'point' if number == '1' else 'points'}"


def stage(value: float) -> str:
    """What an account has done at an onboarding stage, and what comes next.

    >>> stage(0), stage(2)
    ('signed up, no call yet', 'a call has succeeded, regular use of what makes the value has not begun')
    """
    return _STAGES.get(int(value), "past the last step")


def times(value: float) -> str:
    """A multiple; its sign is the sentence's business.

    >>> times(2.34), times(0.5), times(120.4), times(0.01), times(-3.2), times(1.01)
    ('2.3 times', '0.5 times', '120 times', 'less than 0.1 times', '3.2 times', 'once')
    """
    size = abs(value)
    if 0 < size < 0.05:
        return "less than 0.1 times"
    number = f"{size:,.0f}" if size >= 9.95 else f"{size:,.1f}".removesuffix(".0")
    return "once" if number == "1" else f"{number} times"


def name(value: object) -> str:
    """A category, as it is called."""
    return str(value)


FORMATS: Mapping[str, Callable[..., str]] = {
    "count": count,
    "percent": percent,
    "share": share,
    "change": change,
    "growth": growth,
    "ms": milliseconds,
    "days": days,
    "hours": hours,
    "points": points,
    "stage": stage,
    "times": times,
    "name": name,
}
"""Format name in a catalogue text to the function that says a value."""


def sentences(feature: FeatureSpec, columns: Mapping[str, NDArray[Any]], rows: NDArray[np.intp]) -> NDArray[np.object_]:
    """The catalogue's sentence about ``feature``, one for each of ``rows``.

    ``columns`` holds feature values, column-wise: numbers with nan for null, categories as objects with None. The
    sentence is the feature's ``null_text`` when its own value, or another that the sentence needs, is null, infinite,
    negative where only a date that passed could be, or not among the columns.
    """
    texts = np.full(len(rows), feature.null_text, dtype=object)
    for text, places in _variants(feature, columns, rows):
        if len(places):
            texts[places] = _written(feature, text, columns, rows[places])
    return texts


def _variants(
    feature: FeatureSpec, columns: Mapping[str, NDArray[Any]], rows: NDArray[np.intp]
) -> list[tuple[str, NDArray[np.intp]]]:
    """The texts of the feature, each with the places in ``rows`` whose value it fits."""
    own = columns.get(feature.name)
    if own is None or feature.kind == "category":
        return [(feature.text, np.arange(len(rows)))]
    values = np.asarray(own[rows], dtype=np.float64)
    variants, usual = [], ~np.isnan(values)
    for text, fits in ((feature.past_text, values < 0), (feature.zero_text, values == 0)):
        if text is not None:
            variants.append((text, np.flatnonzero(fits)))
            usual &= ~fits
    return [*variants, (feature.text, np.flatnonzero(usual))]


def _written(
    feature: FeatureSpec, text: str, columns: Mapping[str, NDArray[Any]], rows: NDArray[np.intp]
) -> NDArray[np.object_]:
    pattern, fields = _compiled(text)
    write = _writer(pattern)
    least = -math.inf if text == feature.past_text else 0.0
    parts = [_said(feature, field, columns, rows, least=least) for field in fields]
    if len(parts) == 1:  # most sentences: written once for each value there is, not once for each row
        ((words, places),) = parts
        return _objects([feature.null_text if word is None else write(word) for word in words])[places]
    words_by_field = [words[places].tolist() for words, places in parts]
    rows_said: Iterable[tuple[Any, ...]] = zip(*words_by_field, strict=True) if words_by_field else ((),) * len(rows)
    return _objects([feature.null_text if None in row else write(*row) for row in rows_said])


def _writer(pattern: str) -> Callable[..., str]:
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


def _said(
    feature: FeatureSpec,
    field: tuple[str, str, str],
    columns: Mapping[str, NDArray[Any]],
    rows: NDArray[np.intp],
    *,
    least: float,
) -> tuple[NDArray[np.object_], NDArray[np.intp]]:
    """One field of the sentence: its different wordings, None for nothing to say, and which of them each row has."""
    named, kind, argument = field
    say = FORMATS[kind]
    values, most = _values(feature, named, kind, columns, rows)
    if values is None:
        return _objects([None]), np.zeros(len(rows), dtype=np.intp)
    if values.dtype == object:
        different = dict.fromkeys(values.tolist())
        places = {value: place for place, value in enumerate(different)}
        texts = [say(value) if isinstance(value, str) else None for value in different]
        return _objects(texts), np.array([places[value] for value in values.tolist()], dtype=np.intp)
    rounded = values if kind == "count" else _four_digits(values)
    numbers, inverse = np.unique(rounded, return_inverse=True)
    arguments = (argument,) if argument else ()
    known = ((numbers <= most) & (numbers >= (-most if kind in _SIGNED else least)) & (numbers >= -most)).tolist()
    return _objects(
        [
            say(number, *arguments) if is_known else None
            for number, is_known in zip(numbers.tolist(), known, strict=True)
        ]
    ), inverse


def _four_digits(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The numbers to four digits, which is more than a sentence says: so there are few different ones to write."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        scale = 10.0 ** (3 - np.floor(np.log10(np.abs(values))))
        short = np.round(values * scale) / scale
    return np.where(np.isfinite(short), short, values)


def _values(
    feature: FeatureSpec, named: str, kind: str, columns: Mapping[str, NDArray[Any]], rows: NDArray[np.intp]
) -> tuple[NDArray[Any] | None, float]:
    """The values a field of the sentence speaks of, and the largest that can be said; None without the columns."""
    largest = float(np.finfo(np.float64).max)
    counts = feature.prior_of is not None and (named == _PRIOR or (kind == "change" and named == feature.name))
    if counts or named == _BASE:
        ratio, now = columns.get(feature.name), columns.get(feature.prior_of or feature.base_of or "")
        if ratio is None or now is None:
            return None, largest
        prior = _before(now[rows], ratio[rows], smoothing=1.0 if counts else 0.0)
        if not counts or named == _PRIOR:
            return prior, largest
        # The smoothed ratio would call 1 to 0 a fall of half: the sentence names both counts, so it compares them.
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(prior > 0, now[rows] / prior, np.where(prior == 0, np.inf, np.nan)), np.inf
    column = columns.get(named)
    return (None if column is None else column[rows]), largest


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
