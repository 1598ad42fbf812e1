"""Reads numbers as sources write them: with decimal points or commas, as lists of times, as words for no limit."""

import re

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from features.ingest.readings import Problem, Reading
from features.sources.mapping.declared import UNITS_PER_SECOND, MappedColumn
from features.sources.mapping.looks import NO_LIMIT

__all__ = [
    "has_commas",
    "has_points",
    "has_thousands",
    "may_be_thousands",
    "plain_number",
    "read_number",
    "status_of",
    "without_currency",
]


_LARGEST = {"int16": 2.0**15 - 1, "int64": 2.0**53}
_GAP = "[ '\u00a0\u202f\u2019]"  # what stands between thousands, beside points and commas
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WITH_COMMA = re.compile(rf"[+-]?(\d{{1,3}}(\.\d{{3}})+|\d{{1,3}}({_GAP}\d{{3}})+|\d+)?(,\d+)?")
_ONLY_COMMA = re.compile(
    rf"[+-]?(\d{{1,3}}((\.|{_GAP})\d{{3}})+,\d+|\d*,(\d{{1,2}}|\d{{4,}})|0+,\d+|\d{{4,}},\d+|\d{{1,3}}(\.\d{{3}}){{2,}})"
)
_ONLY_POINT = re.compile(
    rf"[+-]?(\d{{1,3}}((,|{_GAP})\d{{3}})+\.\d+|\d{{1,3}}(,\d{{3}}){{2,}}|\d{{1,3}}({_GAP}\d{{3}})+"
    r"|\d{1,2}(,\d{2})+,\d{3}(\.\d+)?)"  # 1,29,950.00 is written in India
)
_PLAIN_POINT = re.compile(r"[+-]?(\d*\.(\d{1,2}|\d{4,})|0+\.\d+|\d{4,}\.\d+)")
_THOUSANDS = re.compile(rf"[+-]?\d{{1,3}}((,|{_GAP})\d{{3}})+(\.\d+)?")
_ONE_MARK = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
_WHOLE_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+")
_TIME = r'"?(?:-|\d+(?:\.\d+)?)"?'
_TIMES = re.compile(  # of the upstreams that were tried: nginx writes "0.001, 0.012" and "0.1 : 0.2", JSON a list
    rf"\[\s*(?:{_TIME}(?:\s*,\s*{_TIME})*)?\s*\]|{_TIME}(?:(?:,\s+|\s*;\s*|\s+:\s+){_TIME})+|\d+\.\d+(?:,\d+\.\d+)+"
)
_SIGN = "[A-Z]{3}|[$\u20ac\u00a3\u00a5\u20b9]"
_AMOUNT = r"[+-]?\d[\d.,' \u00a0\u202f\u2019]*(?:(?<=[.,])[-\u2013\u2014]{1,2})?"
_CURRENCY = re.compile(rf"(?P<first>{_SIGN})\s?(?P<before>{_AMOUNT})|(?P<behind>{_AMOUNT})\s?(?P<last>{_SIGN})")
_STATUS = re.compile(r"(?:HTTP(?:/[\d.]+)?[ :-]*)?([1-5]\d\d)(?:[ :-]+[A-Za-z][A-Za-z '-]*)?", re.IGNORECASE)
_NO_CENTS = re.compile(r"(?<=\d)[.,][-\u2013\u2014]{1,2}$")  # 49.- is 49
_QUOTA = "quota_calls_per_month"


def plain_number(text: str, name: str, *, decimal: str | None) -> str | None:
    """A number with a decimal point and nothing else; no number stays as it is, and what says "none" is None.

    ``decimal`` is ``.`` or ``,`` where it is known, ``guess`` where a file was seen to write commas, and ``mixed``
    where it was seen to write both.

    >>> plain_number("1.299,50", "mrr", decimal=",")
    '1299.50'
    >>> plain_number("0.001, 0.012", "latency_ms", decimal=None)
    '0.013'
    """
    trimmed = text.strip().replace("\u2212", "-")
    if name == _QUOTA and trimmed.lower() in NO_LIMIT:
        return None
    number = _with_points(trimmed) if decimal in (None, ".") else _with_commas(trimmed, name, decimal)
    if decimal == "." and _THOUSANDS.fullmatch(trimmed):
        number = _together(trimmed, ",")
    if number is not None:
        return number
    times = re.sub(r"(\d),(\d)", r"\1.\2", trimmed) if decimal in (",", "guess") else trimmed
    if name == "latency_ms" and _TIMES.fullmatch(times):
        seconds = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", times)]
        return repr(round(sum(seconds), 9)) if seconds else None
    # The engine takes 4_9 for 49, and a point for a decimal one.
    is_misread = "_" in text or _NUMBER.fullmatch(trimmed)
    return f"?{text}" if is_misread else text


