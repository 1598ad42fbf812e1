"""Where everything of a home lies, and how it is read."""
