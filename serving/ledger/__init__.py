"""Score runs as they were written, append-only."""
