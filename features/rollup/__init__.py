"""Daily counts of events, so that no feature reads the history of events again."""
