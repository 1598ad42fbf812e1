"""Batch scoring, the night, and what they print and export."""
