"""Checks of a home and of its feature store, with repairs that are safe to make."""
