"""Rollups and cutoffs to feature files: which groups of which cutoffs are due, and making them."""
