"""Null rules and sentences that several features of the catalogue share."""

__all__ = [
    "NO_CALLS",
    "NULL_COUNT",
    "NULL_ENDPOINTS",
    "NULL_LATENCY",
    "NULL_RATIO",
    "NULL_SHARE",
    "NULL_STATUS",
    "YOUNG",
]


NULL_COUNT = "never null; 0 over nothing"
NULL_ENDPOINTS = "null when the source has no endpoints; 0 over nothing"
NULL_SHARE = "null without calls in the window"
NULL_RATIO = "null when both windows are empty, or the account or the log is younger than both"
NULL_STATUS = "null without calls that carry a status, or when the source has none"
NULL_LATENCY = "null without calls that carry a latency"
NO_CALLS = "There were no calls to measure in the window."
YOUNG = "There is not enough history for this comparison."
