"""The feature files: which cutoffs are whole and current, and reading them."""
