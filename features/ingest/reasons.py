"""Says in words why a row or a value was refused; stores and programs have the codes."""

__all__ = ["reason_in_words"]


_WHOLE = {
    "conflict": "another version of the row counts",
    "file_cut_short": "the file ends early",
    "line_not_utf8": "the line is not UTF-8",
    "line_unreadable": "the line cannot be read",
}
_ENDINGS = {
    "_missing": "missing",
    "_unreadable": "unreadable",
    "_invalid": "invalid",
    "_unknown": "unknown",
    "_out_of_range": "out of range",
    "_negative": "negative",
    "_in_future": "in the future",
    "_too_old": "too old",
    "_naive": "without a time zone",
    "_nested": "an object or a list",
    "_expression_failed": "not to be had from its expression",
    "_comes_twice": "in the hour that comes twice",
    "_is_skipped": "in the hour that is left out",
    "_stripped": "stripped of spaces or invisible characters",
}


def reason_in_words(reason: str) -> str:
    """The column as the raw tables call it, and what was wrong with it.

    >>> reason_in_words("event_time_in_future"), reason_in_words("conflict")
    ('event_time in the future', 'another version of the row counts')
    """
    if reason in _WHOLE:
        return _WHOLE[reason]
    ending = next((ending for ending in _ENDINGS if reason.endswith(ending)), None)
    return reason.replace("_", " ") if ending is None else f"{reason.removesuffix(ending)} {_ENDINGS[ending]}"
