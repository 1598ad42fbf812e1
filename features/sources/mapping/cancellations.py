"""Makes two rows of one that says both when a subscription started and when it ended."""

import pyarrow as pa
import pyarrow.compute as pc

from features.exceptions import InputError
from features.sources.mapping.declared import ENDED

__all__ = ["with_cancellations"]


_START, _KIND, _CANCEL = "occurred_at", "kind", "cancel"


def with_cancellations(given: pa.Table, *, title: str) -> tuple[pa.Table, int]:
    """The rows, behind them a cancellation for each that has an end, and how many these are.

    Of a subscription that ends as it begins there is only the cancellation.

    Raises
    ------
    InputError
        When the two times are of types that do not go together.
    """
    if ENDED not in given.column_names:
        return given, 0
    rows, ends = given.drop_columns([ENDED]), given.column(ENDED)
    if pa.types.is_null(ends.type):
        return rows, 0
    begins = rows.column(_START)
    try:
        ends = ends if ends.type == begins.type else pc.cast(ends, begins.type)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{ENDED} in {title} is of another type than occurred_at. Make both alike, by an expression. "
            "Nothing was stored."
        ) from error
    is_ended = pc.and_(pc.is_valid(ends), pc.not_equal(pc.utf8_trim_whitespace(ends), "")) if _is_text(ends) else None
    is_ended = pc.is_valid(ends) if is_ended is None else is_ended.fill_null(False)
    cancelled = rows.filter(is_ended)
    place, kind = rows.column_names.index(_START), rows.column_names.index(_KIND)
    cancelled = cancelled.set_column(place, _START, ends.filter(is_ended))
    cancelled = cancelled.set_column(kind, _KIND, pa.array([_CANCEL] * len(cancelled), rows.column(_KIND).type))
    is_nothing = pc.and_(is_ended, pc.equal(begins, ends).fill_null(False))
    return pa.concat_tables([rows.filter(pc.invert(is_nothing)), cancelled]), len(cancelled)


def _is_text(values: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_string(values.type))
