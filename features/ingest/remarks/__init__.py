"""Sentences that an ingest prints about the data: defaults taken, odd clocks, accounts that match nobody."""
