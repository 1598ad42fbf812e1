"""A seeded API company whose truth is known."""
