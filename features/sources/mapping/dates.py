"""Tells the form of dates that the engine does not read by itself: 31.12.2026, 12/31/2026, Dec 31, 2026."""

import re
from collections.abc import Sequence

__all__ = ["date_form", "is_written_date"]


_CLOCKS = (
    ("", ""),
    (r"[ T]\d{1,2}:\d{2}", " %H:%M"),
    (r"[ T]\d{1,2}:\d{2}:\d{2}", " %H:%M:%S"),
    (r" \d{1,2}:\d{2} [AaPp][Mm]", " %I:%M %p"),
    (r" \d{1,2}:\d{2}:\d{2} [AaPp][Mm]", " %I:%M:%S %p"),
)
_DAYS = (
    (r"\d{1,2}\.\d{1,2}\.\d{4}", "%d.%m.%Y"),
    (r"\d{1,2} [A-Za-z]{3} \d{4}", "%d %b %Y"),
    (r"\d{1,2}-[A-Za-z]{3}-\d{4}", "%d-%b-%Y"),
    (r"[A-Za-z]{3} \d{1,2}, \d{4}", "%b %d, %Y"),
    (r"[A-Za-z]{4,9} \d{1,2}, \d{4}", "%B %d, %Y"),
    (r"\d{1,2}/\d{1,2}/\d{4}", "%d/%m/%Y"),
    (r"\d{1,2}-\d{1,2}-\d{4}", "%d-%m-%Y"),
)
_EITHER = ("%d/%m/%Y", "%d-%m-%Y")  # also with the month first
_FORMS = tuple((re.compile(day + clock), form + time) for day, form in _DAYS for clock, time in _CLOCKS)
_FIRST_MONTHS = 12


def is_written_date(text: str) -> bool:
    """Whether a text is a date in one of the forms that the engine has to be told of."""
    return any(shape.fullmatch(text) for shape, _ in _FORMS)


def date_form(values: Sequence[object]) -> str | None:
    """The form, as ``strptime`` takes it, that most values are written in; None where it is none of these.

    It is empty where day and month cannot be told apart.

    >>> date_form(["31.12.2026", "01.02.2026"]), date_form(["12/31/2026"]), date_form(["01/02/2026"])
    ('%d.%m.%Y', '%m/%d/%Y', '')
    >>> date_form(["2026-12-31"])
    """
    texts = [str(value).strip() for value in values]
    for shape, form in _FORMS:
        alike = [text for text in texts if shape.fullmatch(text)]
        if len(alike) * 2 <= len(texts):
            continue
        if not form.startswith(_EITHER):
            return form
        first, second = (max(int(re.split(r"[/-]", text)[place]) for text in alike) for place in (0, 1))
        if (first > _FIRST_MONTHS) == (second > _FIRST_MONTHS):
            return ""
        month_first = form.replace("%d", "%_").replace("%m", "%d").replace("%_", "%m")
        return form if first > _FIRST_MONTHS else month_first
    return None
