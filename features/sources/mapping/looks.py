"""Says what the first values of a column look like, and whether they can be what a name says."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from statistics import median

from features.sources.mapping.dates import is_written_date
from features.sources.mapping.durations import seconds_of
from features.sources.mapping.known_records import kind_of_change

__all__ = ["NO_LIMIT", "number_of", "plain_values", "says_its_zone", "unit_of_duration", "unit_of_epoch", "why_not"]


_NOTHING = frozenset(("", "-", "null", "none", "nan", "undefined", "(null)", "n/a"))
_EPOCHS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (0.0, "s"))
_PER_SECOND = {"s": 1.0, "ms": 1e3, "us": 1e6, "ns": 1e9}
_YEARS = (datetime(2000, 1, 1, tzinfo=UTC).timestamp(), datetime(2100, 1, 1, tzinfo=UTC).timestamp())
_TIME = re.compile(r".*\b(19|20)\d\d\b.*\d|(19|20)\d{6}T?\d{4,6}.*", re.DOTALL)
_ADDRESS = re.compile(r"\d{1,3}(\.\d{1,3}){3}(:\d+)?|\[?[0-9a-fA-F]*:[0-9a-fA-F:]+\]?(:\d+)?")
_REQUEST = re.compile(r"[A-Za-z-]+ \S+( HTTP/[0-9.]+)?")
_METHOD = re.compile(r"[A-Za-z-]{2,20}")
_STATUSES = (100, 599)
_AMOUNT = re.compile(
    r"([A-Z]{3}|[$€£¥₹])? ?[+-]?\d[\d.,' \u00a0\u202f\u2019]*[-\u2013\u2014]{0,2} ?([A-Z]{3}|[$€£¥₹])?|0"
)
_TIMES = re.compile(r"(-|\d+\.\d+)([,:; ]+(-|\d+\.\d+))+")  # of several upstreams
NO_LIMIT = (
    *("unlimited", "no limit", "infinite", "infinity", "inf", "∞", "unbegrenzt", "illimité", "ilimitado"),
    *("-1", "-1.0", "-1,0"),
)


def plain_values(values: Sequence[object]) -> list[object]:
    """The values that say something."""
    return [value for value in values if value is not None and str(value).strip().lower() not in _NOTHING]


def number_of(value: object) -> float | None:
    """The number a value is, or is written as; truth values are none."""
    try:
        number = None if isinstance(value, bool | date) else float(str(value))
    except ValueError:
        return None
    return number if number is not None and abs(number) != float("inf") and number == number else None  # noqa: PLR0124


def why_not(name: str, values: Sequence[object], *, is_request: bool = False) -> str | None:
    """Why values cannot be those of a canonical column; None where they can. ``values`` are plain.

    >>> why_not("event_id", ["a", "b", "a"])
    'repeats'
    >>> why_not("status", ["200", "404"])
    """
    if not values:
        return "is empty"
    if name == "event_id":
        return "repeats" if len(set(map(str, values))) < len(values) else None
    claim, what = (_is_request, "holds no requests") if is_request else _CLAIMS.get(name, (bool, ""))
    return None if name not in _CLAIMS or sum(map(claim, values)) * 2 > len(values) else what


def says_its_zone(value: object) -> bool:
    """Whether a time says its zone or its offset."""
    return re.search(r"(Z|UTC|GMT|[+-]\d{2}:?\d{2})$", str(value).strip()) is not None


def unit_of_epoch(values: Sequence[object]) -> str | None:
    """The unit in which numbers count since 1970; None where they are no epochs."""
    numbers = [number for value in values if (number := number_of(value)) is not None]
    if len(numbers) * 2 <= len(values) or not numbers:
        return None
    middle = median(numbers)
    unit = next(unit for least, unit in _EPOCHS if abs(middle) >= least)
    return unit if _YEARS[0] <= middle / _PER_SECOND[unit] < _YEARS[1] else None


def unit_of_duration(values: Sequence[object]) -> tuple[str, bool]:
    """The unit in which durations of calls are likely counted, and whether another one is as likely.

    A call takes between a millisecond and some seconds, most of the time.

    >>> unit_of_duration([0.031, 0.4]), unit_of_duration([18_112_710]), unit_of_duration([12, 40])
    (('s', False), ('ns', False), ('ms', True))
    """
    numbers = [number for value in values if (number := number_of(value)) is not None and number > 0]
    if not numbers:
        return "ms", True
    middle, has_fractions = median(numbers), any(number != int(number) for number in numbers)
    if has_fractions and middle < 1:
        return "s", False
    if middle < 2e4:
        return "ms", True
    return ("us", True) if middle < 1e6 else ("ns", False)


def _is_time(value: object) -> bool:
    if isinstance(value, date):  # a datetime is one
        return True
    if unit_of_epoch([value]) is not None:
        return True
    text = str(value).strip()
    return number_of(value) is None and (_TIME.match(text) is not None or is_written_date(text))


def _is_status(value: object) -> bool:
    number = number_of(str(value).partition(" ")[0])
    return number is not None and (number == 0 or _STATUSES[0] <= number <= _STATUSES[1])


def _is_duration(value: object) -> bool:
    number = number_of(value)
    if number is not None:
        return number >= 0 or number == -1  # as HAProxy writes of what did not happen
    return seconds_of(str(value)) is not None or _TIMES.fullmatch(str(value)) is not None


def _is_request(value: object) -> bool:
    return _REQUEST.fullmatch(str(value)) is not None


def _is_path(value: object) -> bool:
    return number_of(value) is None


def _is_method(value: object) -> bool:
    return _METHOD.fullmatch(str(value)) is not None


def _is_account(value: object) -> bool:
    return _ADDRESS.fullmatch(str(value)) is None


def _is_amount(value: object) -> bool:
    return _AMOUNT.fullmatch(str(value).strip()) is not None


def _is_quota(value: object) -> bool:
    return _is_amount(value) or str(value).strip().lower() in NO_LIMIT


def _is_change(value: object) -> bool:
    return kind_of_change(str(value)) is not None


def _is_text(value: object) -> bool:
    return number_of(value) is None and not _is_time(value)


_CLAIMS: dict[str, tuple[Callable[[object], bool], str]] = {
    "event_time": (_is_time, "holds no times"),
    "ingested_at": (_is_time, "holds no times"),
    "status": (_is_status, "holds no HTTP status"),
    "latency_ms": (_is_duration, "holds no numbers"),
    "endpoint": (_is_path, "holds numbers"),
    "method": (_is_method, "holds no methods"),
    "account_id": (_is_account, "holds addresses"),
    "created_at": (_is_time, "holds no times"),
    "occurred_at": (_is_time, "holds no times"),
    "known_at": (_is_time, "holds no times"),
    "term_end": (_is_time, "holds no times"),
    "cancelled_at": (_is_time, "holds no times"),
    "kind": (_is_change, "holds no changes of a subscription"),
    "mrr": (_is_amount, "holds no amounts"),
    "value": (_is_amount, "holds no numbers"),
    "quota_calls_per_month": (_is_quota, "holds no numbers"),
    "name": (_is_text, "holds no names"),
    "region": (_is_text, "holds no regions"),
}
