"""Reads durations that say their unit: 12ms, 0.012s, 1m2.5s as Go writes it, PT0.5S of ISO 8601."""

import re

__all__ = ["seconds_of"]


_SECONDS = {
    **dict.fromkeys(("ns", "nanos"), 1e-9),
    **dict.fromkeys(("us", "\u00b5s", "\u03bcs", "micros"), 1e-6),
    **dict.fromkeys(("ms", "msec", "msecs", "millis", "milliseconds"), 1e-3),
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "mins"), 60.0),
    "h": 3600.0,
}
_UNITS = "|".join(sorted(_SECONDS, key=len, reverse=True))
_PART = re.compile(rf"(\d+(?:[.,]\d+)?|\.\d+)\s*({_UNITS})", re.IGNORECASE)
_WHOLE = re.compile(rf"(?:{_PART.pattern}\s*)+", re.IGNORECASE)
_ISO = re.compile(r"PT(?:(\d+(?:\.\d+)?)H)?(?:(\d+(?:\.\d+)?)M)?(?:(\d+(?:\.\d+)?)S)?", re.IGNORECASE)
_UNCLEAR = re.compile(r"[1-9]\d{0,2},\d{3}")  # 1,234 may be more than a thousand, or one and something


def seconds_of(text: str) -> float | None:
    """The seconds that a duration with its unit takes; None where it has no unit, or another meaning is as likely.

    >>> seconds_of("12ms"), seconds_of("1.5 s"), seconds_of("1m2.5s"), seconds_of("PT0.5S")
    (0.012, 1.5, 62.5, 0.5)
    >>> seconds_of("12"), seconds_of("1,234 ms")
    (None, None)
    """
    trimmed = text.strip()
    iso = _ISO.fullmatch(trimmed)
    if iso and any(iso.groups()):
        return round(sum(float(part or 0) * unit for part, unit in zip(iso.groups(), (3600, 60, 1), strict=True)), 12)
    if not _WHOLE.fullmatch(trimmed):
        return None
    parts = [(match[1], match[2].lower()) for match in _PART.finditer(trimmed)]
    if any(_UNCLEAR.fullmatch(number) for number, _ in parts):
        return None
    return round(sum(float(number.replace(",", ".")) * _SECONDS[unit] for number, unit in parts), 12)
