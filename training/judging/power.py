"""How many events it would take to tell a difference, and how long they would take to happen."""

import math
from collections.abc import Sequence

from features.exceptions import counted

__all__ = ["events_to_tell", "power_in_words"]


WORTH_TELLING = 0.05
"""Difference in ROC-AUC that is worth waiting for, where what was measured is smaller still."""

_DAYS_PER_MONTH = 365.25 / 12


def events_to_tell(events: int, difference: float, half_width: float) -> int:
    """Events from which on the interval of a difference would leave 0 out: its width shrinks with their root.

    Of a difference too small to wait for, those that would tell one worth it, where there are not as many yet.

    >>> events_to_tell(19, 0.06, 0.16), events_to_tell(19, 0.004, 0.16)
    (136, 195)
    >>> events_to_tell(122, 0.028, 0.03)
    141
    """
    for told in (max(difference, WORTH_TELLING), difference):
        wanted = math.ceil(events * (half_width / told) ** 2) if told > 0 else events
        if wanted > events:
            break
    return wanted


def power_in_words(events: int, days: float, differences: Sequence[tuple[float, float]]) -> str:
    """What so many events can tell, and how many could tell all of these differences (each with its half width).

    >>> power_in_words(19, 60, [(0.06, 0.16)])
    '19 events cannot tell differences under 0.16; about 140 could, some 13 months at this rate.'
    >>> power_in_words(390, 240, [(-0.01, 0.02)])
    '390 events cannot tell differences under 0.02.'
    """
    wanted = _rounded(max(events_to_tell(events, difference, half) for difference, half in differences))
    least = max(half for _, half in differences)
    telling = f"{counted(events, 'event|events')} cannot tell differences under {least:.2g}"
    if wanted <= events:  # as many as it takes are there, and what they tell is no advantage
        return f"{telling}."
    months = math.ceil((wanted - events) / (events / (days / _DAYS_PER_MONTH)))
    return f"{telling}; about {wanted:,} could, some {counted(months, 'month|months')} at this rate."


def _rounded(count: int) -> int:
    """To two digits."""
    digits = max(0, len(str(count)) - 2)
    return int(round(count, -digits))
