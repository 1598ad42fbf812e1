"""The time-machine audit: whether a stored feature row holds only what was known at its cutoff."""