def _with_points(text: str) -> str | None:
    if _NUMBER.fullmatch(text):
        return text
    return _together(text, ",") if _ONLY_POINT.fullmatch(text) else None


def _with_commas(text: str, name: str, decimal: str | None) -> str | None:
    is_guess = decimal != ","
    if is_guess and _PLAIN_POINT.fullmatch(text):
        return text
    # 1.299 beside both marks is either; of money 1,299 is rather 1299, and nobody said so.
    is_unclear = decimal == "mixed" or (is_guess and name == "mrr" and "," in text)
    if (is_unclear and _ONE_MARK.fullmatch(text)) or not text or not _WITH_COMMA.fullmatch(text):
        return text if re.fullmatch(r"[+-]?\d+[eE][+-]?\d+", text) else None
    return _together(text, r"\.").replace(",", ".")


def _together(text: str, mark: str) -> str:
    return re.sub(f"{mark}|{_GAP}", "", text)


def has_commas(text: str, name: str) -> bool:
    """Whether only decimal commas explain a text; of whole numbers none has three digits behind a point."""
    trimmed = text.strip()
    is_thousands = name == _QUOTA and _WHOLE_THOUSANDS.fullmatch(trimmed)
    return bool(_ONLY_COMMA.fullmatch(trimmed) or is_thousands)


def has_thousands(text: str) -> bool:
    """Whether only commas between thousands explain a text: 1,234.50 and 1,29,950."""
    trimmed = text.strip()
    return "," in trimmed and _ONLY_POINT.fullmatch(trimmed) is not None


def may_be_thousands(text: str) -> bool:
    """Whether a point may stand between thousands: 1.299."""
    return "." in text and _ONE_MARK.fullmatch(text.strip()) is not None


def has_points(text: str) -> bool:
    """Whether only a decimal point explains a text."""
    return bool(_PLAIN_POINT.fullmatch(text.strip()))


def without_currency(text: str) -> tuple[str, str | None]:
    """An amount without the currency before or behind it, and that.

    >>> without_currency("CHF 1'299.50"), without_currency("49,00 \u20ac"), without_currency("49")
    (("1'299.50", 'CHF'), ('49,00', '\u20ac'), ('49', None))
    """
    trimmed = _NO_CENTS.sub("", text.strip())
    match = _CURRENCY.fullmatch(trimmed)
    if match is None:
        return trimmed, None
    amount = (match["before"] or match["behind"]).strip()
    return _NO_CENTS.sub("", amount), match["first"] or match["last"]


def status_of(text: str) -> str:
    """The number of a status with its words: ``200 OK``, ``HTTP/1.1 404 Not Found``.

    >>> status_of("200 OK"), status_of("HTTP 404"), status_of("OK"), status_of("2000 OK")
    ('200', '404', 'OK', '2000 OK')
    """
    match = _STATUS.fullmatch(text.strip())
    return match[1] if match else text


def read_number(given: ir.Value, name: str, canonical: pa.DataType, column: MappedColumn) -> Reading:
    """One column of numbers, null where there is none, with the unit's factor applied to a latency."""
    if pa.types.is_integer(canonical) and given.type().is_signed_integer():
        limit = int(_LARGEST[str(canonical)])
        plain = given.nullif(-1) if name == _QUOTA else given
        fits = plain.between(-limit, limit)
        return Reading(fits.ifelse(plain, None).cast(str(canonical)), (Problem(f"{name}_unreadable", name, ~fits),))
    plain = given.nullif("") if given.type().is_string() else given
    if given.type().is_floating():  # not a number is what pandas writes for nothing
        plain = given.nullif(float("nan"))
        plain = plain.nullif(-1.0).nullif(float("inf")) if name == _QUOTA else plain
    number = plain.cast("int64").cast("float64") if given.type().is_boolean() else plain.try_cast("float64")
    unreadable = plain.notnull() & (number.isnull() | number.isnan() | number.isinf())
    if pa.types.is_integer(canonical):
        too_large = number.abs() > _LARGEST[str(canonical)]
        # floor() is a BIGINT on the engine, which fails on what does not fit one.
        bounded = (unreadable | too_large).ifelse(ibis.null("float64"), number)
        problem = Problem(f"{name}_unreadable", name, unreadable | too_large | (bounded != bounded.floor()))
        return Reading(bounded.cast(str(canonical)), (problem,))
    if column.unit is not None and name == "latency_ms":
        number = number * (UNITS_PER_SECOND["ms"] / UNITS_PER_SECOND[column.unit])
    return Reading(number, (Problem(f"{name}_unreadable", name, unreadable),))
