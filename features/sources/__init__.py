"""Adapters from what people have to the four raw tables."""
