"""Says a value as a person would: the formats of the catalogue's sentences."""

import math
from collections.abc import Callable, Mapping

from features.exceptions import counted
from features.shares import percent

__all__ = ["FORMATS"]


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


def rest(value: float) -> str:
    """What a share leaves of the whole.

    >>> rest(0.12), rest(1.0), rest(0.0)
    ('88 %', '0 %', '100 %')
    """
    return percent(1.0 - value)


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
    "rest": rest,
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
