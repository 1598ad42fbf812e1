"""Daily counts and raw tables to feature files: which groups of which cutoffs are due, and making them."""
