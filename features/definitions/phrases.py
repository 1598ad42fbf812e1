"""Null rules that several features of the catalogue share, and where their values speak neither way."""

__all__ = [
    "FLAG",
    "LEVEL",
    "NULL_COUNT",
    "NULL_ENDPOINTS",
    "NULL_LATENCY",
    "NULL_RATIO",
    "NULL_SHARE",
    "NULL_STATUS",
]


NULL_COUNT = "never null; 0 over nothing"
NULL_ENDPOINTS = "null when the source has no endpoints; 0 over nothing"
NULL_SHARE = "null without calls in the window"
NULL_RATIO = "null when both windows are empty, or the account or the log is younger than both"
NULL_STATUS = "null without calls that carry a status, or when the source has none"
NULL_LATENCY = "null without calls that carry a latency"
LEVEL = (0.98, 1.02)
"""A ratio of now to before that says nothing: it stayed level."""
FLAG = (0.0, 0.0)
"""A flag speaks either way."""
