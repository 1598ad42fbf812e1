"""Says a feature's value as a person would: the formats of the catalogue's sentences."""

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from string import Formatter
from typing import Any

from features.catalog import FeatureSpec, spec

__all__ = ["FORMATS", "sentences"]

_PRIOR = "prior"
_HOUR_MS, _MINUTE_MS, _SECOND_MS = 3_600_000, 60_000, 1_000


def count(value: float, nouns: str = "") -> str:
    """A number, and after it the noun that fits: ``count call|calls``.

    >>> count(12410), count(49.9), count(0.004), count(1, "call|calls"), count(0, "call|calls")
    ('12,410', '49.90', 'less than 0.01', '1 call', '0 calls')
    """
    if value == round(value) or abs(value) >= 1000:
        said = f"{value:,.0f}"
    else:
        said = f"{value:,.2f}" if abs(value) >= 0.01 else "less than 0.01"
    if not nouns:
        return said
    one, many = nouns.split("|")
    return f"{said} {one if said == '1' else many}"


def percent(value: float) -> str:
    """A share.

    >>> percent(0.041), percent(0.58), percent(0), percent(0.0001), percent(12.5)
    ('4.1 %', '58 %', '0 %', 'less than 0.1 %', '1,250 %')
    """
    share = 100 * value
    if 0 < share < 0.1:
        return "less than 0.1 %"
    said = f"{share:,.1f}" if 0 < abs(share) < 9.95 else f"{share:,.0f}"
    return f"{said.removesuffix('.0')} %"


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


def fewer_more(value: float, nouns: str) -> str:
    """Only the direction of a ratio of counts ``(now + 1) / (prior + 1)``, whose size would not be true.

    >>> fewer_more(2 / 3, "people"), fewer_more(1.5, "people"), fewer_more(1, "people")
    ('fewer people', 'more people', 'as many people')
    """
    return f"{'as many' if value == 1 else 'fewer' if value < 1 else 'more'} {nouns}"


def growth(value: float) -> str:
    """A slope of the logarithm per week.

    >>> growth(-0.1278), growth(0.0488), growth(0.001)
    ('fell by 12 % a week', 'grew by 5 % a week', 'stayed level')
    """
    weekly = math.expm1(min(value, 20.0))
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
    said = f"{number:,.0f}" if unit == "ms" and number >= 10 else f"{number:,.1f}".removesuffix(".0")
    return f"{said} {unit}"


def days(value: float) -> str:
    """A length of time in days; its sign is the sentence's business.

    >>> days(3.2), days(1.0), days(0.3), days(-14.0), days(1234)
    ('3 days', '1 day', 'less than a day', '14 days', '1,234 days')
    """
    length = round(abs(value))
    if abs(value) < 1:
        return "less than a day"
    return f"{length:,} day" if length == 1 else f"{length:,} days"


def times(value: float) -> str:
    """A multiple.

    >>> times(2.34), times(0.5), times(120.4), times(0.01)
    ('2.3 times', '0.5 times', '120 times', 'less than 0.1 times')
    """
    if 0 < value < 0.05:
        return "less than 0.1 times"
    said = f"{value:,.0f}" if value >= 9.95 else f"{value:,.1f}".removesuffix(".0")
    return f"{said} times"


def name(value: object) -> str:
    """A category, as it is called."""
    return str(value)


FORMATS: Mapping[str, Callable[..., str]] = {
    "count": count,
    "percent": percent,
    "change": change,
    "fewer_more": fewer_more,
    "growth": growth,
    "ms": milliseconds,
    "days": days,
    "times": times,
    "name": name,
}
"""Format name in a catalogue text to the function that says a value."""


def sentences(feature: FeatureSpec, columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> list[str]:
    """The catalogue's sentence about ``feature``, one for each of ``rows``.

    ``columns`` holds feature values, column-wise; a sentence that needs a value which is null, infinite or not
    among them is the feature's ``null_text``.
    """
    own = columns.get(feature.name)
    if feature.past_text is None or own is None:
        return _written(feature, feature.text, columns, rows)
    ahead = _written(feature, feature.text, columns, rows)
    behind = _written(feature, feature.past_text, columns, rows)
    return [
        past if _is_known(own[row]) and own[row] < 0 else future
        for row, future, past in zip(rows, ahead, behind, strict=True)
    ]


def _written(feature: FeatureSpec, text: str, columns: Mapping[str, Sequence[Any]], rows: Sequence[int]) -> list[str]:
    pattern, fields = _compiled(text)
    if not fields:
        return [pattern] * len(rows)
    said = [_said(feature, field, columns, rows) for field in fields]
    return [pattern.format(*parts) if None not in parts else feature.null_text for parts in zip(*said, strict=True)]


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
    feature: FeatureSpec, field: tuple[str, str, str], columns: Mapping[str, Sequence[Any]], rows: Sequence[int]
) -> list[str | None]:
    """One field of the sentence for each row; None where there is nothing to say."""
    named, kind, argument = field
    say = FORMATS[kind]
    arguments = (argument,) if argument else ()
    if named == _PRIOR or (kind == "change" and spec(named).prior_of):
        ratio, now = columns.get(feature.name), columns.get(feature.prior_of or "")
        if ratio is None or now is None:
            return [None] * len(rows)
        pairs = [(now[row], _prior(now[row], ratio[row])) for row in rows]
        if named == _PRIOR:
            return [None if prior is None else say(prior, *arguments) for _, prior in pairs]
        # The smoothed ratio would call 1 to 0 a fall of half: the sentence names both counts, so it compares them.
        return [None if prior is None else say(now / prior if prior else math.inf) for now, prior in pairs]
    values = columns.get(named)
    if values is None:
        return [None] * len(rows)
    return [say(value, *arguments) if _is_known(value) else None for value in (values[row] for row in rows)]


def _prior(now: float, ratio: float) -> int | None:
    """The count before, from ``ratio = (now + 1) / (prior + 1)``."""
    if not _is_known(now) or not _is_known(ratio) or ratio <= 0:
        return None
    before = (now + 1) / ratio
    return max(round(before) - 1, 0) if math.isfinite(before) else None


def _is_known(value: object) -> bool:
    return value is not None and (isinstance(value, str) or math.isfinite(value))  # type: ignore[arg-type]
